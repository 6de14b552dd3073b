"""Read a pickle that holds data only: arrays of numbers, text, bytes, numbers, lists and dictionaries.

A pickle is a program, and the loader of Python runs it. Here, a name that the pickle asks for never becomes a Python
object: it becomes a `_Name`, which can only build the plain values above. Even NumPy's own functions are not called;
an array is made from its bytes, its type and its shape at the end. Every other name is refused before anything is
called with it.
"""

import io
import math
import pickle
import struct
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hybrid_search.errors import DataError

# module and name in a pickle -> what it means; NumPy renamed `core` to `_core` in version 2
MEANINGS = {
    ("numpy", "ndarray"): "array type",
    ("numpy", "dtype"): "number type",
    ("_codecs", "encode"): "bytes",  # how Python 3 writes bytes in the protocols of Python 2
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "empty array" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "array of bytes" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "number" for core in ("core", "_core")},
}
NUMBER_KINDS = "biuf"
NUMBER_SIZES = "1248"  # bytes
MAX_DEPTH = 20
DAMAGE = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError,
    RuntimeError, MemoryError, NotImplementedError, struct.error, AssertionError, ImportError,
)  # fmt: skip


def read_data(content: bytes, name: str) -> Any:
    """Return the value in a pickle of plain data. Nothing in the pickle is run.

    Args:
        content: the bytes of the pickle, of any protocol. Text of Python 2 becomes bytes.
        name: the file, for messages.

    Returns:
        Dictionaries, lists, tuples, text, bytes, numbers and arrays of numbers.

    Raises:
        DataError: the pickle is damaged, or asks for anything else.

    Example:
        >>> read_data(pickle.dumps({"labels": [3, 1]}), "data_batch_1")
        {'labels': [3, 1]}
    """
    try:
        return _plain(_Reader(io.BytesIO(content), name).load(), name, {})
    except DataError:
        raise
    except DAMAGE as error:
        ours = isinstance(error, AttributeError | TypeError)  # of the reader, which says nothing about the file
        reason = ((not ours and str(error)) or type(error).__name__).splitlines()[0][:200]
        raise DataError(
            f"{name} must be a complete pickle of plain data; it is damaged or incomplete ({reason})."
        ) from error


class _Reader(pickle._Unpickler):  # the one in Python: the one in C allocates whatever a damaged file names
    """An unpickler whose names are never imported."""

    def __init__(self, file: io.BytesIO, name: str) -> None:
        super().__init__(file, encoding="bytes")
        self._name = name
        self._size = len(file.getbuffer())

    def load_bytearray8(self) -> None:
        """Read a bytearray. Python's own reader allocates the stated length before it looks at the file."""
        read = self.read  # type: ignore[attr-defined]
        (length,) = struct.unpack("<Q", read(8))
        if length > self._size:
            raise ValueError(f"a part of {length:,} bytes is longer than the file")
        self.append(bytearray(read(length)))  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: load_bytearray8}

    def find_class(self, module: str, name: str) -> "_Name":
        """Return the stand-in of an allowed name; raise DataError for any other."""
        meaning = MEANINGS.get((module, name))
        if meaning is None:
            raise DataError(
                f"{self._name} must have arrays, text, numbers, lists and dictionaries only; it asks for "
                f"{module}.{name}, which is refused. Nothing in it was run."
            )
        return _Name(meaning)

    def persistent_load(self, pid: Any) -> Any:
        """Refuse an object that is stored elsewhere."""
        raise DataError(f"{self._name} must hold all of its data; it refers to an object elsewhere.")


class _Name:
    """Stand-in of an allowed name of NumPy or Python. Calling it makes plain values only."""

    __slots__ = ("_meaning",)

    def __init__(self, meaning: str) -> None:
        self._meaning = meaning

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a name has no state")

    def __call__(self, *arguments: Any) -> Any:
        """Return the value that NumPy's or Python's function of this name would make of these arguments."""
        if self._meaning == "number type":
            return _NumberType(arguments[0])
        if self._meaning == "empty array":
            return _Array()
        if self._meaning == "array of bytes":
            content, kind, shape, order = arguments
            return _Array(kind, shape, order == "F", content)
        if self._meaning == "number":
            kind, content = arguments
            return _array(kind, (), False, content).item()
        if self._meaning == "bytes" and len(arguments) == 2 and arguments[1] in ("latin1", b"latin1"):
            if isinstance(arguments[0], str):
                return arguments[0].encode("latin1")
            if isinstance(arguments[0], bytes | bytearray):  # bytes(10**9) would make as many zeros
                return bytes(arguments[0])
        raise ValueError(f"{self._meaning} cannot be called like this")


class _NumberType:
    """Stand-in of a NumPy type, such as `u1`."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or len(text) != 2 or text[0] not in NUMBER_KINDS or text[1] not in NUMBER_SIZES:
            raise ValueError(f"arrays must have numbers; got type {str(text)[:20]!r}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order == ">":
            self.dtype = self.dtype.newbyteorder(">")
        elif order not in ("<", "|", "="):
            raise ValueError("the byte order of an array is unknown")


class _Array:
    """Stand-in of a NumPy array: type, shape, order and bytes, as the pickle gives them."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Any) -> None:
        self.parts: tuple[Any, ...] = parts

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, is_fortran, content = state
        self.parts = (kind, shape, is_fortran, content)


def _array(kind: Any, shape: Any, is_fortran: Any, content: Any) -> NDArray[Any]:
    """Return the array of these parts; raise ValueError unless they fit together."""
    if not isinstance(kind, _NumberType) or not isinstance(shape, tuple):
        raise ValueError("an array needs a type and a shape")
    if not all(isinstance(length, int) and length >= 0 for length in shape) or len(shape) > 32:
        raise ValueError(f"the shape of an array must be whole numbers; got {shape!r}"[:100])
    if not isinstance(content, bytes | bytearray) or len(content) != math.prod(shape) * kind.dtype.itemsize:
        raise ValueError(f"an array of shape {shape} and type {kind.dtype} has the wrong number of bytes")
    return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if is_fortran else "C")


def _key(key: Any, name: str) -> Any:
    """Return the key of a dictionary; raise DataError for anything but text, bytes and numbers."""
    if not isinstance(key, str | bytes | int | float | None):
        raise DataError(f"{name} must have keys that are text, bytes or numbers; it has a {type(key).__name__}.")
    return key


def _plain(value: Any, name: str, done: dict[int, Any], depth: int = 0) -> Any:
    """Return a value with its arrays made; raise DataError for a stand-in that is no value.

    `done` has what was made of each container by its id: a pickle can name one list many times.
    """
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str | bytes | bytearray | int | float | None):
        return value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _Array):
        made: Any = _array(*value.parts)
    elif isinstance(value, dict):
        made = {_key(key, name): _plain(item, name, done, depth + 1) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = type(value)(_plain(item, name, done, depth + 1) for item in value)
    else:
        kind = type(value).__name__
        raise DataError(f"{name} must have arrays, text, numbers, lists and dictionaries only; it has a {kind}.")
    done[id(value)] = made
    return made
