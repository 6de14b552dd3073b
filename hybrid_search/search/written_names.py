"""Which variables a function changes: a list of calls, a counter. Their content is a record, not a setting.

The digest of an evaluation leaves such content out. Otherwise a search could not continue in the process that ran it.
"""

import dis
import types

MUTATORS = (
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft", "put",
    "put_nowait", "remove", "set", "setdefault", "update", "write", "writelines",
)  # fmt: skip
LOADS = ("LOAD_DEREF", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_FAST", "LOAD_CLASSDEREF")
ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR")
STORES = ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_ATTR", "DELETE_ATTR", "STORE_SLICE")
ASSIGNMENTS = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")
BUILDERS = ("__init__", "__post_init__", "__new__", "__setstate__", "__getstate__", "__reduce__")


def global_names(code: types.CodeType) -> set[str]:
    """Return the global variables that a function and the functions inside it use.

    Args:
        code: The code of the function.
    """
    found = {str(one.argval) for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return found.union(*(global_names(one) for one in inner))


def written_names(code: types.CodeType) -> set[str]:
    """Return the captured and global variables that a function, or a function inside it, assigns or changes.

    Args:
        code: The code of the function.
    """
    return {name for name, _ in _written(code)}


def written_attributes(kind: type) -> frozenset[str]:
    """Return the attributes that the methods of a class change after the object was built.

    Args:
        kind: The class; its bases count too.
    """
    found: set[str] = set()
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, types.FunctionType) and name not in BUILDERS and member.__code__.co_varnames:
                self_name = member.__code__.co_varnames[0]
                found |= {attribute for owner, attribute in _written(member.__code__) if owner == self_name}
    return frozenset(found - {""})


def _written(code: types.CodeType) -> set[tuple[str, str]]:
    """Return (variable, its first attribute or "") of everything that code assigns or changes."""
    found: set[tuple[str, str]] = set()
    instructions = list(dis.get_instructions(code))
    for one in instructions:
        if one.opname in ASSIGNMENTS:
            found.add((str(one.argval), ""))
        elif one.opname in STORES or (one.opname in ATTRIBUTES and one.argval in MUTATORS):
            found |= _target(instructions, one)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _written(constant)
    return found


def _target(instructions: list[dis.Instruction], change: dis.Instruction) -> set[tuple[str, str]]:
    """Return variable and first attribute of what an instruction changes: the text of both begins at one place."""
    if change.positions is None or change.positions.lineno is None:
        return set()
    start = change.positions[0::2]  # line and column
    here = [one for one in instructions if one.positions is not None and one.positions[0::2] == start]
    names = [str(one.argval) for one in here if one.opname in LOADS]
    attributes = [one for one in here if one.opname in ATTRIBUTES]
    ends = sorted(
        (*(one.positions or ())[1::2], str(one.argval)) for one in attributes
    )  # the first attribute ends first
    attribute = ends[0][-1] if ends and ends[0][-1] not in MUTATORS else ""
    return {(name, str(attribute)) for name in names}
