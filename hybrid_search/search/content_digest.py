"""ContentDigest: a hash of a Python value that is the same in every process, for the identity of an evaluation.

Functions count by what they do: bytecode, constants, names, defaults, captured variables and the global variables they
use. Functions and classes of installed packages count by their names. Objects count by their class and their state.
"""

import builtins
import dis
import hashlib
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any

from hybrid_search.search.written_names import global_names, written_attributes, written_names

PLAIN = (bool, int, float, complex, str, bytes, types.EllipsisType, types.NoneType, types.NotImplementedType)
NOT_CONTENT = (  # attributes of a class that say nothing about what it does, or depend on lines
    "__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__firstlineno__", "__static_attributes__",
    "__qualname__", "__abstractmethods__", "_abc_impl", "__dataclass_params__", "__dataclass_fields__",
    "__match_args__", "__slots__", "__annotate_func__", "__annotations_cache__", "__hash__",
)  # fmt: skip


class ContentDigest:
    """One walk over a value.

    Attributes:
        unknown: Names of the classes whose content cannot be hashed; of these only the class counts.

    Example:
        >>> ContentDigest().of(lambda architecture, settings: iter([])).hex()[:12]
    """

    def __init__(self) -> None:
        self.unknown: set[str] = set()
        self._active: list[int] = []  # ids of the values that are being hashed, for those that contain themselves
        self._done: dict[int, tuple[bytes, Any]] = {}  # id -> digest, and the value so that its id stays its own

    def of(self, value: Any) -> bytes:
        """Return the digest of a value."""
        if type(value) in PLAIN:
            return _hash(type(value).__name__, repr(value))
        key = id(value)
        if key in self._active:
            return _hash("cycle", str(len(self._active) - self._active.index(key)))
        if key not in self._done:
            self._active.append(key)
            try:
                self._done[key] = self._compound(value), value
            except Exception:  # too many levels, or code of the object
                self._done[key] = self._unknown(value), value
            finally:
                self._active.pop()
        return self._done[key][0]

    def _all(self, values: Iterable[Any]) -> bytes:
        return _hash("all", *(self.of(value) for value in values))

    def _pairs(self, pairs: Iterable[tuple[Any, Any]]) -> bytes:
        return _hash("pairs", *sorted(_hash("pair", self.of(name), self.of(value)) for name, value in pairs))

    def _compound(self, value: Any) -> bytes:
        kind = type(value)
        if kind in (list, tuple):
            return _hash(kind.__name__, self._all(value))
        if kind is dict:
            return _hash("dict", self._pairs(value.items()))
        if kind in (set, frozenset):
            return _hash(kind.__name__, *sorted(self.of(one) for one in value))
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return _hash("method", self.of(value.__self__), self.of(value.__func__))
        if isinstance(value, partial):
            return _hash("partial", self.of(value.func), self._all(value.args), self._pairs(value.keywords.items()))
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            named = owner is None or isinstance(owner, types.ModuleType | type)
            return _hash("builtin", str(value.__module__), value.__qualname__, b"" if named else self.of(owner))
        if isinstance(value, types.ModuleType):
            return _hash("module", value.__name__)
        if isinstance(value, types.CodeType):
            return self._code(value)
        if isinstance(value, PurePath):
            return _hash("path", str(value))
        if isinstance(value, Enum):
            return _hash("enum", kind.__qualname__, value.name)
        if isinstance(value, bytearray):
            return _hash("bytearray", bytes(value))
        return self._array(value) or self._object(value)

    # -- functions and classes --

    def _function(self, function: types.FunctionType) -> bytes:
        captured = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        cells = {name: _cell(cell) for name, cell in captured}
        if not _is_own(function.__module__):
            return _hash("function", str(function.__module__), function.__qualname__, self._pairs(cells.items()))
        written = written_names(function.__code__)
        used = {
            name: function.__globals__[name]
            for name in global_names(function.__code__)
            if name in function.__globals__ and name not in builtins.__dict__
        }
        values = {name: type(value) if name in written else value for name, value in {**used, **cells}.items()}
        return _hash(
            "own function",
            self._code(function.__code__),
            self.of(function.__defaults__),
            self._pairs((function.__kwdefaults__ or {}).items()),
            self._pairs(values.items()),
            self._pairs((name, one) for name, one in function.__dict__.items() if name != "name"),
        )

    def _code(self, code: types.CodeType) -> bytes:
        """Return the digest of bytecode, without lines, files, docstrings and the names of local variables."""
        steps = [self._step(one) for one in dis.get_instructions(code)]
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        return _hash("code", *steps, code.co_exceptiontable, repr((arguments, code.co_freevars, counts)))

    def _step(self, one: dis.Instruction) -> bytes:
        value: Any = one.arg
        if one.opcode in dis.hasconst or one.opcode in dis.hasname or one.opcode in dis.hasfree:
            value = one.argval
        return _hash(one.opname, self.of(value))

    def _class(self, kind: type) -> bytes:
        name = f"{kind.__module__}.{kind.__qualname__}"
        if not _is_own(kind.__module__):
            return _hash("class", name)
        members = [(name, member) for name, member in vars(kind).items() if name not in NOT_CONTENT]
        plain = [(name, _inner(member)) for name, member in members]
        return _hash("own class", name, self._all(kind.__bases__), self._pairs(plain))

    # -- arrays and objects --

    def _array(self, value: Any) -> bytes | None:
        """Return the digest of an array of numpy or a tensor of torch by its bytes; None for another value."""
        numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor) and value.layout == torch.strided:
            raw = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            return _hash("tensor", str(value.dtype), repr(tuple(value.shape)), raw)
        if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) and not value.dtype.hasobject:
            array = numpy.asarray(value)
            return _hash("array", str(array.dtype), repr(array.shape), array.tobytes())
        return None

    def _object(self, value: Any) -> bytes:
        """Return the digest of an object by its class and its state, as they are pickled."""
        wrapped = getattr(value, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType):  # of functools.cache and the like
            return _hash("wrapped", self.of(wrapped))
        if isinstance(value, Iterator):  # its state changes when it is used
            return self._unknown(value)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # a lock, a file, a connection
            return self._unknown(value)
        if isinstance(reduced, str):
            return _hash("global", type(value).__module__, reduced)
        build, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        if isinstance(state, dict) and _is_own(type(value).__module__):
            written = written_attributes(type(value))
            state = {name: type(one) if name in written else one for name, one in state.items() if name != "name"}
        parts = [self.of(build), self._all(arguments), self.of(state), self._all(items or ()), self._pairs(pairs or ())]
        return _hash("object", self.of(type(value)), *parts)

    def _unknown(self, value: Any) -> bytes:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        self.unknown.add(name)
        return _hash("unknown", name)


def _hash(kind: str, *parts: bytes | str) -> bytes:
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.digest()


def _cell(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is assigned later
        return None


def _inner(member: Any) -> Any:
    """Return the function of a static method, a class method or a property."""
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType):
        return member.__name__
    return member


def _is_own(module: str | None) -> bool:
    """Return whether a module is code of the user: neither Python's own, nor installed, nor of this package."""
    name = str(module).partition(".")[0]
    if name in sys.stdlib_module_names or name == "hybrid_search":
        return name == "__main__"
    file = getattr(sys.modules.get(str(module)), "__file__", None)
    installed = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return not (isinstance(file, str) and (file.startswith(installed) or "dist-packages" in file))
