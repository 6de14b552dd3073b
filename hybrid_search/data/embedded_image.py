"""An image in a row of a Parquet or Arrow file, which is read like a file of its own."""

import errno
import io
import os
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hybrid_search._internal.shown_path import shown
from hybrid_search.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

GROUPS = 2  # row groups of a Parquet file that stay in memory
PARQUET = ".parquet"


class ImageTable:
    """A Parquet or Arrow file.

    Args:
        path: The file.

    Raises:
        DataError: It cannot be read as such a file.

    Attributes:
        path: The file.
        rows: The number of rows.
        schema: The columns, with the description of Hugging Face if there is one.
        state: Size and times of the file.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            raise DataError(
                "hf needs the package pyarrow; it is not installed. pip install 'hybrid-search[hf]'"
            ) from None
        self.path = path
        self.is_parquet = path.suffix == PARQUET
        self._lock = RLock()
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        try:
            self.state = path.stat()
            self._file: Any = parquet.ParquetFile(path, memory_map=True) if self.is_parquet else _mapped(path)
        except Exception as error:  # pyarrow raises many kinds of exceptions
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise DataError(f"{shown(path)} must be a Parquet or Arrow file; it cannot be read: {reason}.") from error
        self.schema: pa.Schema = self._file.schema_arrow if self.is_parquet else self._file.schema
        self.rows: int = self._file.metadata.num_rows if self.is_parquet else self._file.num_rows

    def column(self, name: str) -> Any:
        """Return a column with values that are small, such as labels.

        Args:
            name: Its name.
        """
        return (self._file.read(columns=[name]) if self.is_parquet else self._file).column(name)

    def value(self, name: str, row: int) -> Any:
        """Return the value of a column in one row, as Python's own type."""
        if not self.is_parquet:
            return self._file.column(name)[row].as_py()
        group = int(np.searchsorted(self._ends, row, side="right"))
        with self._lock:
            if (name, group) not in self._groups:
                read = self._file.read_row_group(group, columns=[name], use_threads=False)
                self._groups[name, group] = read.column(0)
                if len(self._groups) > GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end((name, group))
            column = self._groups[name, group]
        return column[row - (int(self._ends[group - 1]) if group else 0)].as_py()

    @cached_property
    def _ends(self) -> Any:
        metadata = self._file.metadata
        return np.cumsum([metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)])


class EmbeddedImage:
    """One image of a table. It has the methods of `pathlib.Path` that reading an image needs.

    Args:
        table: The file.
        column: The column of the images: bytes, or a structure of `bytes` and `path`.
        row: The row in the file, from 0.
    """

    __slots__ = ("column", "row", "table")

    def __init__(self, table: ImageTable, column: str, row: int) -> None:
        self.table, self.column, self.row = table, column, row

    @property
    def name(self) -> str:
        """The name of the file, and the row."""
        return f"{self.table.path.name} row {self.row}"

    @property
    def parent(self) -> Path:
        """The folder of the file."""
        return self.table.path.parent

    def __fspath__(self) -> str:
        return os.path.join(self.parent, self.name)

    def stat(self) -> os.stat_result:
        """Return size and times of the whole table, as they were when it was opened."""
        return self.table.state

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Return the bytes of the image as an open file.

        Args:
            mode: Always "rb".

        Raises:
            OSError: The row has neither bytes nor the path of a file.
        """
        value = self.table.value(self.column, self.row)
        content: bytes | None = value.get("bytes") if isinstance(value, dict) else value
        path: str | None = value.get("path") if isinstance(value, dict) else None
        if content is not None:
            return io.BytesIO(content)
        if path is None:
            raise OSError(errno.ENODATA, "the row has no image")
        file: IO[bytes] = (self.parent / path).open("rb")
        return file


ImageFile = Path | EmbeddedImage


def _mapped(path: Path) -> "pa.Table":
    """Return an Arrow file, mapped: a stream, as save_to_disk writes it, or a file."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
