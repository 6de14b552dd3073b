"""Downloads as the last resort: through torchvision, checked by MD5, kept in the user's cache folder."""

from pathlib import Path

from hybrid_search.errors import DataError


def cache_folder(name: str) -> Path:
    """Where this package keeps what it downloaded or decoded under that name."""
    from platformdirs import user_cache_path

    return user_cache_path("hybrid-search") / name


def fetch(url: str, folder: Path, md5: str, name: str, advice: str, unpack: bool = False) -> None:
    """The file of this address in the folder, unpacked there if asked; nothing is fetched twice.

    DataError, with `advice` on how to go without, where torchvision or the network is missing.
    """
    filename = url.rsplit("/", 1)[-1]
    try:
        from torchvision.datasets.utils import (  # type: ignore[import-untyped]
            download_and_extract_archive,
            download_url,
        )

        folder.mkdir(parents=True, exist_ok=True)
        if unpack:
            download_and_extract_archive(url, str(folder), filename=filename, md5=md5)
        else:
            download_url(url, str(folder), filename=filename, md5=md5)
    except Exception as error:  # torchvision fails in many ways: absent, built for another torch, no network
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{name} is not on this machine and cannot be downloaded ({reason}); {advice} --data-dir with its files."
        ) from error
