"""Downloads as the last resort: through torchvision, checked by MD5, kept in the user's cache folder.

The workers of one machine all look for their images at once: one fetches or decodes them, the others wait at a lock.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: no lock; each worker does the work, and the last one's files stay
    fcntl = None  # type: ignore[assignment]


def cache_folder(name: str) -> Path:
    """Where this package keeps what it downloaded or decoded under that name."""
    from platformdirs import user_cache_path

    return user_cache_path("hybrid-search") / name


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file of this path, whose folder is made; another process of this machine waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the process ends, however it ends
        yield


def fetch(url: str, folder: Path, md5: str, name: str, advice: str, unpack: bool = False) -> None:
    """The file of this address in the folder, unpacked there if asked; nothing is fetched twice.

    DataError, with `advice` on how to go without, where torchvision or the network is missing.
    """
    filename = url.rsplit("/", 1)[-1]
    try:
        import_torchvision()
        from torchvision.datasets.utils import (  # type: ignore[import-untyped]
            download_and_extract_archive,
            download_url,
        )

        download = download_and_extract_archive if unpack else download_url
        with locked(folder / filename):
            if (folder / filename).exists():  # left from before, or by another worker just now: only checked
                download(url, str(folder), filename=filename, md5=md5)
                return
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                download(url, fresh, filename=filename, md5=md5)
                for made in Path(fresh).iterdir():
                    made.replace(folder / made.name)  # nobody sees half a file
    except Exception as error:  # torchvision fails in many ways: absent, at odds with torch, no network
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name} is not on this machine and cannot be downloaded ({reason}); {advice} --data-dir with its files."
        ) from error
