"""The numbers behind the charts of one architecture: what each part is, its feature map, and its share of the cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from hybrid_search.charts.families import family_of
from hybrid_search.charts.parts import NetworkPart, outline_parts
from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.architecture import Stage
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.costs import blocks, cost, input_size_of
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.ops import OPERATORS, Layer, Options, options_of
from hybrid_search.records import SearchRecord

SIZE = ("width", "stride")  # options of a stem that the picture shows as its map
NOTABLE = ("extent", "heads", "kernel_size")  # options that a picture shows even at their defaults


@dataclass(frozen=True)
class Design:
    """One architecture as charts and tables show it.

    Args:
        input_size: (channels, rows, cols) of an image.
        classes: the number of classes.
        flops: FLOPs (2 x MACs) of one image; 0 if unknown.
        params: the number of parameters; 0 if unknown.
        parts: stem, stages, head.
        unreadable: why the costs are unknown, such as an operator whose plugin is not installed; otherwise None.
    """

    input_size: tuple[int, int, int]
    classes: int
    flops: int
    params: int
    parts: tuple[NetworkPart, ...]
    unreadable: str | None = None

    @property
    def text(self) -> str:
        """The architecture in words, for screen readers."""
        stages = [f"{part.name}: {part.depth} x {part.label} at {part.rows} x {part.cols}" for part in self.parts]
        return "; ".join(stages)


def design_numbers(architecture: Mapping[str, Any], input_size: tuple[int, int, int], classes: int) -> Design:
    """Return the parts of an architecture with their costs.

    Args:
        architecture: the plain form (`Architecture.to_dict`).
        input_size: (channels, rows, cols) of an image of an architecture without an image size.
        classes: the number of classes.

    Raises:
        ArchitectureError: the architecture breaks a rule.
        PluginError: its stem or one of its operators comes from a plugin that is not installed here.
    """
    made = stored_architecture(architecture)
    input_size = input_size_of(made, input_size)
    total = cost(made, input_size, classes)
    _, rows, cols = input_size
    sizes = {block.name: (block.rows, block.cols) for block in blocks(made, rows, cols)}

    def part(name: str, kind: str, prefix: str, **more: Any) -> NetworkPart:
        flops, params = _sums(total.layers, prefix)
        shares = (flops / max(1, total.flops), params / max(1, total.params))
        return NetworkPart(
            name=name, kind=kind, flops=flops, params=params, flops_share=shares[0], params_share=shares[1], **more
        )

    stem = made.stem
    size = sizes["stages.0.0"]
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
            options=_texts(options_of(stem)),
            notable=tuple(
                _words(name, value) for name, value in _changed(type(stem), options_of(stem)) if name not in SIZE
            ),
        )
    ]
    for number, stage in enumerate(made.stages):
        size = (-(-size[0] // stage.stride), -(-size[1] // stage.stride))
        parts.append(
            part(
                f"stage {number + 1}",
                family_of(stage.operator),
                f"stages.{number}.",
                operator=stage.operator,
                depth=stage.depth,
                width=stage.width,
                stride=stage.stride,
                channels=stage.block_object(made.expansion).out_channels(stage.width),
                rows=size[0],
                cols=size[1],
                options=_texts((*_block_options(stage), *stage.options)),
                notable=_notable(stage),
            )
        )
    head = {"depth": 1, "width": classes, "stride": 1, "channels": classes, "rows": 1, "cols": 1}
    parts.append(part("head", "head", "head", operator="linear", options=(), notable=(), **head))
    return Design(input_size, classes, total.flops, total.params, tuple(parts))


def design_or_outline(architecture: Mapping[str, Any], input_size: tuple[int, int, int], classes: int) -> Design:
    """Return the parts of an architecture; without costs, and with the reason, if it cannot be read here."""
    try:
        return design_numbers(architecture, input_size, classes)
    except UserError as error:
        if isinstance(side := architecture.get("image_size"), int):
            input_size = (input_size[0], side, side)
        return Design(input_size, classes, 0, 0, outline_parts(architecture, input_size, classes), str(error))


def read_designs(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> dict[int, Design]:
    """Read the designs of some trials from a ledger, by trial number."""
    rows = {trial.number: trial for trial in ledger.read(reads.trials, search.id, trials)}
    return {
        number: design_or_outline(rows[number].architecture, search.input_size, search.classes)
        for number in trials
        if number in rows
    }


def differences(one: Design, other: Design) -> frozenset[int]:
    """Return the positions of the parts in which two designs differ. The head, the last part, never counts.

    Args:
        one, other: two designs.
    """

    def described(part: NetworkPart) -> tuple[Any, ...]:
        return (part.name, part.operator, part.depth, part.width, part.stride, part.options)

    longest = max(len(one.parts), len(other.parts))
    ours, theirs = ([*map(described, design.parts[:-1])] for design in (one, other))
    return frozenset(i for i in range(longest - 1) if ours[i : i + 1] != theirs[i : i + 1])


def _sums(layers: Iterable[Layer], prefix: str) -> tuple[int, int]:
    within = [layer for layer in layers if f"{layer.name}.".startswith(prefix)]
    return sum(layer.flops for layer in within), sum(layer.params for layer in within)


def _texts(options: Iterable[tuple[str, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _text(value)) for name, value in options)


def _text(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def _notable(stage: Stage) -> tuple[str, ...]:
    """Return the options that a picture shows: window size, heads, and every option that is not at its default."""
    own = {name for name, _ in stage.options}
    block = [] if stage.has_plain_block else [BLOCKS[stage.block].label]
    for name, value in _changed(BLOCKS[stage.block], stage.block_options):
        block.append(_words(f"block {name}" if name in own else name, value))
    shown = _changed(OPERATORS[stage.operator], stage.options, NOTABLE)
    return (*block, *(_words(name, value) for name, value in shown))


def _changed(kind: type[Any], options: Options, always: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """Return the options that are not at their defaults, and those of `always`."""
    defaults = {field.name: field.default for field in fields(kind)}
    return [(name, value) for name, value in options if name in always or value != defaults.get(name)]


def _words(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {_text(value)}"


def _block_options(stage: Stage) -> tuple[tuple[str, Any], ...]:
    """Return the block of a stage and its options, as pairs; none for a plain bottleneck."""
    if stage.has_plain_block:
        return ()
    return (("block", stage.block), *((f"block {name}", value) for name, value in stage.block_options))
