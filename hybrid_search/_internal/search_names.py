"""The rule for the name of a new search. Stored searches are opened under any name they have."""

from hybrid_search.errors import SettingsError

SEARCH_NAME = 200  # characters of the name of a search, at most
# Characters that a file name, a trial (SEARCH/NUMBER) or a list of searches cannot have in a name.
SEPARATORS = "/\\,"


def search_name(name: str) -> str:
    """Return the name if a new search can have it.

    The name is a word of commands, of addresses and of file names, so it must be safe in all of them.

    Args:
        name: 1 to 200 printable characters. No blank at either end, no `-` or `.` at the start, no `/`, `\\` or `,`.

    Raises:
        SettingsError: The name breaks this rule.

    Example:
        >>> search_name("digits 2")
        'digits 2'
    """
    if not isinstance(name, str):
        raise SettingsError(f"name must be text; got {name!r}.")
    fault = ""
    if not name:
        fault = "an empty name"
    elif len(name) > SEARCH_NAME:
        fault = f"{name[:40]!r}... ({len(name):,} characters)"
    elif not name.isprintable() or name != name.strip() or name[0] in "-." or set(name) & set(SEPARATORS):
        fault = repr(name)
    if fault:
        raise SettingsError(
            f"the name of a new search must be 1 to {SEARCH_NAME} printable characters, without a blank at either end, "
            f"without - or . at the start, and without / \\ or a comma; got {fault}. Choose another name: --name NAME."
        )
    return name


def can_be_stored(name: str) -> bool:
    """Return whether a database can hold this text: half a character (a surrogate) and NUL cannot be stored.

    Args:
        name: Any text, such as a word of a command line.
    """
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)
