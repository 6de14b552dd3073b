"""The members of a .npz file: their headers are read first, so that nothing too large and no pickle is ever read.

A .npz file is a zip archive of .npy files. A .npy file is a header (type, shape, order) and the bytes of the array.
"""

import lzma
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hybrid_search._internal.shown_path import shown
from hybrid_search._internal.unreadable_file import what_is_wrong
from hybrid_search.data.memory import check_fits, megabytes
from hybrid_search.errors import DataError

ENCRYPTED = 1  # bit of a zip member's flags
# What zipfile, zlib, lzma and numpy raise for damaged files. MemoryError: a damaged header can describe any shape.
DAMAGE = (
    OSError, ValueError, EOFError, TypeError, AttributeError, KeyError, IndexError, RuntimeError, NotImplementedError,
    OverflowError, SyntaxError, MemoryError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError,
)  # fmt: skip


@dataclass(frozen=True)
class ArrayHeader:
    """The header of an array: its type and its shape.

    Attributes:
        dtype: the type of its values.
        shape: its shape.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the whole array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def array_headers(path: Path) -> tuple[dict[str, ArrayHeader], tuple[str, ...]]:
    """Return the header of every array of an archive, and the names of the members that are no arrays.

    Args:
        path: the .npz file.

    Raises:
        DataError: the archive is damaged, or an array consists of Python objects.
    """
    headers: dict[str, ArrayHeader] = {}
    others = []
    with _opened(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in headers:
                raise DataError(f"a .npz file must have one array of each name; {shown(path)} has {name!r} twice.")
            if name == member.filename:
                others.append(name)
            else:
                headers[name] = _read_header(archive, member, path)
    return headers, tuple(others)


def read_arrays(path: Path, headers: dict[str, ArrayHeader]) -> dict[str, NDArray[Any]]:
    """Return arrays of an archive.

    Args:
        path: the .npz file.
        headers: the names of the arrays to read, with their headers.

    Raises:
        DataError: an array is damaged, or the arrays do not fit into memory.
    """
    check_fits(f"the arrays {', '.join(headers)} of {shown(path)}", sum(header.size for header in headers.values()))
    arrays = {}
    with _opened(path) as archive:
        for name in headers:
            with archive.open(f"{name}.npy") as file:
                arrays[name] = npy.read_array(file, allow_pickle=False)
    return arrays


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> ArrayHeader:
    """Return the header of one member; raise DataError for Python objects, encryption or a wrong length."""
    name = member.filename.removesuffix(".npy")
    if member.flag_bits & ENCRYPTED:
        raise DataError(f"a .npz file must not be encrypted; {name} of {shown(path)} is.")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
        if reader is None:
            raise DataError(
                f"arrays of a .npz file must be of version 1 or 2 of the format; {name} of {shown(path)} has version "
                f"{version[0]}.{version[1]}."
            )
        shape, _, dtype = reader(file)
        before = file.tell()
    if dtype.hasobject:
        raise DataError(
            f"a .npz file must be without Python objects (pickle), which could run programs; {name} of {shown(path)} "
            f"has type {dtype}. Save it as numbers or text."
        )
    header = ArrayHeader(dtype, shape)
    if before + header.size != member.file_size:
        raise DataError(
            f"{name} of {shown(path)} must have {megabytes(header.size)} after its header, as its shape {shape} says; "
            f"it has {megabytes(member.file_size - before)}. The file is damaged."
        )
    return header


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; what goes wrong inside the block becomes a DataError of one line."""
    try:
        with _open(path) as file, zipfile.ZipFile(file) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy warns about the headers of old Python versions, which it reads
            yield archive
    except DataError:
        raise
    except DAMAGE as error:
        raise DataError(
            f"npz needs data_dir (--data-dir) with a complete .npz file; {shown(path)} {what_is_wrong(path, error)}."
        ) from error


def _open(path: Path) -> IO[bytes]:
    if not path.is_file():
        raise DataError(
            f"npz needs data_dir (--data-dir) with a complete .npz file; {shown(path)} {what_is_wrong(path)}."
        )
    return path.open("rb")
