"""The kinds of networks, all convolution, hybrid or all attention, with their colours and markers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hybrid_search.charts.families import family_of
from hybrid_search.charts.theme import Theme
from hybrid_search.plugins import table_cache


@dataclass(frozen=True)
class NetworkKind:
    """One kind of network: its label, its plotly marker, and the name of its colour in a theme.

    `always`: the legend shows it even if no trial has it.
    """

    name: str
    label: str
    symbol: str
    colour: str
    always: bool = True

    def hue(self, theme: Theme) -> str:
        """Return the colour of this kind in a theme."""
        return str(getattr(theme, self.colour))


NETWORK_KINDS: dict[str, NetworkKind] = {
    mix.name: mix
    for mix in (
        NetworkKind("convolution", "all convolution", "square", "convolution"),
        NetworkKind("hybrid", "hybrid", "diamond", "hybrid"),
        NetworkKind("attention", "all attention", "circle", "attention"),
        NetworkKind("other", "all other operators", "triangle-up", "other", always=False),
        NetworkKind("unknown", "unknown operators", "x", "neutral", always=False),
    )
}


def operators_of(architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the operator of each stage of an architecture in its plain form, without validating it."""
    stages = architecture.get("stages")
    if not isinstance(stages, list):
        return ()
    return tuple(str(stage.get("operator", "?")) for stage in stages if isinstance(stage, Mapping))


def image_sizes_of(architectures: Mapping[int, Mapping[str, Any]]) -> dict[int, int]:
    """Return the image sizes of architectures in their plain form, by number; those without one are left out."""
    return {number: int(plain["image_size"]) for number, plain in architectures.items() if plain.get("image_size")}


def kind_of(operators: Sequence[str]) -> NetworkKind:
    """Return the kind of a network with these operators, one a stage."""
    return _kind_of(tuple(operators))


@table_cache(maxsize=4096)  # a chart of 10,000 trials has a few dozen different tuples
def _kind_of(operators: tuple[str, ...]) -> NetworkKind:
    families = {family_of(operator) for operator in operators}
    if not families:
        return NETWORK_KINDS["unknown"]
    return NETWORK_KINDS["hybrid" if len(families) > 1 else families.pop()]
