"""Convert the validation errors of pydantic in a space file to error messages of this package."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ValidationError

from hybrid_search._internal.places import Place, dotted, placed
from hybrid_search.errors import listed, nearest, shown
from hybrid_search.networks.blocks import BLOCKS, BOTTLENECK
from hybrid_search.ops import OPERATORS
from hybrid_search.ops.operator import option_names
from hybrid_search.plugins import Table
from hybrid_search.records import Settings
from hybrid_search.spaces.values import WrongValue


def first_fault(error: ValidationError, forms: Mapping[str, type[BaseModel]]) -> tuple[Place, str]:
    """Return the place of the most helpful fault and its message: the rule, the value, what is possible.

    Args:
        error: what pydantic raised.
        forms: first key of a place -> the form of its entries; "": the form of the whole space.
    """
    faults = error.errors(include_url=False)
    # A misspelt key causes two faults, an unknown key and a missing one. The unknown key explains more.
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    place: Place = tuple(fault["loc"])
    wrong = fault.get("ctx", {}).get("error")
    if fault["type"] == "extra_forbidden":
        return place, _unknown_key(place, forms)
    if fault["type"] == "missing":
        return place[:-1], _missing_key(place, fault["input"])
    if isinstance(wrong, WrongValue):
        place = (*place, *wrong.place)
        return place, placed(place, wrong.message, wrong.names)
    return place, f"{dotted(place)} must have a legal value; got {shown(fault['input'])}."


def _unknown_key(place: Place, forms: Mapping[str, type[BaseModel]]) -> str:
    key = str(place[-1])
    form = forms[str(place[0]) if len(place) > 1 else ""]
    known = list(form.model_fields)
    where = f"keys of {dotted(place[:-1])}" if len(place) > 1 else "keys of a space"
    hint = nearest(key, known)
    settings = [field.name for field in fields(Settings)]
    unusual = next((letter for letter in key if letter.isspace() and letter != " "), None)
    if ":" in key:
        hint = " Put a space after the colon."
    elif unusual is not None:
        hint = f" It has the character U+{ord(unusual):04X}, which YAML does not take as a space."
    elif len(place) == 1 and key in settings:
        hint = f" Write it under settings: {{{key}: ...}}."
    elif len(place) == 1 and not hint:
        hint = nearest(key, settings).replace("?", " under settings?")
    elif "operator" in known and (owners := _owners(key, BLOCKS)):
        hint = f" Write it under block: {{{owners[0]}: {{{key}: ...}}}}."
    elif "operator" in known and (owners := _owners(key, OPERATORS)):
        hint = f" Write it under operator: {{{owners[0]}: {{{key}: ...}}}}."
    return f"{where} are {', '.join(known)}; got {shown(key)}.{hint}"


def _owners(option: str, table: Table[type[Any]]) -> list[str]:
    """Return the built-in operators or blocks that have an option of this name. A bottleneck has no own expansion."""
    names = [name for name in table if table.is_built_in(name) and (name, option) != (BOTTLENECK, "expansion")]
    return [name for name in names if option in option_names(table[name])]


def _missing_key(place: Place, given: Any) -> str:
    owner = dotted(place[:-1]) or "a space"
    return f"{owner} needs the key {place[-1]}; got {listed(given)}."
