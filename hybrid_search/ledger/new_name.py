"""The check of a search's name before anything is written or started."""

from pathlib import Path

from hybrid_search._internal.search_names import search_name
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger.ledger import Ledger


def check_new_name(name: str, ledger: Ledger | str | Path | None) -> None:
    """Check that a name belongs to a stored search, or that a new search can have it. Nothing is written.

    Args:
        name: The name of a search.
        ledger: The ledger, the URL of its database, or the path of an SQLite file.

    Raises:
        SettingsError: No search of the ledger has the name, and it breaks the rule of `search_name`.

    Example:
        >>> check_new_name("digits", "sqlite:///results/hybrid-search.db")
    """
    try:
        search_name(name)
    except SettingsError:
        if not _is_stored(name, ledger):
            raise


def _is_stored(name: str, ledger: Ledger | str | Path | None) -> bool:
    if isinstance(ledger, Ledger):
        return ledger.find_search(name) is not None
    try:
        with Ledger(ledger, read_only=True) as reader:
            return reader.find_search(name) is not None
    except LedgerError:  # there is no database yet, or the command itself says what is wrong with it
        return False
