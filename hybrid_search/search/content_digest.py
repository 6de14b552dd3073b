"""content_digest: a hash of the code and constants of a Python object, the same in every process that makes it.

Two parts are kept apart. The digest counts code and values that cannot change: numbers, texts, tuples, frozen data
classes, functions, classes, and modules of installed packages by name and version. Values that can change (lists,
dictionaries, arrays, networks, generators of random numbers) count by their class. Their content has a digest of its
own, because a program may change it while it runs.
"""

import types
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from inspect import getattr_static
from operator import itemgetter
from pathlib import PurePath
from typing import Any

from hybrid_search._internal.installed_code import is_own
from hybrid_search.search import digest_parts as parts
from hybrid_search.search.digest_parts import digest_of

PLAIN = (bool, int, float, complex, str, bytes, types.EllipsisType, types.NoneType, types.NotImplementedType)

Steps = Generator[tuple[str, Any], bytes, bytes]  # yields (name, part), receives the digest of the part


@dataclass(frozen=True)
class Content:
    """The digests of the code and the values of an object.

    Attributes:
        digest: Digest of its code and of the values that cannot change, 64 hexadecimal digits.
        mutable: Class and name of each value in it that can change -> digest of its content now, 12 digits.
        unknown: Classes of the objects whose content cannot be hashed, such as a lock.
    """

    digest: str
    mutable: Mapping[str, str]
    unknown: tuple[str, ...]


def content_of(thing: Any) -> Content:
    """Return what an object does, in parts.

    Args:
        thing: A function, a class, an object, or any other value.

    Example:
        >>> content_of(evaluate).mutable
        {'list calls': '4f53cda18c2b'}
    """
    first = _Walk()
    first.of(thing)
    walk = _Walk(first.assigned)  # code that is met late may assign a name that is met early
    digest = walk.of(thing).hex()
    content = _Walk(strict=False)
    mutable: dict[str, list[bytes]] = {}
    for label, value in walk.mutable:
        mutable.setdefault(label, []).append(content.of(value))
    short = {label: digest_of("all", *sorted(digests)).hex()[:12] for label, digests in mutable.items()}
    return Content(digest, short, tuple(sorted(content.unknown | walk.unknown)))


def content_digest(thing: Any) -> str:
    """Return a digest of the code of an object and of the values in it that cannot change.

    It does not depend on the process, lines, comments, docstrings, the seed of hashes, or the depth of the stack. It
    depends on the version of Python.

    Args:
        thing: A function, a class, an object, or any other value.

    Returns:
        64 hexadecimal digits.

    Example:
        >>> content_digest(lambda architecture, settings: iter([]))[:12]
        '5d2b7c0f9a1e'
    """
    return content_of(thing).digest


class _Walk:
    """One walk over a value. It does not recurse: neither the depth of the value nor that of the stack matters.

    Args:
        assigned: Names that the code in the value assigns; see `assigned_names`.
        strict: Whether a value that can change counts by its class only. Otherwise all content counts.

    Attributes:
        assigned: The names that the code of this walk assigns.
        mutable: (class and name, value) of each value that can change.
        unknown: Classes of the objects whose content cannot be hashed.
    """

    def __init__(self, assigned: Iterable[str] = (), *, strict: bool = True) -> None:
        self.assigned: set[str] = set()
        self.mutable: list[tuple[str, Any]] = []
        self.unknown: set[str] = set()
        self._known = frozenset(assigned)
        self._strict = strict
        self._names: list[str] = []  # of the values that are being hashed, from the outside
        self._active: dict[int, int] = {}  # id of a value that is being hashed -> its level
        self._done: dict[int, tuple[bytes, Any]] = {}  # id -> digest, and the value so that its id stays its own

    def of(self, root: Any) -> bytes:
        """Return the digest of a value."""
        walks, self._names = [self._value(root)], [""]
        answer: Any = None  # starts a walk; afterwards the digest of the part that it yielded
        while walks:
            try:
                name, part = walks[-1].send(answer)
            except StopIteration as end:
                walks.pop()
                self._names.pop()
                answer = end.value
            else:
                walks.append(self._value(part))
                self._names.append(name)
                answer = None
        digest: bytes = answer
        return digest

    def _value(self, value: Any) -> Steps:
        if type(value) in PLAIN:
            return digest_of(type(value).__name__, repr(value))
        key = id(value)
        if key in self._active:
            return digest_of("cycle", str(len(self._active) - self._active[key]))
        if key not in self._done:
            self._active[key] = len(self._active)
            try:
                digest = yield from self._compound(value)
            except (RecursionError, MemoryError):
                raise
            except Exception:  # code of the object
                digest = self._unknown(value)
            finally:
                del self._active[key]
            self._done[key] = digest, value
        return self._done[key][0]

    def _all(self, values: Iterable[Any], name: str = "") -> Steps:
        digests = []
        for value in values:
            digests.append((yield name, value))
        return digest_of("all", *digests)

    def _named(self, pairs: Iterable[tuple[str, Any]], dot: str = "") -> Steps:
        """Return the digest of variables, or of attributes, with a dot. Those that the code assigns can change."""
        digests = []
        for name, value in sorted(pairs, key=itemgetter(0)):
            if self._strict and not {f"{dot}{name}", f"{dot}*"}.isdisjoint(self._known):
                self._record(value, dot + name)
            else:
                digests.append(digest_of("pair", name, (yield dot + name, value)))
        return digest_of("pairs", *digests)

    def _items(self, pairs: Iterable[tuple[Any, Any]]) -> Steps:
        digests = []
        for key, value in pairs:
            digests.append(digest_of("pair", (yield "", key), (yield f".{key}" if type(key) is str else "", value)))
        return digest_of("pairs", *sorted(digests))

    def _record(self, value: Any, name: str = "") -> None:
        """Note a value that can change, with its class, its variable and its attributes."""
        path = ""
        for one in (*self._names, name):
            path = path + one if one.startswith(".") else one or path
        self.mutable.append((f"{type(value).__qualname__} {path.removeprefix('.')}".strip(), value))

    def _compound(self, value: Any) -> Steps:
        kind = type(value)
        if isinstance(value, type):
            return (yield from self._class(value))
        if isinstance(value, types.FunctionType):
            return (yield from self._function(value))
        if isinstance(value, types.MethodType):
            return digest_of("method", (yield "self", value.__self__), (yield "", value.__func__))
        if isinstance(value, partial):
            given = yield from self._all(value.args, "argument")
            return digest_of("partial", (yield "", value.func), given, (yield from self._named(value.keywords.items())))
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            named = owner is None or isinstance(owner, types.ModuleType | type)
            name = parts.name_with_version(value.__module__, value.__qualname__)
            return digest_of("builtin", name, b"" if named else (yield "", owner))
        if isinstance(value, types.ModuleType):
            return digest_of("module", parts.name_with_version(value.__name__, ""))
        if isinstance(value, types.CodeType):
            return (yield from self._code(value))
        wrapped = getattr_static(value, "__wrapped__", None)
        if isinstance(wrapped, types.FunctionType):  # of functools.cache and the like
            return digest_of("wrapped", (yield "", wrapped))
        if kind is tuple:
            return digest_of("tuple", (yield from self._all(value)))
        if kind is frozenset:
            return self._set(value)
        if isinstance(value, PurePath):
            return digest_of("path", str(value))
        if isinstance(value, Enum):
            return digest_of("enum", kind.__qualname__, value.name, (yield "", value.value))
        if isinstance(value, Iterator):  # its state changes when it is used
            return self._unknown(value)
        if parts.is_frozen(kind):
            return digest_of("frozen", (yield "", kind), (yield from self._items(parts.attributes_of(value).items())))
        if self._strict and parts.is_own_object(value):
            state = yield from self._named(parts.attributes_of(value).items(), ".")
            return digest_of("own object", (yield "", kind), state)
        if self._strict and (parts.is_array(value) or not parts.is_value(value)):
            self._record(value)
            return digest_of("mutable", (yield "", kind))
        return (yield from self._content(value))

    def _content(self, value: Any) -> Steps:
        kind = type(value)
        if kind is list:
            return digest_of("list", (yield from self._all(value)))
        if kind is dict:
            return digest_of("dict", (yield from self._items(value.items())))
        if kind is set:
            return self._set(value)
        if kind is bytearray:
            return digest_of("bytearray", bytes(value))
        array = parts.array_digest(value)
        return array if array is not None else (yield from self._reduced(value))

    def _set(self, values: Iterable[Any]) -> bytes:
        digests = []
        for value in values:  # the seed of hashes orders them, so the walk of one must not depend on that of another
            walk = _Walk(self._known, strict=self._strict)
            digests.append(walk.of(value))
            self.assigned |= walk.assigned
            self.mutable += walk.mutable
            self.unknown |= walk.unknown
        return digest_of("set", *sorted(digests))

    # -- functions and classes --

    def _function(self, function: types.FunctionType) -> Steps:
        captured = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        cells = {name: parts.cell_content(cell) for name, cell in captured}
        module = function.__globals__.get("__name__", function.__module__)
        if not is_own(module):
            name = parts.name_with_version(module, function.__qualname__)
            return digest_of("function", name, (yield from self._named(cells.items())))
        self.assigned |= parts.assigned_names(function.__code__)
        names = parts.global_names(function.__code__)
        used = {name: function.__globals__[name] for name in names if name in function.__globals__}
        return digest_of(
            "own function",
            (yield "", function.__code__),
            (yield from self._all(function.__defaults__ or (), "default")),
            (yield from self._named((function.__kwdefaults__ or {}).items())),
            (yield from self._named({**used, **cells}.items())),
            (yield from self._modules([*used.values(), *cells.values()], function.__code__)),
            (yield from self._named([one for one in function.__dict__.items() if one[0] != "name"], ".")),
        )

    def _modules(self, values: Iterable[Any], code: types.CodeType) -> Steps:
        """Return the digest of what code uses of the user's own modules: their attributes that it names."""
        digests = []
        for module in values:
            if isinstance(module, types.ModuleType) and is_own(module.__name__):
                names = parts.used_names(code) & set(vars(module))
                pairs = [(name, vars(module)[name]) for name in names if not name.startswith("__")]
                inside = [pair for pair in pairs if not isinstance(pair[1], types.ModuleType)]
                digests.append(digest_of(module.__name__, (yield from self._named(inside, "."))))
        return digest_of("modules", *digests)

    def _code(self, code: types.CodeType) -> Steps:
        steps = []
        for operation, argument in parts.steps_of(code):
            steps.append(digest_of(operation, (yield "", argument)))
        return digest_of("code", *steps, code.co_exceptiontable, parts.signature_of(code))

    def _class(self, kind: type) -> Steps:
        name = kind.__qualname__
        if not is_own(kind.__module__):
            return digest_of("class", parts.name_with_version(kind.__module__, name))
        code, data = parts.members_of(kind)
        return digest_of(
            "own class",
            f"{kind.__module__}.{name}",
            (yield from self._all(kind.__bases__)),
            (yield from self._items(code.items())),
            (yield from self._named(data.items(), ".")),
        )

    # -- objects --

    def _reduced(self, value: Any) -> Steps:
        """Return the digest of an object by its class and its state, as they are pickled."""
        try:
            reduced = value.__reduce_ex__(4)
        except RecursionError:
            raise
        except Exception:  # a lock, a file, a connection
            return self._unknown(value)
        if isinstance(reduced, str):
            return digest_of("global", type(value).__module__, reduced)
        build, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        inside = yield from self._items(state.items()) if type(state) is dict else self._all((state,))
        more = digest_of("items", (yield from self._all(items or ())), (yield from self._items(pairs or ())))
        given = yield from self._all(arguments)
        return digest_of("object", (yield "", type(value)), (yield "", build), given, inside, more)

    def _unknown(self, value: Any) -> bytes:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        self.unknown.add(name)
        return digest_of("unknown", name)
