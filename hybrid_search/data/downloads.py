"""Download a data set and store it in the user's cache folder.

A download is the last choice, after `data_dir` and the usual folders. It goes through torchvision and is checked by
MD5. If several workers of one machine need the same files, one of them fetches the files and the others wait.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.errors import DataError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file of `path` while the block runs. Other processes of this machine wait.

    Args:
        path: the file that is being written; its folder is created.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # the operating system releases it if the process dies
        yield


def download(url: str, folder: Path, md5: str, name: str, advice: str, unpack: bool = False) -> None:
    """Download a file into a folder, unless it is there already.

    Args:
        url: the address of the file.
        folder: where the file is stored.
        md5: the expected MD5 of the file.
        name: the data set, for the error message.
        advice: what the user can do without a download; the message continues with
            "data_dir (--data-dir) with its files".
        unpack: whether the file is an archive to unpack in the folder.

    Raises:
        DataError: torchvision or the network is missing, or the file is damaged.
    """
    filename = url.rsplit("/", 1)[-1]
    try:
        import_torchvision()
        from torchvision.datasets.utils import (  # type: ignore[import-untyped]
            download_and_extract_archive,
            download_url,
        )

        get = download_and_extract_archive if unpack else download_url
        with locked(folder / filename):
            if (folder / filename).exists():  # from an earlier run or another worker: torchvision checks the MD5 only
                get(url, str(folder), filename=filename, md5=md5)
                return
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                get(url, scratch, filename=filename, md5=md5)
                for made in Path(scratch).iterdir():
                    made.replace(folder / made.name)  # no other process sees an incomplete file
    except Exception as error:  # torchvision is missing or does not fit torch, or there is no network
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name} is not on this machine and cannot be downloaded ({reason}); {advice} data_dir (--data-dir) with "
            "its files."
        ) from error
