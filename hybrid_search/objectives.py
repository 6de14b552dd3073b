"""The table of objectives: what a search can be asked to trade, and which way is better."""

from dataclasses import dataclass
from typing import Literal

from hybrid_search.errors import SettingsError, one_of

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Objective:
    """One measured number: its direction, how it is written, and whether it is known before training."""

    name: str
    direction: Direction
    label: str
    unit: str
    known: bool
    worst: float | None = None  # a natural reference for the hypervolume, where the number has one
    best: float | None = None  # where the scale ends: a better number cannot be

    def text(self, value: float | None) -> str:
        """The value as a person reads it, with its unit: `97.2 %`, `3.41 MFLOPs`, `12.3 k`."""
        if value is None:
            return "-"
        if self.unit == "share":
            return f"{100 * value:.2f} %"
        return f"{scaled(value)}{self.unit}"


def scaled(value: float) -> str:
    """Three significant digits and a prefix: 3410000 -> `3.41 M`; ends in a space or a prefix."""
    for bound, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= bound * 0.9995:
            return f"{value / bound:.3g} {prefix}"
    return f"{value:.3g} "


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective("accuracy", "maximize", "validation accuracy", "share", known=False, worst=0.0, best=1.0),
        Objective("loss", "minimize", "validation loss", "nats", known=False, best=0.0),
        Objective("flops", "minimize", "cost (2 x MACs)", "FLOPs", known=True),
        Objective("params", "minimize", "parameters", "", known=True),
        Objective("train_seconds", "minimize", "training time", "s", known=False, best=0.0),
        Objective("latency_ms", "minimize", "inference latency, one image", "ms", known=False, best=0.0),
    )
}


def objectives(names: tuple[str, ...] | list[str]) -> tuple[Objective, ...]:
    """The objectives of these names, in order; SettingsError for an unknown or repeated one, or none at all."""
    for name in names:
        one_of("objective", name, OBJECTIVES)
    if not names or len(set(names)) != len(names):
        raise SettingsError(f"objectives must be one or more different names; got {', '.join(names) or 'none'}.")
    return tuple(OBJECTIVES[name] for name in names)
