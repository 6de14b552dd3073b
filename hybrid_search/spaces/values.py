"""The values of a space file: each function returns a value in its stored form, or raises WrongValue with the law."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any

from hybrid_search._internal.number_text import real_number, whole_number
from hybrid_search._internal.places import Place
from hybrid_search.errors import HybridSearchError, SettingsError, nearest, shown
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.objectives import COSTS
from hybrid_search.ops import OPERATORS
from hybrid_search.ops.operator import as_declared, declared_types, option_names
from hybrid_search.plugins import TABLES, Table

LONGEST_NAME = 100  # characters of the name of a space
MOST_PARTS = 20  # of a text that was meant as a list
LONGEST_TEXT = 10_000  # characters of any other text
PARTS = {"operator": "an operator", "block": "a block", "stem": "a stem"}  # tables whose names a space may confuse

Choices = tuple[Any, ...]
Kinds = dict[str, tuple[dict[str, Choices], ...]]  # operator or stem -> its variants -> option -> choices


class WrongValue(ValueError):
    """A value that breaks a rule.

    Args:
        message: the law, the value, what is possible.
        place: keys and indices from the checked value to the wrong one.
        names: names that may begin the message: it is then about the entry of this name.
    """

    def __init__(self, message: str, place: Place = (), names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.message, self.place, self.names = message, place, tuple(names)


@contextmanager
def inside(*place: str | int, names: Iterable[str] = ()) -> Iterator[None]:
    """Add the outer part of the place to an error of the block.

    Args:
        place: keys and indices from the outer value to the one that the block checks.
        names: names that may begin the message of the block's error.
    """
    try:
        yield
    except WrongValue as fault:
        raise WrongValue(fault.message, (*place, *fault.place), fault.names or names) from None
    except HybridSearchError as error:
        raise WrongValue(str(error), place, names) from None


def text(value: object) -> str:
    """Return a text of at most 10,000 characters."""
    if not isinstance(value, str):
        hint = " Put it in quotes." if isinstance(value, bool | int | float) else ""
        raise WrongValue(f"must be text; got {shown(value)}.{hint}")
    if len(value) > LONGEST_TEXT or not _encodable(value):
        raise WrongValue(f"must be text of at most {LONGEST_TEXT:,} characters; got {shown(value)}.")
    return value


def combinations(options: Mapping[str, Choices]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the choices of options: option -> choice."""
    return (dict(zip(options, values, strict=True)) for values in product(*options.values()))


def space_name(value: object) -> str:
    """Return the name of a space: 1 to 100 characters that can be printed."""
    name = text(value)
    unseen = any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)
    if not name.strip() or len(name) > LONGEST_NAME or unseen:
        raise WrongValue(f"must be 1 to {LONGEST_NAME} characters that can be printed; got {shown(name)}.")
    return name


def one_of_texts(*names: str) -> Callable[[object], str]:
    """Return a function that accepts these texts only."""

    def chosen(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise WrongValue(f"must be one of {', '.join(names)}; got {shown(value)}.{nearest(value, names)}")
        return value

    return chosen


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return a function that accepts a whole number of this range, as a number or as text."""

    def number(value: object) -> int:
        try:
            return whole_number("", value, least, most)
        except SettingsError as error:
            raise WrongValue(str(error).lstrip()) from None

    return number


def wholes(least: int, most: int) -> Callable[[object], tuple[int, ...]]:
    """Return a function that accepts one whole number of this range or a list of choices."""
    one = whole(least, most)

    def several(value: object) -> tuple[int, ...]:
        return _choices(value, one)

    return several


def costs(value: object) -> dict[str, float]:
    """Return the default budget of a space: FLOPs, parameters or both, each more than 0."""
    found = {}
    for name, bound in mapping(value).items():
        if name not in COSTS:
            raise WrongValue(f"must have the keys {' or '.join(COSTS)}; got {shown(name)}.{nearest(name, COSTS)}")
        with inside(name):
            try:
                found[name] = real_number("", bound)
            except SettingsError as error:
                raise WrongValue(str(error).lstrip()) from None
            if found[name] <= 0:
                raise WrongValue(f"must be more than 0; got {shown(bound)}.")
    return found


def reals(least: float, most: float) -> Callable[[object], tuple[float, ...]]:
    """Return a function that accepts one number of this range or a list of choices."""

    def one(value: object) -> float:
        try:
            return real_number("", value, least, most)
        except SettingsError as error:
            raise WrongValue(str(error).lstrip()) from None

    return lambda value: _choices(value, one)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping whose keys are text."""
    if not isinstance(value, Mapping):
        hint = " Put a space after the colon." if isinstance(value, str) and ":" in value else ""
        raise WrongValue(f"must be a mapping of names to values; got {shown(value)}.{hint}")
    for key in value:
        if not isinstance(key, str) or not _encodable(key):
            raise WrongValue(f"must have keys that are text; got {shown(key)}.")
    return value


def entries(what: str) -> Callable[[object], object]:
    """Return a function that accepts a list with at least one entry.

    Args:
        what: one entry, in the singular.
    """

    def listed(value: object) -> object:
        if not isinstance(value, list | tuple) or not value:
            got = "an empty list" if isinstance(value, list | tuple) else shown(value)
            raise WrongValue(f"must be a list with at least one {what}; got {got}.")
        return value

    return listed


def kinds_of(table: Table[type[Any]]) -> Callable[[object], Kinds]:
    """Return a function that accepts operators or stems: `conv`, `[conv, ...]` or a mapping of each to its options.

    Args:
        table: the table of operators or of stems; the declared types of options come from it.
    """

    def kinds(value: object) -> Kinds:
        if not isinstance(value, Mapping):
            return {name: ({},) for name in _choices(value, kind_name)}
        if not value:
            raise WrongValue(f"must name at least one {table.kind}; got none.")
        found = {}
        for name, options in mapping(value).items():
            with inside(name):
                declared = declared_types(table[kind_name(name)])
                found[name] = _variants(options, declared)
        return found

    def kind_name(value: object) -> str:
        if not isinstance(value, str):
            hint = " Write it as a mapping of names, without a list." if isinstance(value, Mapping) else ""
            raise WrongValue(f"must be one of {', '.join(table.names())}; got {shown(value)}.{hint}")
        try:
            table[text(value)]
        except HybridSearchError as error:
            owners = [name for name in table if table.is_built_in(name) and value in option_names(table[name])]
            hint = f" It is an option: write it below {owners[0]}." if owners else ""
            others = [
                each.kind for each in TABLES.values() if each.kind in PARTS and each is not table and value in each
            ]
            if others and not hint and "Did you mean" not in str(error):
                hint = f" This is the name of {PARTS[others[0]]}."
            raise WrongValue(f"{error}{hint}") from None
        return value

    return kinds


def operators_by_block(value: object) -> dict[str, Kinds] | None:
    """Return the possible operators of each block: block -> operators."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        got = "nothing in it" if isinstance(value, Mapping) else shown(value)
        raise WrongValue(f"must be a mapping of blocks to operators, such as {{basic: conv}}; got {got}.")
    names, read = kinds_of(BLOCKS), kinds_of(OPERATORS)
    found = {}
    for block, operators in mapping(value).items():
        with inside(block):
            names(block)
            found[block] = read(operators)
    return found


def _variants(options: object, declared: Mapping[str, type]) -> tuple[dict[str, Choices], ...]:
    """Return the variants of one operator, from a mapping of options or a list of such mappings. Nothing: defaults."""
    if not isinstance(options, list | tuple):
        return (_options({} if options is None else options, declared),)
    if not options:
        raise WrongValue("must have at least one variant; got none.")
    found = []
    for index, variant in enumerate(options):
        with inside(index):
            found.append(_options(variant, declared))
    return tuple(found)


def _options(options: object, declared: Mapping[str, type]) -> dict[str, Choices]:
    """Return the choices of each option of one variant."""
    found = {}
    for name, value in mapping(options).items():
        with inside(name):
            found[name] = _choices(value, lambda each, name=name: _option_value(each, declared.get(name)))  # type: ignore[misc]
    return found


def _option_value(value: object, declared: type | None) -> object:
    """Return the value of an option in its declared type. None passes: the operator has the words to refuse it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise WrongValue(f"must be finite; got {shown(value)}.")
    if value is not None and not isinstance(value, bool | int | float | str):
        raise WrongValue(f"must be a number, text, true or false; got {shown(value)}.")
    return text(found) if isinstance(found := as_declared(value, declared), str) else found


def _choices(value: object, check: Callable[[object], Any]) -> tuple[Any, ...]:
    """Return the choices of a list, or the one choice that a single value is. They differ from each other."""
    if not isinstance(value, list | tuple):
        try:
            return (check(value),)
        except WrongValue as fault:
            raise (_meant_list(value, check, fault) or fault) from None
    if not value:
        raise WrongValue("must have at least one choice; got none.")
    found = []
    for index, each in enumerate(value):
        with inside(index):
            found.append(check(each))
    seen: set[tuple[type, object]] = set()
    for each in found:
        if (type(each), each) in seen:
            raise WrongValue(f"must have choices that differ from each other; got {shown(each)} twice.")
        seen.add((type(each), each))
    return tuple(found)


def _meant_list(value: object, check: Callable[[object], Any], fault: WrongValue) -> WrongValue | None:
    """Return the fault with a hint if the value is a text such as `8, 16` whose parts are legal, otherwise None."""
    parts = [part for part in re.split(r"[,\s]+", value) if part] if isinstance(value, str) else []
    if len(parts) < 2 or len(parts) > MOST_PARTS:
        return None
    try:
        for part in parts:
            check(part)
    except WrongValue:
        return None
    law = fault.message.partition("; got ")[0]
    return WrongValue(f"{law}; got {shown(value)}. Use [{', '.join(parts)}].", fault.place, fault.names)


def _encodable(value: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in value)  # halves of characters
