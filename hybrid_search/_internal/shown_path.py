"""Convert names of files and folders to text that every terminal, database and JSON file can hold.

A file name is a sequence of bytes. Python represents bytes that are not UTF-8 as single surrogates, which cannot be
encoded again; a name may also contain line breaks and other control characters.
"""

import os
import unicodedata


def printable(name: str) -> str:
    r"""Return a name with bytes that are not UTF-8 written as escapes, such as `caf\xe9`.

    Args:
        name: The name of a file or folder, as Python's functions return it.

    Returns:
        The name as UTF-8, in every locale.
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown(path: str | os.PathLike[str]) -> str:
    r"""Return a path for a message: `printable`, and with control characters as escapes, so that it is one line.

    Args:
        path: The path.

    Example:
        >>> shown("two\nlines.png")
        'two\\nlines.png'
    """
    text = printable(os.fspath(path))
    if text.isprintable():
        return text
    unseen = ("Cc", "Cf", "Zl", "Zp")
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) in unseen else c for c in text)
