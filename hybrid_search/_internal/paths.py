"""Make typed paths absolute at once, so that a later change of the current folder has no effect."""

import os
from pathlib import Path

from hybrid_search.errors import SettingsError


def absolute_path(what: str, typed: str | Path) -> Path:
    """Return a typed path as an absolute one. A leading `~` is the home folder. Nothing is created.

    Args:
        what: name of the option or argument, the first word of a message.
        typed: the path. Symbolic links stay as they are.

    Returns:
        The absolute path.

    Raises:
        SettingsError: the path is empty, has a NUL character, names an unknown user after `~`, or is relative while the
            current folder does not exist any more.

    Example:
        >>> absolute_path("OUT", "networks/first")
        PosixPath('/home/me/networks/first')
    """
    text = os.fspath(typed)
    if not text.strip():
        raise SettingsError(f"{what} must be a path; got an empty one.")
    if "\0" in text:
        raise SettingsError(f"{what} must be a path; got {text!r}, which has a NUL character.")
    expanded = os.path.expanduser(text)
    user = expanded.partition("/")[0]
    if user.startswith("~") and not os.path.lexists(user):
        raise SettingsError(
            f"{what} must be a path; got {shown_path(text)}. There is no user {user[1:]!r}. Write ./{shown_path(text)}."
        )
    try:
        # Behind a symbolic link, `..` is not the folder that the text suggests.
        whole = os.path.realpath(expanded) if ".." in Path(expanded).parts else os.path.abspath(expanded)
    except OSError as error:
        raise SettingsError(
            f"{what} must be a path; got {shown_path(text)}, and the current folder cannot be used: {reason(error)}."
        ) from None
    return Path(whole)


def data_location(what: str, typed: str | Path) -> str:
    """Return the place of a data set as it is stored: an absolute path, or a URL as it is.

    Args:
        what: name of the option, for a message.
        typed: a path, or a URL that a data set of another package understands.

    Raises:
        SettingsError: as for `absolute_path`.
    """
    text = os.fspath(typed)
    return text if "://" in text else str(absolute_path(what, text))


def shown_path(path: str | Path) -> str:
    """Return a path as a message shows it: in one line, in quotes if it has characters that cannot be printed.

    Args:
        path: any path.
    """
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)


def reason(error: OSError) -> str:
    """Return what is wrong in a few words, without the path, which the message names itself."""
    return error.strerror or str(error) or type(error).__name__
