"""CHECKPOINT_STORES, the table of checkpoint stores: URL scheme -> class. A path without a scheme is a folder.

Another package adds a store through the entry-point group `hybrid_search.checkpoint_stores`:

    [project.entry-points."hybrid_search.checkpoint_stores"]
    vault = "my_package.vault:VaultStore"

`--checkpoints vault://name/folder` then calls `VaultStore("vault://name/folder")`. A scheme that is not in the table
is opened by fsspec.
"""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, cast

from hybrid_search._internal.redaction import redact
from hybrid_search._internal.url_secrets import split_password, without_secrets
from hybrid_search.errors import CheckpointError, PluginError, SettingsError
from hybrid_search.plugins import Table

PARTIAL_SUFFIX = ".part"  # of a file that is being written
METHODS = ("names", "read", "write", "delete")


class CheckpointStore(Protocol):
    """Files by name, with `/` between folders, below one root. Methods raise CheckpointError and no other error.

    An object is passed to workers, so it must be possible to pickle it.

    Example:
        >>> run(space, trials=20, checkpoints=MyStore("bucket"))
    """

    def names(self, folder: str) -> list[str]:
        """Return the names of all files in a folder and below, from the root; none if the folder does not exist.

        Args:
            folder: name of a folder; an empty text is the root.

        Raises:
            CheckpointError: the store cannot be read.
        """
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Args:
            name: name of a file, from the root.

        Raises:
            CheckpointError: the file does not exist or cannot be read.
        """
        ...

    def write(self, files: dict[str, bytes]) -> None:
        """Write files of one folder, in this order. After a crash, each file is complete or does not exist.

        Args:
            files: name, from the root -> content.

        Raises:
            CheckpointError: a file cannot be written.
        """
        ...

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with its files. Do nothing if it does not exist.

        Args:
            name: name of a file or a folder, from the root.

        Raises:
            CheckpointError: it cannot be deleted.
        """
        ...


def _checked(scheme: str, thing: object) -> Callable[[str], CheckpointStore]:
    """Return a plugin as a class of stores; raise PluginError if it has not the methods of a store."""
    missing = [name for name in METHODS if not callable(getattr(thing, name, None))]
    if not callable(thing) or missing:
        raise PluginError(f"a checkpoint store must have {', '.join(METHODS)}; {scheme} lacks {', '.join(missing)}.")
    return cast("Callable[[str], CheckpointStore]", thing)


CHECKPOINT_STORES: Table[Callable[[str], CheckpointStore]] = Table(
    "checkpoint store",
    "hybrid_search.checkpoint_stores",
    {
        "file": "hybrid_search.training.checkpoints.folder_store:FolderStore",
        "fsspec": "hybrid_search.training.checkpoints.fsspec_store:FsspecStore",
    },
    check=_checked,
)


def store_at(root: str | CheckpointStore) -> CheckpointStore:
    """Return the store at a root.

    Args:
        root: A folder, a URL, or a store, which is returned itself.

    Returns:
        The store.

    Raises:
        CheckpointError: The store cannot be reached.
    """
    if not isinstance(root, str):
        return root
    if "://" not in root:
        return CHECKPOINT_STORES["file"](root)
    scheme = root.partition("://")[0]
    return CHECKPOINT_STORES[scheme if scheme in CHECKPOINT_STORES else "fsspec"](root)


def check_writable(root: str | CheckpointStore) -> str | CheckpointStore:
    """Check that a root can be written. No file is left there, and a missing folder is not created.

    Args:
        root: A folder, a URL, or a store.

    Returns:
        The root for workers: an absolute folder, a URL, or the store itself.

    Raises:
        SettingsError: The root cannot be written, or the URL contains a password.
    """
    if not isinstance(root, str):
        missing = [name for name in METHODS if not callable(getattr(root, name, None))]
        if missing:
            raise SettingsError(
                f"checkpoints must be a folder, a URL or an object with {', '.join(METHODS)}; got a "
                f"{type(root).__name__} without {', '.join(missing)}."
            )
        _try_to_write(root, str(root))
        return root
    if not root.strip():
        raise SettingsError("checkpoints must be a folder or a URL; got an empty one.")
    if root.startswith("file://"):
        root = root.removeprefix("file://")
    if "://" not in root:
        return _check_folder(root)
    if split_password(root):
        raise SettingsError(
            "a URL for checkpoints must contain no password, because every worker gets the URL; got one with a "
            "password (not shown). Put it in the environment variables or the file of the store."
        )
    root = root.rstrip("/")
    _try_to_write(root, without_secrets(root))
    return root


def _check_folder(root: str) -> str:
    folder = Path(os.path.expanduser(root))  # unlike Path.expanduser, it accepts an unknown user
    try:
        folder = folder.resolve()
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        tempfile.TemporaryFile(dir=existing).close()
    except (OSError, ValueError) as error:  # ValueError: a NUL character
        raise _not_writable(str(folder), error) from None
    return str(folder)


def _try_to_write(root: str | CheckpointStore, where: str) -> None:
    """Write a file and delete it; raise SettingsError if that fails."""
    name = f".writable-{secrets.token_hex(8)}"
    try:
        store = store_at(root)
        store.write({name: b"1"})
        store.delete(name)
    except CheckpointError as error:
        raise _not_writable(where, error.__cause__ or error) from None


def _not_writable(root: str, error: BaseException) -> SettingsError:
    return SettingsError(
        f"checkpoints need a place that can be written; {root} cannot: {reason_of(error)}. checkpoints 'none' "
        "(--checkpoints none) runs without checkpoints."
    )


def reason_of(error: BaseException) -> str:
    """Return one line that says what is wrong, without the path, which the message names itself."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (redact(str(error)).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


@contextmanager
def checkpoint_errors(action: str, path: object, errors: type[Exception] = OSError) -> Iterator[None]:
    """Convert errors inside the `with` block to a CheckpointError that names the path.

    Args:
        action: The participle of the action: "read", "written".
        path: The path or URL.
        errors: The class of errors to convert.
    """
    try:
        yield
    except errors as error:
        raise CheckpointError(f"checkpoint {path} cannot be {action}: {reason_of(error)}.") from error
