"""Distinguish installed code (Python's own modules, packages of pip) from the user's own code."""

import os
import sys
import sysconfig

FOLDERS = ("site-packages", "dist-packages")  # of every environment, also of `pip install --user`


def is_installed(path: str) -> bool:
    """Return whether a file or a folder belongs to Python itself or to an installed package.

    Args:
        path: Its absolute path.

    Example:
        >>> is_installed(os.path.expanduser("~/.local/lib/python3.11/site-packages/numpy/__init__.py"))
        True
    """
    parts = os.path.normpath(path).split(os.sep)
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    below = any(parts[: len(folder.split(os.sep))] == folder.split(os.sep) for folder in standard)
    return below or any(folder in parts for folder in FOLDERS)


def is_own(module: str | None) -> bool:
    """Return whether a module is code of the user: neither Python's own, nor installed, nor of this package.

    Args:
        module: The name of the module.

    Example:
        >>> is_own("__main__"), is_own("numpy")
        (True, False)
    """
    top = str(module).partition(".")[0]
    if top == "hybrid_search":
        return False
    file = getattr(sys.modules.get(str(module)), "__file__", None)
    if isinstance(file, str):
        return not is_installed(os.path.abspath(file))
    return top == "__main__" or top not in sys.stdlib_module_names
