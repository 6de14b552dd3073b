"""FsspecStore: checkpoints in any store that fsspec supports (s3://, gs://, ...)."""

from contextlib import suppress
from typing import Any

from hybrid_search.training.checkpoints.store import checkpoint_errors


class FsspecStore:
    """Files below an fsspec URL. An object appears when it is complete.

    Args:
        url: The URL, such as `s3://bucket/folder`.

    Example:
        >>> FsspecStore("s3://bucket/checkpoints").names("")
    """

    def __init__(self, url: str) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url
        with checkpoint_errors("reached", url, Exception):
            self.files: Any
            self.files, self.root = fsspec.core.url_to_fs(url)

    def names(self, folder: str) -> list[str]:
        """Return the names of all files in a folder and below."""
        with checkpoint_errors("read", f"{self.url}/{folder}", Exception):
            self.files.invalidate_cache()  # other workers write to the store too
            paths = self.files.find(self._path(folder))
            return sorted(str(path).removeprefix(self.root).lstrip("/") for path in paths)

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        with checkpoint_errors("read", f"{self.url}/{name}", Exception):
            return bytes(self.files.cat_file(self._path(name)))

    def write(self, files: dict[str, bytes]) -> None:
        """Write files, in this order."""
        for name, data in files.items():
            with checkpoint_errors("written", f"{self.url}/{name}", Exception):
                try:
                    self.files.pipe_file(self._path(name), data)
                except FileNotFoundError:  # the store has folders, unlike an object store
                    self._create(name.rpartition("/")[0])
                    self.files.pipe_file(self._path(name), data)

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with its files."""
        with checkpoint_errors("removed", f"{self.url}/{name}", Exception), suppress(FileNotFoundError):
            self.files.rm(self._path(name), recursive=True)

    def _create(self, folder: str) -> None:
        """Create a folder, one level at a time. Creating all levels at once could create a bucket with a wrong name."""
        parts = folder.split("/")
        for depth in range(len(parts) + 1):
            with suppress(FileExistsError):
                self.files.mkdir(self._path("/".join(parts[:depth])).rstrip("/"), create_parents=False)

    def _path(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"
