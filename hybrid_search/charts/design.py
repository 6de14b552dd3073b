"""The numbers behind the pictures of one architecture: what each part is, its map, and its share of the cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from hybrid_search.charts.mixes import attends
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import blocks, cost
from hybrid_search.ops.operator import Layer

NOTABLE = ("extent", "heads", "kernel_size")  # options worth a line even at their defaults


@dataclass(frozen=True)
class Part:
    """The stem, one stage or the head: `kind` is stem, conv, attention or head; `rows` x `cols` is its output map.

    `options` holds all options as text, `notable` those that a picture shows.
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
    options: tuple[tuple[str, str], ...]
    notable: tuple[str, ...]
    flops: int
    params: int
    flops_share: float
    params_share: float


@dataclass(frozen=True)
class Design:
    """One architecture as it is drawn and tabled: `flops` are 2 x MACs of one image of `input_size`."""

    input_size: tuple[int, int, int]
    classes: int
    flops: int
    params: int
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The picture in words, for readers that cannot see it."""
        stages = [f"{part.name}: {part.depth} x {part.operator} at {part.rows} x {part.cols}" for part in self.parts]
        return "; ".join(stages)


def design_numbers(architecture: Mapping[str, Any], input_size: tuple[int, int, int], classes: int) -> Design:
    """An architecture in its plain form -> its parts. Raises ArchitectureError where it breaks a law."""
    made = Architecture.from_dict(architecture)
    total = cost(made, input_size, classes)
    _, rows, cols = input_size
    begins = {block.name: (block.rows, block.cols) for block in blocks(made, rows, cols)}

    def part(name: str, kind: str, prefix: str, **more: Any) -> Part:
        flops, params = _sums(total.layers, prefix)
        shares = (flops / max(1, total.flops), params / max(1, total.params))
        return Part(
            name=name, kind=kind, flops=flops, params=params, flops_share=shares[0], params_share=shares[1], **more
        )

    stem, expansion = made.stem, made.expansion
    size = begins["stages.0.0"]
    parts = [
        part(
            "stem",
            "stem",
            "stem.",
            operator=stem.kind,
            depth=1,
            width=stem.width,
            stride=stem.stride,
            channels=stem.width,
            rows=size[0],
            cols=size[1],
            options=_texts((field.name, getattr(stem, field.name)) for field in fields(stem)),  # type: ignore[arg-type]
            notable=(),
        )
    ]
    for number, stage in enumerate(made.stages):
        size = (-(-size[0] // stage.stride), -(-size[1] // stage.stride))
        parts.append(
            part(
                f"stage {number + 1}",
                "attention" if attends(stage.operator) else "conv",
                f"stages.{number}.",
                operator=stage.operator,
                depth=stage.depth,
                width=stage.width,
                stride=stage.stride,
                channels=stage.width * expansion,
                rows=size[0],
                cols=size[1],
                options=_texts(stage.options),
                notable=_notable(stage),
            )
        )
    head = {"depth": 1, "width": classes, "stride": 1, "channels": classes, "rows": 1, "cols": 1}
    parts.append(part("head", "head", "head", operator="linear", options=(), notable=(), **head))
    return Design(input_size, classes, total.flops, total.params, tuple(parts))


def differences(one: Design, other: Design) -> frozenset[int]:
    """The positions of the parts that differ, the head of both counted last; a part that only one has differs."""

    def said(part: Part) -> tuple[Any, ...]:
        return (part.name, part.operator, part.depth, part.width, part.stride, part.options)

    longest = max(len(one.parts), len(other.parts))
    ours, theirs = ([*map(said, design.parts[:-1])] for design in (one, other))
    return frozenset(i for i in range(longest - 1) if ours[i : i + 1] != theirs[i : i + 1])


def _sums(layers: Iterable[Layer], prefix: str) -> tuple[int, int]:
    mine = [layer for layer in layers if f"{layer.name}.".startswith(prefix)]
    return sum(layer.flops for layer in mine), sum(layer.params for layer in mine)


def _texts(options: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in options)


def _text(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _notable(stage: Stage) -> tuple[str, ...]:
    """The options worth drawing: the size of the window, heads, and whatever departs from its default."""
    defaults: dict[str, Any] = {field.name: field.default for field in fields(stage.made)}  # type: ignore[arg-type]
    told = [(n, v) for n, v in stage.options if n in NOTABLE or v != defaults.get(n)]
    return tuple(f"{name.replace('_', ' ')} {_text(value)}" for name, value in told)
