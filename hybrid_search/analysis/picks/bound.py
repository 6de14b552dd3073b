"""A bound of `--pick`: `flops<=40M`, `latency<=5ms`, `accuracy>=92%`."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hybrid_search._internal.number_text import read_number
from hybrid_search.errors import SettingsError, UnknownName, nearest, shown
from hybrid_search.errors.synonyms import DIFFERENCES, SYNONYMS
from hybrid_search.objectives import TEST, Objective

BOUND = re.compile(r"\s*(?P<name>[^<>=≤≥]+?)\s*(?P<relation>[<>=≤≥]+)\s*(?P<number>[^<>=≤≥]+?)\s*")
RELATIONS = {"<=": "<=", "≤": "<=", ">=": ">=", "≥": ">="}


@dataclass(frozen=True)
class Bound:
    """A bound of one measured value.

    Attributes:
        name: name of the measurement.
        relation: "<=" or ">=".
        limit: the bound, in the unit of the measurement.
    """

    name: str
    relation: str
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bound."""
        return value <= self.limit if self.relation == "<=" else value >= self.limit


def read_bound(pick: str, measured: Collection[str], objectives: Mapping[str, Objective]) -> Bound | None:
    """Return the bound of a text; None if the text has none of the signs < > =.

    Args:
        pick: NAME<=X or NAME>=X. X may have a suffix k, M, G, the unit of the measurement, or % for a share.
        measured: names of the measurements of the search.
        objectives: objectives by name, which know units and ranges.

    Raises:
        SettingsError: the relation or the number is wrong, or the measurement is of the test split.
        UnknownName: the search has no such measurement.
    """
    found = BOUND.fullmatch(pick)
    if found is None:
        if any(sign in pick for sign in "<>=≤≥"):
            raise SettingsError(
                f"a bound of --pick must be NAME<=X or NAME>=X, such as 'flops<=40M'; got {shown(pick)}."
            )
        return None
    if found["relation"] not in RELATIONS:
        raise SettingsError(f"a bound of --pick must have <= or >=; got {found['relation']!r} in {shown(pick)}.")
    name = _measured_name(found["name"], measured)
    return Bound(name, RELATIONS[found["relation"]], _limit(pick, found["number"], objectives.get(name)))


def _measured_name(given: str, measured: Collection[str]) -> str:
    name = given.lower().replace("-", "_").replace(" ", "_") if given not in measured else given
    meant = [each for each in SYNONYMS.get(name, ()) if each in measured]
    if name not in measured and len(meant) == 1 and name not in DIFFERENCES:
        name = meant[0]
    if name.startswith(TEST):
        raise SettingsError(
            f"a bound of --pick must not use the test split, because a test result that selects a network is biased; "
            f"got {given}. Use {name.removeprefix(TEST)}."
        )
    if name not in measured:
        possible = sorted(each for each in measured if not each.startswith(TEST))
        raise UnknownName(
            f"a bound of --pick must be of a value that the search measured: {', '.join(possible)}; got {given!r}."
            f"{nearest(given, possible)}"
        )
    return name


def _limit(pick: str, text: str, objective: Objective | None) -> float:
    """Return the number of a bound; raise SettingsError if it is none, or impossible for this objective."""
    unit = objective.unit if objective else ""
    share = unit == "share"
    if share and text.endswith("%"):
        number = read_number(text[:-1])
        number = None if number is None else number / 100
    else:
        number = read_number(text)
        if number is None and unit and text.lower().endswith(unit.lower()):
            number = read_number(text[: -len(unit)])
    if number is None or not math.isfinite(number):
        raise SettingsError(
            f"the bound of --pick must be a number, such as 40M or 0.92; got {shown(text)} in {pick!r}."
        )
    if share and not 0 <= number <= 1:
        possible = f" Use {number:g}% or {number / 100:g}." if 1 < number <= 100 else ""
        raise SettingsError(
            f"{objective.name if objective else ''} must be 0 to 1, or 0% to 100%; got {text}.{possible}"
        )
    return float(number)
