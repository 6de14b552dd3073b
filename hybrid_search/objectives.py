"""The table of objectives: what a search can optimize, and which direction is better.

Other packages add objectives through the entry-point group `hybrid_search.objectives`; an entry is an `Objective`.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from hybrid_search.errors import SettingsError, is_number, nearest, one_of
from hybrid_search.plugins import Table

__all__ = [
    "BUILT_IN",
    "COSTS",
    "MEASURED_BY_TRAINING",
    "OBJECTIVES",
    "Direction",
    "Objective",
    "check_measured",
    "from_json",
    "given_objectives",
    "objectives",
    "scaled",
    "to_json",
]

Direction = Literal["maximize", "minimize"]
TESTED = ("accuracy", "balanced_accuracy", "macro_f1")  # retrainings measure them on the test split too,
TEST = "test_"  # under a name that begins like this; never an objective
ROUNDING = 1e-6  # relative error of a mean in float32
LOGARITHMIC = ("flops", "params", "train_seconds", "latency_ms")  # costs that span powers of ten
NAME_LENGTH = 100  # characters of a measurement's name in the ledger


@dataclass(frozen=True)
class Objective:
    """One number to optimize: its name, its direction, and how people read it.

    Args:
        name: Name of the measurement.
        direction: "maximize" or "minimize".
        label: Name for people, on axes and in tables.
        unit: Unit after the number; "share" for a number that is shown in percent. A share outside 0 to 1 is refused.
        known: Whether the value is known before training. Only FLOPs and parameters are.
        worst: The worst possible value, used as reference of the hypervolume; None: no such value.
        best: The best possible value; None: no such value. A value worse than `worst` or better than `best` is refused.

    Raises:
        SettingsError: A field is wrong.

    Example:
        >>> spread = Objective("spread", "maximize", "spread of the logits", "")
        >>> run("digits", trials=20, objectives=(spread, "flops"), evaluate=evaluate)
    """

    name: str
    direction: Direction
    label: str = ""
    unit: str = ""
    known: bool = False
    worst: float | None = None
    best: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= NAME_LENGTH:
            raise SettingsError(f"the name of an objective must have 1 to {NAME_LENGTH} characters; got {self.name!r}.")
        one_of(f"the direction of objective {self.name}", self.direction, ("maximize", "minimize"), SettingsError)
        for what in ("worst", "best"):
            value = getattr(self, what)
            if value is not None and not (is_number(value) and math.isfinite(value)):
                raise SettingsError(f"{what} of objective {self.name} must be a finite number or None; got {value!r}.")
        if self.worst is not None and self.best is not None:
            gain = self.best - self.worst if self.direction == "maximize" else self.worst - self.best
            if gain <= 0:
                raise SettingsError(
                    f"worst of objective {self.name} must be worse than its best, {self.best!r}, because it is "
                    f"{self.direction}d; got {self.worst!r}."
                )
        for what in ("label", "unit"):
            if not isinstance(getattr(self, what), str):
                raise SettingsError(f"{what} of objective {self.name} must be text; got {getattr(self, what)!r}.")
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))

    @property
    def range(self) -> tuple[float | None, float | None]:
        """The lowest and the highest possible value; None where there is no bound."""
        bounds = (self.worst, self.best) if self.direction == "maximize" else (self.best, self.worst)
        share = self.unit == "share"
        low, high = (
            bound if bound is not None or not share else end for bound, end in zip(bounds, (0, 1), strict=True)
        )
        return low, high

    def range_problem(self, value: float) -> str | None:
        """Return why a value is impossible, in one line; None if it is possible, or not finite.

        Args:
            value: the number in the unit of the objective. An error of rounding beyond a bound is allowed.
        """
        low, high = self.range
        below = low is not None and value < low - ROUNDING * max(1.0, abs(low))
        above = high is not None and value > high + ROUNDING * max(1.0, abs(high))
        if not math.isfinite(value) or not (below or above):
            return None
        rule = f"{low:g} to {high:g}" if low is not None and high is not None else ""
        rule = rule or (f"at least {low:g}" if low is not None else f"at most {high:g}")
        percent = (low, high) == (0, 1) and 1 < value <= 100
        remedy = (
            "Divide a number in per cent by 100." if percent else "Report another quantity under a name of its own."
        )
        return f"{self.name} must be {rule}; got {value:g}. {remedy}"

    def text(self, value: float | None) -> str:
        """Return a value as people read it, with its unit: `97.2 %`, `3.41 MFLOPs`, `12.3 k`.

        Args:
            value: the number in the unit of the objective; None: "-".
        """
        if value is None:
            return "-"
        if self.unit == "share":
            return f"{100 * value:.2f} %"
        return f"{scaled(value)}{self.unit}".rstrip()  # without a unit, no space follows the number

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return the objective that `to_dict` wrote. Fields of a later version are ignored.

        Args:
            content: the fields as plain JSON.
        """
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in content.items() if name in names})

    @property
    def logarithmic(self) -> bool:
        """Whether charts draw this objective on a logarithmic axis."""
        return self.name in LOGARITHMIC

    @property
    def is_built_in(self) -> bool:
        """Whether the package itself defines this objective, in the same way."""
        return BUILT_IN.get(self.name) == self


def scaled(value: float) -> str:
    """Return three significant digits and a prefix: 3410000 -> `3.41 M`. It ends in a space or a prefix.

    Args:
        value: Any number.
    """
    for bound, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound * 0.9995:
            return f"{value / bound:.3g} {prefix}"
    return f"{value:.3g} "


BUILT_IN: Mapping[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("accuracy", "maximize", "validation accuracy", "share", worst=0.0, best=1.0),
        Objective("balanced_accuracy", "maximize", "balanced validation accuracy", "share", worst=0.0, best=1.0),
        Objective("macro_f1", "maximize", "validation macro F1", "share", worst=0.0, best=1.0),
        Objective("loss", "minimize", "validation loss", "nats", best=0.0),
        Objective("flops", "minimize", "cost (2 x MACs)", "FLOPs", known=True),
        Objective("params", "minimize", "parameters", "", known=True),
        Objective("train_seconds", "minimize", "training time", "s", best=0.0),
        Objective("latency_ms", "minimize", "inference latency, one image", "ms", best=0.0),
    )
}


COSTS = tuple(name for name, objective in BUILT_IN.items() if objective.known)  # exact for every architecture
# What the package's own training measures, with the costs; a test compares it with a training.
MEASURED_BY_TRAINING = (*TESTED, "loss", "train_loss", *COSTS, "train_seconds", "latency_ms")


def check_measured(chosen: Iterable[Objective]) -> None:
    """Check that training measures these objectives.

    Args:
        chosen: The objectives of a search without an evaluation of its own.

    Raises:
        SettingsError: An objective needs an evaluation of the user's own.
    """
    for objective in chosen:
        if objective.name not in MEASURED_BY_TRAINING:
            raise SettingsError(
                f"without an evaluation of your own, an objective must be one that training measures: "
                f"{', '.join(MEASURED_BY_TRAINING)}; got {objective.name!r}. Measure it in Python: "
                "run(..., evaluate=...)."
            )


def _check(name: str, thing: object) -> Objective:
    """Return the objective of a plugin, or raise SettingsError."""
    if not isinstance(thing, Objective):
        raise SettingsError(f"an objective must be an Objective; got {type(thing).__name__}.")
    if thing.name != name:
        raise SettingsError(f"the entry point of an objective must have its name, {thing.name}; got {name}.")
    _check_own_name(thing)
    return _unknown_before_training(thing)


OBJECTIVES: Table[Objective] = Table("objective", "hybrid_search.objectives", BUILT_IN, check=_check)


def objectives(given: Iterable[str | Objective]) -> tuple[Objective, ...]:
    """Return the objectives of a search, in order.

    Args:
        given: Names of the table, or `Objective` values of your own.

    Raises:
        UnknownName: No objective has this name.
        SettingsError: There is none, two have the same name, or one of your own claims to be known before training.
    """
    found = tuple(
        OBJECTIVES[each] if isinstance(each, str) else each if each.is_built_in else _unknown_before_training(each)
        for each in given
    )
    names = [objective.name for objective in found]
    if not names or len(set(names)) != len(names):
        raise SettingsError(f"objectives must be one or more different names; got {', '.join(names) or 'none'}.")
    return found


def given_objectives(given: object) -> tuple[Objective, ...]:
    """Return the objectives of a new search, as `objectives` does; check their types and names as well.

    Args:
        given: Names of the table, or `Objective` values of your own.

    Raises:
        UnknownName: No objective has this name.
        SettingsError: This is no sequence of names and objectives, or a name cannot be used.
    """
    if isinstance(given, str | Objective):
        raise SettingsError(f"objectives must be a sequence; got {given!r}. Use objectives=({given!r},).")
    if not isinstance(given, Iterable):
        raise SettingsError(f"objectives must be a sequence of names and Objective values; got {given!r}.")
    found = list(given)
    for each in found:
        if not isinstance(each, str | Objective):
            raise SettingsError(f"objectives must be names and Objective values; got {each!r}.")
        if isinstance(each, Objective) and not each.is_built_in:
            _check_own_name(each)
    return objectives(found)


def _check_own_name(own: Objective) -> None:
    """Raise SettingsError if an objective of the user has a name that the command line or the table cannot take."""
    if any(letter in ",:" or unicodedata.category(letter) in ("Cc", "Cs") for letter in own.name):
        raise SettingsError(
            f"the name of an objective must have no comma, colon or control character; got {own.name!r}."
        )
    if own.name in BUILT_IN and not own.known:
        raise SettingsError(
            f"objective names of the package keep their meaning; got another definition of {own.name!r}. Use another "
            f"name, or the text {own.name!r} for the objective of the package."
        )


def to_json(names: Iterable[str], own: Iterable[Objective]) -> list[Any]:
    """Return the objectives of a search as the ledger stores them: a name, or all fields of an objective of its own.

    Args:
        names: Names of the objectives, in order.
        own: The objectives that the package does not have.
    """
    fields_of = {objective.name: objective.to_dict() for objective in own}
    return [fields_of.get(name, name) for name in names]


def from_json(stored: Iterable[Any]) -> tuple[tuple[str, ...], tuple[Objective, ...]]:
    """Return the names that `to_json` wrote, and the objectives that were stored with all fields.

    Args:
        stored: The list that `to_json` wrote.
    """
    names, own = [], []
    for entry in stored:
        names.append(entry if isinstance(entry, str) else entry["name"])
        if not isinstance(entry, str):
            own.append(Objective.from_dict(entry))
    return tuple(names), tuple(own)


def _unknown_before_training(objective: Objective) -> Objective:
    """Return the objective, or raise SettingsError if it claims to be known before training."""
    if objective.known:
        names = [name for name, built_in in BUILT_IN.items() if built_in.known]
        raise SettingsError(
            f"only {' and '.join(names)} are known before training; got {objective.name!r} with known=True. Use "
            f"known=False.{nearest(objective.name, names)}"
        )
    return objective
