"""The stem, the stages and the head of an architecture as charts draw them, also if the costs are unknown."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hybrid_search.charts.families import family_of, label_of
from hybrid_search.ops import FAMILIES

STAGE_KEYS = ("operator", "depth", "width", "stride", "block")


@dataclass(frozen=True)
class NetworkPart:
    """The stem, one stage or the head of an architecture.

    Args:
        name: "stem", "stage 1", "stage 2", ..., "head".
        kind: "stem", "head", or the family of the stage's operator: "convolution", "attention", "other".
        operator: the name of the operator or of the stem.
        depth: the number of blocks.
        width, stride: those of the stage.
        channels, rows, cols: the size of the output map.
        options: every option as text.
        notable: the options that a picture shows, as text.
        flops, params: the cost; 0 if unknown.
        flops_share, params_share: the share of the network's cost, 0..1.
    """

    name: str
    kind: str
    operator: str
    depth: int
    width: int
    stride: int
    channels: int
    rows: int
    cols: int
    options: tuple[tuple[str, str], ...] = ()
    notable: tuple[str, ...] = ()
    flops: int = 0
    params: int = 0
    flops_share: float = 0.0
    params_share: float = 0.0

    @property
    def label(self) -> str:
        """The name of the operator for people."""
        return label_of(self.operator) if self.kind in FAMILIES else self.operator


def outline_parts(
    architecture: Mapping[str, Any], input_size: tuple[int, int, int], classes: int
) -> tuple[NetworkPart, ...]:
    """Return the parts of an architecture without costs, from its plain form alone.

    Nothing is validated: a missing or wrong number counts as 1. Maps are those of a stem that does not stride.
    """
    _, rows, cols = input_size
    stem = _mapping(architecture.get("stem"))
    expansion, width = _count(architecture.get("expansion", 4)), _count(stem.get("width"))
    parts = [
        NetworkPart("stem", "stem", str(stem.get("kind", "?")), 1, width, 1, width, rows, cols, _texts(stem, ("kind",)))
    ]
    stages = architecture.get("stages")
    for number, plain in enumerate(map(_mapping, stages if isinstance(stages, list) else ()), start=1):
        operator, width, stride = (
            str(plain.get("operator", "?")),
            _count(plain.get("width")),
            _count(plain.get("stride")),
        )
        rows, cols = -(-rows // stride), -(-cols // stride)
        block = plain.get("block", "bottleneck")
        block = block.get("kind") if isinstance(block, Mapping) else block
        named = () if block == "bottleneck" else (("block", str(block)),)
        options = (*named, *_texts(plain, STAGE_KEYS))
        parts.append(
            NetworkPart(
                name=f"stage {number}",
                kind=family_of(operator),
                operator=operator,
                depth=_count(plain.get("depth")),
                width=width,
                stride=stride,
                channels=width * (1 if named else expansion),
                rows=rows,
                cols=cols,
                options=options,
                notable=tuple(f"{name.replace('_', ' ')} {text}" for name, text in options),
            )
        )
    return (*parts, NetworkPart("head", "head", "linear", 1, classes, 1, classes, 1, 1))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 1


def _texts(plain: Mapping[str, Any], without: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(value)) for name, value in plain.items() if name not in without)
