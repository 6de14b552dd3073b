"""The parts of Python objects that `content_digest` hashes: code, members of classes, attributes, bytes."""

import contextlib
import dis
import functools
import hashlib
import sys
import types
from collections.abc import Iterator
from enum import Enum
from inspect import getattr_static
from typing import Any

from hybrid_search._internal.installed_code import is_own

NOT_CONTENT = (  # attributes of a class that say nothing about what it does, or depend on lines
    "__module__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__firstlineno__", "__static_attributes__",
    "__qualname__", "__abstractmethods__", "_abc_impl", "__dataclass_params__", "__dataclass_fields__",
    "__match_args__", "__slots__", "__annotate_func__", "__annotations_cache__", "__hash__", "__repr__",
)  # fmt: skip
LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
STORES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF", "STORE_ATTR", "DELETE_ATTR")
BUILDERS = ("__init__", "__post_init__", "__new__", "__setstate__")  # run once, before the object is used
INDIRECT = {  # a name in code -> what the code may assign without naming it
    "setattr": ".*", "delattr": ".*", "vars": ".*", "__dict__": ".*", "__setattr__": ".*", "globals": "*",
}  # fmt: skip


def digest_of(kind: str, *parts: bytes | str) -> bytes:
    """Return the digest of a kind of value and its parts, 32 bytes.

    Args:
        kind: What the value is.
        parts: Texts, and digests of its parts.
    """
    digest = hashlib.sha256(kind.encode())
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.digest()


# -- code --


def codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of a function and of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes_of(constant)


def global_names(code: types.CodeType) -> list[str]:
    """Return the global variables that code uses, sorted; special names such as `__file__` are left out."""
    steps = (one for inner in codes_of(code) for one in dis.get_instructions(inner) if one.opname in LOADS)
    return sorted({str(one.argval) for one in steps if not str(one.argval).startswith("__")})


def used_names(code: types.CodeType) -> set[str]:
    """Return the names of global variables and attributes in code."""
    return {name for inner in codes_of(code) for name in inner.co_names}


def assigned_names(code: types.CodeType) -> set[str]:
    """Return what code assigns: its global and captured variables, and attributes with a dot before the name.

    `.*` stands for any attribute and `*` for any global variable, where the code assigns without a name.
    """
    if code.co_name in BUILDERS:
        return set()
    found = {INDIRECT[name] for name in used_names(code) & set(INDIRECT)}
    for inner in codes_of(code):
        for one in dis.get_instructions(inner):
            if one.opname in STORES and (one.opcode not in dis.hasfree or one.argval in inner.co_freevars):
                found.add(f".{one.argval}" if "ATTR" in one.opname else str(one.argval))
    return found


def steps_of(code: types.CodeType) -> Iterator[tuple[str, Any]]:
    """Yield (operation, argument) of bytecode, without lines, docstrings and the names of local variables."""
    for one in dis.get_instructions(code):
        named = one.opcode in dis.hasconst or one.opcode in dis.hasname or one.opcode in dis.hasfree
        yield one.opname, one.argval if named else one.arg


def signature_of(code: types.CodeType) -> str:
    """Return a text of the arguments, the captured variables and the kind of a function."""
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return repr((arguments, code.co_freevars, counts))


def cell_content(cell: types.CellType) -> Any:
    """Return the value of a captured variable; None before its first assignment."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


# -- classes, objects and modules --


def name_with_version(module: str | None, name: str) -> str:
    """Return the full name of a thing of an installed package, with the version of the package.

    The version of this package does not count: its numbers stay comparable, or its changelog says so.

    Args:
        module: The module of the thing.
        name: Its qualified name.
    """
    top = str(module).partition(".")[0]
    version = getattr(sys.modules.get(top), "__version__", None) if top != "hybrid_search" else None
    return f"{module}.{name}" + (f" {version}" if isinstance(version, str) else "")


def members_of(kind: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the code and the values in a class of the user, by name."""
    members = {name: member for name, member in vars(kind).items() if name not in NOT_CONTENT}
    inner = {name: _code_of(member) for name, member in members.items()}
    code = {name: member for name, member in inner.items() if member is not None}
    if issubclass(kind, Enum):
        return code, {one.name: one.value for one in kind}
    return code, {name: member for name, member in members.items() if name not in code}


def _code_of(member: Any) -> Any:
    """Return the code of a member of a class, the name of the class of a descriptor; None for a value."""
    if isinstance(member, types.FunctionType | type):
        return member
    if isinstance(member, staticmethod | classmethod):
        return member.__func__
    if isinstance(member, property):
        return (member.fget, member.fset, member.fdel)
    if isinstance(member, functools.cached_property):
        return member.func
    return type(member).__qualname__ if hasattr(type(member), "__get__") else None


def attributes_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object of the user's own class, without those that a cached property stored."""
    found: dict[str, Any] = {}
    for kind in reversed(type(value).__mro__):
        for name, member in vars(kind).items():
            if isinstance(member, types.MemberDescriptorType):  # of __slots__
                try:
                    found[name] = member.__get__(value, kind)
                except AttributeError:  # not assigned yet
                    continue
    with contextlib.suppress(AttributeError):  # all of them have a slot
        found |= object.__getattribute__(value, "__dict__")
    cached = functools.cached_property
    return {name: one for name, one in found.items() if not isinstance(getattr_static(type(value), name, None), cached)}


def is_own_object(value: Any) -> bool:
    """Return whether the class of an object and all its bases are code of the user."""
    bases = [kind for kind in type(value).__mro__ if kind is not object and kind.__module__ not in ("abc", "typing")]
    return bool(bases) and all(is_own(kind.__module__) for kind in bases)


def is_frozen(kind: type) -> bool:
    """Return whether a class is a frozen data class."""
    parameters = getattr(kind, "__dataclass_params__", None)
    return parameters is not None and bool(parameters.frozen)


def is_value(value: Any) -> bool:
    """Return whether an object cannot change: a frozen data class, or a hash by content, as Python's rules demand."""
    if is_frozen(type(value)):
        return True
    try:
        hash(value)
    except Exception:  # unhashable, or code of the object
        return False
    own: Any = type(value).__hash__
    return own is not object.__hash__


# -- arrays --


def is_array(value: Any) -> bool:
    """Return whether a value is an array of numpy or a tensor of torch; a number of numpy is none."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    return (torch is not None and isinstance(value, torch.Tensor)) or (
        numpy is not None and isinstance(value, numpy.ndarray)
    )


def array_digest(value: Any) -> bytes | None:
    """Return the digest of an array, a tensor or a number of numpy by its bytes; None for another value."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor) and value.layout == torch.strided:
        raw = value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return digest_of("tensor", str(value.dtype), repr(tuple(value.shape)), raw)
    if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic) and not value.dtype.hasobject:
        array = numpy.asarray(value)
        return digest_of("array", str(array.dtype), repr(array.shape), array.tobytes())
    return None
