"""The rule for the name of a search."""

import unicodedata

from hybrid_search.errors import SettingsError
from hybrid_search.records import SEARCH_NAME


def search_name(name: str) -> str:
    """Return the name if a search can have it.

    Args:
        name: 1 to 200 printable characters.

    Raises:
        SettingsError: The name is empty, too long, or has characters that cannot be printed.
    """
    unseen = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)  # controls, halves of characters
    if not name.strip() or len(name) > SEARCH_NAME or unseen:
        raise SettingsError(
            f"the name of a search must be 1 to {SEARCH_NAME} characters that can be printed; got {name[:40]!r} "
            f"({len(name)} characters)."
        )
    return name
