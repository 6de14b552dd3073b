"""Data sets of the Hugging Face hub, downloaded once: `hf://owner/name@revision/folder`.

The revision may be left out, and the folder, which is one configuration of a data set that has several.
"""

import json
import re
from contextlib import suppress
from pathlib import Path

from hybrid_search._internal.cache_folder import cached_file
from hybrid_search._internal.output_file import written_file
from hybrid_search.data.downloads import locked
from hybrid_search.errors import DataError, SettingsError

HUB = "hf://"
ADDRESS = re.compile(r"hf://(datasets/)?(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<folder>.+))?", re.ASCII)
CONVERTED = "refs/convert/parquet"  # where the hub keeps Parquet files of data sets that have other files
NAME = "hf"  # the folder below the cache folder


def local_copy(address: str) -> Path:
    """Return the folder of the Parquet files of a data set; download them first if they are not here.

    The folder of a download is noted in the cache folder. A later call uses it without a request, so every process has
    the same files.

    Args:
        address: `hf://owner/name`, `hf://owner/name@revision`, `hf://owner/name/folder`.

    Raises:
        DataError: The address is wrong, the package huggingface_hub is missing, or the download fails.
    """
    found = ADDRESS.fullmatch(address)
    if found is None or ".." in (found["folder"] or "").split("/"):
        raise DataError(f"a data set of the hub must be hf://owner/name or hf://owner/name@revision; got {address!r}.")
    whole = _whole_copy(found["name"], found["revision"] or "", address)
    part = whole / (found["folder"] or "")
    if not part.is_dir():
        folders = ", ".join(sorted(each.name for each in whole.iterdir() if each.is_dir())) or "none"
        raise DataError(f"a folder of {address!r} must be one of its folders; it has {folders}.")
    return part


def _whole_copy(name: str, revision: str, address: str) -> Path:
    noted = cached_file(NAME, f"{name.replace('/', '--')}@{revision.replace('/', '--') or 'main'}.json")
    if (folder := _noted(noted)) is not None:
        return folder
    try:
        with locked(noted):
            folder = _noted(noted) or _download(name, revision, address)
            with suppress(OSError, SettingsError), written_file(noted) as part:
                part.write_text(json.dumps({"folder": str(folder)}) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{address} cannot be downloaded: {_first_line(error)}. Give a folder: --data-dir FOLDER."
        ) from error
    return folder


def _noted(path: Path) -> Path | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        folder = Path(json.loads(path.read_text(encoding="utf-8"))["folder"])
        return folder if folder.is_dir() else None
    return None


def _download(name: str, revision: str, address: str) -> Path:
    """Return the folder of a download: Parquet files of the data set, otherwise those that the hub made of it."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise DataError(
            "hf:// needs the package huggingface_hub; it is not installed. pip install 'hybrid-search[hf]'"
        ) from None
    reason = "it has no Parquet files"
    for version in dict.fromkeys((revision or "main", revision or CONVERTED)):
        try:
            folder = Path(snapshot_download(name, repo_type="dataset", revision=version, allow_patterns=["*.parquet"]))
        except Exception as error:  # the package raises many kinds of exceptions
            reason = _first_line(error)
        else:
            if any(folder.rglob("*.parquet")):
                return folder
    raise DataError(f"{address} cannot be downloaded: {reason}. Give a folder: --data-dir FOLDER.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
