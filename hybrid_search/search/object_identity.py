"""Identity of the registered objects that a search uses: two objects under one name never share a search.

A search stores a digest of the code of each registered operator, block and stem of its space, and of its data set. An
entry of the package or of a plugin has none: its name and the version of its package say what it is.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from hybrid_search.data import DATASETS
from hybrid_search.errors import LedgerError
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.stems import STEMS
from hybrid_search.ops import OPERATORS
from hybrid_search.plugins import Table
from hybrid_search.records import SearchRecord
from hybrid_search.search.content_digest import content_digest

DIGITS = 12  # hexadecimal digits of a digest
PARTS: dict[str, Table[Any]] = {"operator": OPERATORS, "block": BLOCKS, "stem": STEMS}  # key of a space -> its table

TABLES: tuple[Table[Any], ...] = (*PARTS.values(), DATASETS)


def object_identities(record: SearchRecord) -> dict[str, str]:
    """Return the registered objects that a search uses: "operator shift" -> digest of its code @ version of Python.

    Args:
        record: The search.
    """
    names = [*_names_in(record.space), (DATASETS, record.settings.data)]
    used = {f"{table.kind} {name}": table.registered()[name] for table, name in names if name in table.registered()}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {name: f"#{content_digest(thing)[:DIGITS]}@{python}" for name, thing in sorted(used.items())}


def check_objects(record: SearchRecord, stored: Mapping[str, str]) -> None:
    """Check that the registered objects of this process are those that a stored search began with.

    Bytecode of two versions of Python is not compared. An object that is absent here is found by what needs it.

    Args:
        record: The search in the ledger.
        stored: The identities in the ledger.

    Raises:
        LedgerError: A name belongs to another object here.
    """
    if differences := object_differences(stored, record):
        raise LedgerError(
            f"a search must be continued with its own objects; in search {record.name!r}, {'; '.join(differences)}. "
            "Register the object that the search began with, or choose another name (--name) for a new search."
        )


def object_differences(stored: Mapping[str, str], record: SearchRecord) -> list[str]:
    """Return how the registered objects of this process differ from the stored ones of a search, in words.

    Args:
        stored: The identities in the ledger.
        record: The search.
    """
    now = object_identities(record)
    known = {f"{table.kind} {name}" for table in TABLES for name in table}
    found = []
    for name in sorted({*stored, *now} & known):
        was, here = stored.get(name), now.get(name)
        if was and here and (was == here or was.partition("@")[2] != here.partition("@")[2]):
            continue
        found.append(f"{name} is {_words(was)} (got {_words(here)})")
    return found


def _words(identity: str | None) -> str:
    return "that of a package" if identity is None else f"the registered object {identity}"


def _names_in(content: object, key: str = "") -> Iterator[tuple[Table[Any], str]]:
    """Yield the tables and names of all operators, blocks and stems of a stored space."""
    if isinstance(content, Mapping):
        if key in PARTS:
            yield from ((PARTS[key], name) for name in content if isinstance(name, str))
        for inner, value in content.items():
            if inner == "by_block" and isinstance(value, Mapping):  # block -> operators
                yield from ((BLOCKS, name) for name in value if isinstance(name, str))
                for operators in value.values():
                    yield from _names_in(operators, "operator")
            else:
                yield from _names_in(value, inner if isinstance(inner, str) else "")
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _names_in(value, key)
    elif isinstance(content, str) and key in PARTS:
        yield PARTS[key], content
