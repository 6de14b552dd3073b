"""How a network mixes its operators: all convolution, hybrid or all attention, each with a colour and a shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.charts.theme import Theme


@dataclass(frozen=True)
class Mix:
    """One kind of network: its label, its marker and the name of its colour in a theme."""

    name: str
    label: str
    symbol: str
    colour: str

    def hue(self, theme: Theme) -> str:
        """Its colour in this theme."""
        return str(getattr(theme, self.colour))


MIXES: dict[str, Mix] = {
    mix.name: mix
    for mix in (
        Mix("conv", "all convolution", "square", "conv"),
        Mix("hybrid", "hybrid", "diamond", "hybrid"),
        Mix("attention", "all attention", "circle", "attention"),
        Mix("unknown", "unknown operators", "x", "neutral"),
    )
}


def operators_of(architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """The operator of each stage, read from an architecture's plain form without validating it."""
    stages = architecture.get("stages")
    if not isinstance(stages, list):
        return ()
    return tuple(str(stage.get("operator", "?")) for stage in stages if isinstance(stage, Mapping))


def attends(operator: str) -> bool:
    """Whether an operator counts as attention: everything that is not a convolution."""
    return not operator.startswith("conv")


def mix_of(operators: Sequence[str]) -> Mix:
    """The mix of the operators of a network's stages."""
    if not operators:
        return MIXES["unknown"]
    kinds = {attends(operator) for operator in operators}
    return MIXES["hybrid" if len(kinds) == 2 else "attention" if kinds == {True} else "conv"]
