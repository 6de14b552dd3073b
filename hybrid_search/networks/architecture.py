"""Architectures: frozen, canonical, hashable descriptions of one network.

An architecture is a stem and its stages. A stage is a run of `depth` equal blocks with one operator; its first block
has the stride. Equal neighbouring stages are merged and options without effect are dropped, so two
descriptions of the same network are one architecture with one digest.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from hybrid_search._internal.places import placed
from hybrid_search._internal.rich_html import rich_html
from hybrid_search.errors import MOST, ArchitectureError, listed, nearest, shown, whole
from hybrid_search.networks.blocks import BLOCKS, BOTTLENECK, Block, make_block
from hybrid_search.networks.stems import STEMS, Stem, make_stem
from hybrid_search.ops import OPERATORS, Operator, Options, make_operator, operator_name, options_of
from hybrid_search.ops.operator import (
    as_declared,
    check_options_of,
    declared_types,
    option_names,
    shown_options,
    stored_options,
)
from hybrid_search.plugins import table_cache

VERSION = 1
MOST_BLOCKS = 1000  # of a network
DEFAULT_EXPANSION = 4
STAGE_KEYS = ("operator", "depth", "width", "stride", "block")
MOST_STRIDE = 4
MOST_IMAGE_SIZE = 100_000  # rows and columns
KEYS = ("version", "stem", "stages", "expansion", "image_size")


def _pairs(options: Mapping[str, Any] | Options) -> dict[str, Any]:
    return dict(options.items() if isinstance(options, Mapping) else options)


def _own_options(name: str, options: Options) -> Options:
    """Return the options of a block. The expansion of a bottleneck is left out: the architecture has it."""
    return tuple(pair for pair in options if (name, pair[0]) != (BOTTLENECK, "expansion"))


PLAIN_OPTIONS = _own_options(BOTTLENECK, options_of(make_block(BOTTLENECK, {})))


@dataclass(frozen=True)
class Stage:
    """A run of equal blocks.

    Args:
        operator: name of the spatial operator, one of `hybrid_search.ops.OPERATORS`.
        depth: number of blocks.
        width: width of the blocks; the number of channels of the operator, except in an inverted residual.
        stride: 1 to 4, the stride of the first block.
        options: options of the operator, a mapping or pairs. They are stored as pairs, with every default.
        block: name of the block, one of `hybrid_search.networks.blocks.BLOCKS`.
        block_options: options of the block, a mapping or pairs. They are stored as pairs, with every default. The
            expansion of a bottleneck is that of the architecture.

    Raises:
        ArchitectureError: a rule of the stage or of its operator is broken.

    Example:
        >>> Stage("local_attention", depth=2, width=64, options={"extent": 5, "heads": 4})
    """

    operator: str
    depth: int
    width: int
    stride: int = 1
    options: Options = ()
    block: str = BOTTLENECK
    block_options: Options = ()

    def __post_init__(self) -> None:
        whole("depth", self.depth, most=MOST_BLOCKS)
        whole("width", self.width, most=MOST)
        whole("stride", self.stride, most=MOST_STRIDE)
        if self.block == BOTTLENECK and "expansion" in _pairs(self.block_options):
            raise ArchitectureError("expansion of a bottleneck is a key of the architecture; got it in a block.")
        block = make_block(self.block, _pairs(self.block_options))
        check_options_of(f"block {self.block}", block, self.width)
        object.__setattr__(self, "block_options", _own_options(self.block, options_of(block)))
        operator, channels = make_operator(self.operator, _pairs(self.options)), self.operator_width
        check_options_of(self.operator, operator, channels)
        made = operator.canonical(channels)
        object.__setattr__(self, "operator", operator_name(made, self.operator))
        object.__setattr__(self, "options", options_of(made))

    def block_object(self, expansion: int = 4) -> Block:
        """Return the block as an object, for its cost and its module.

        Args:
            expansion: the expansion of the architecture, for a bottleneck.
        """
        return _made_block(self.block, self.block_options, expansion if self.block == BOTTLENECK else None)

    @property
    def has_plain_block(self) -> bool:
        """Whether the blocks are bottlenecks with default options."""
        return self.block == BOTTLENECK and self.block_options == PLAIN_OPTIONS

    @property
    def operator_width(self) -> int:
        """The number of channels of the operator."""
        return self.block_object().places(self.width, 1, 1, 1)[0].width

    @property
    def operator_object(self) -> Operator:
        """The operator as an object, for its cost and its module."""
        return make_operator(self.operator, dict(self.options))

    def on_map(self, rows: int, cols: int) -> "Stage":
        """Return the stage without options that have no effect on its largest map.

        Args:
            rows, cols: size of that map in pixels.
        """
        made = self.operator_object.canonical(self.operator_width, (rows, cols))
        return replace(self, operator=operator_name(made, self.operator), options=options_of(made))

    def continues(self, before: "Stage") -> bool:
        """Return whether this stage only adds blocks to another one.

        Args:
            before: the stage before this one.
        """
        return self.stride == 1 and self == replace(before, depth=self.depth, stride=1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values: operator, depth, width, stride, the block, then the options of the operator.

        A bottleneck with default options is left out, as in architectures that were stored before there were others.
        """
        head = {"operator": self.operator, "depth": self.depth, "width": self.width, "stride": self.stride}
        options = dict(stored_options(BLOCKS[self.block], self.block_options))
        block = {} if self.has_plain_block else {"block": {"kind": self.block, **options}}
        return {**head, **block, **dict(stored_options(OPERATORS[self.operator], self.options))}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the stage of a `to_dict` result.

        Args:
            d: operator, depth, width, stride and the options of the operator.

        Raises:
            ArchitectureError: a key is missing or has an illegal value.
        """
        for key in ("operator", "depth", "width"):
            if key not in d:
                others = [name for name in d if name not in STAGE_KEYS]
                meant = next((nearest(name, (key,)) for name in others if nearest(name, (key,))), "")
                raise ArchitectureError(f"a stage needs operator, depth and width; got {listed(d)}.{meant}")
        name = d["operator"]
        given = {key: value for key, value in d.items() if key not in STAGE_KEYS}
        if isinstance(name, str) and name in OPERATORS:
            known = option_names(OPERATORS[name])
            for key in given:
                if key not in known:
                    names = [*STAGE_KEYS, *known]
                    raise ArchitectureError(
                        f"keys of a stage of {name} are {', '.join(names)}; got {shown(key)}.{nearest(key, names)}"
                    )
            given = _options(OPERATORS[name], given)
        depth, width, stride = (as_declared(d.get(key, 1), int) for key in ("depth", "width", "stride"))
        block, options = _block(d.get("block", BOTTLENECK))
        return cls(name, depth, width, stride, tuple(given.items()), block, options)  # type: ignore[arg-type]

    def __str__(self) -> str:
        head = f"{self.depth}x{self.width}{f'/{self.stride}' if self.stride > 1 else ''}"
        block = [] if self.has_plain_block else [self.block, *_changed_options(self)]
        return " ".join([head, *block, self.operator, *shown_options(self.operator_object)])


@dataclass(frozen=True)
class Architecture:
    """One network: a stem and its stages. `build_model` builds it, `cost` counts its FLOPs and parameters.

    Equal architectures have equal digests, and equal digests build the same network.

    Args:
        stem: the first layers, see `hybrid_search.networks.stems.make_stem`.
        stages: at least one `Stage`.
        expansion: a bottleneck has width x expansion output channels.
        image_size: rows and columns of its images, if its space offers sizes; None: it takes images of any size.

    Raises:
        ArchitectureError: a rule of the stem or of a stage is broken.

    Example:
        >>> stages = (Stage("conv", 1, 16), Stage("local_attention", 2, 32, stride=2, options={"heads": 4}))
        >>> print(Architecture(make_stem("conv3x3", {}), stages, expansion=2))
        conv3x3 width=16 | 1x16 conv kernel_size=3 | 2x32/2 local_attention extent=7 heads=4
    """

    stem: Stem
    stages: tuple[Stage, ...]
    expansion: int = DEFAULT_EXPANSION
    image_size: int | None = None
    _digest: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        whole("expansion", self.expansion, most=MOST_BLOCKS)
        if self.image_size is not None:
            whole("image_size", self.image_size, most=MOST_IMAGE_SIZE)
        if not self.stages:
            raise ArchitectureError("an architecture needs at least one stage; got none.")
        if (blocks := sum(stage.depth for stage in self.stages)) > MOST_BLOCKS:
            raise ArchitectureError(f"an architecture must have at most {MOST_BLOCKS:,} blocks; got {blocks:,}.")
        check_options_of(f"stem {self.stem.kind}", self.stem)
        object.__setattr__(self, "stem", self.stem.canonical())
        merged: list[Stage] = []
        for stage in self.stages:
            if merged and stage.continues(merged[-1]):
                last = merged.pop()
                stage = replace(last, depth=last.depth + stage.depth)
            merged.append(stage)
        object.__setattr__(self, "stages", tuple(merged))
        if not any(stage.block == BOTTLENECK for stage in merged):
            object.__setattr__(self, "expansion", DEFAULT_EXPANSION)  # no other block has it
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "_digest", hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def num_features(self) -> int:
        """The number of channels before the classifier."""
        last = self.stages[-1]
        return last.block_object(self.expansion).out_channels(last.width)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the network."""
        return self._digest

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values with a version and every option; an image size of None is left out."""
        return {
            "version": VERSION,
            "stem": {"kind": self.stem.kind, **dict(stored_options(type(self.stem), options_of(self.stem)))},
            "stages": [stage.to_dict() for stage in self.stages],
            "expansion": self.expansion,
            **({} if self.image_size is None else {"image_size": self.image_size}),
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the architecture of a `to_dict` result.

        Args:
            d: stem, stages, expansion and image_size as plain JSON.

        Raises:
            ArchitectureError: something is missing, unknown or illegal.
        """
        if not isinstance(d, Mapping):
            raise ArchitectureError(f'an architecture must be {{"stem": {{...}}, "stages": [...]}}; got {shown(d)}.')
        for key in d:
            if key not in KEYS:
                raise ArchitectureError(
                    f"keys of an architecture are {', '.join(KEYS)}; got {shown(key)}.{nearest(key, KEYS)}"
                )
        if not isinstance(d.get("stem"), Mapping):
            raise ArchitectureError(f'stem must be {{"kind": "conv3x3", ...}}; got {shown(d.get("stem"))}.')
        if isinstance(d.get("version"), bool) or d.get("version", VERSION) != VERSION:
            raise ArchitectureError(f"an architecture's version must be {VERSION}; got {shown(d['version'])}.")
        stages = d.get("stages")
        if not isinstance(stages, list | tuple) or not all(isinstance(stage, Mapping) for stage in stages):
            raise ArchitectureError(f"stages must be a list of stages; got {shown(stages)}.")
        stem = dict(d["stem"])
        kind = stem.pop("kind", None)
        made = [_in_place(("stages", index), Stage.from_dict, stage) for index, stage in enumerate(stages)]
        expansion = as_declared(d.get("expansion", DEFAULT_EXPANSION), int)
        size = None if d.get("image_size") is None else as_declared(d["image_size"], int)
        return cls(_in_place(("stem",), _stem, kind, stem), tuple(made), expansion, size)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return " | ".join([*size_text(self.image_size), str(self.stem), *(str(stage) for stage in self.stages)])

    def _repr_html_(self) -> str:
        return rich_html("architecture_html", self)


def size_text(image_size: object) -> tuple[str, ...]:
    """Return the image size of an architecture as text, `32x32 images`; nothing for None."""
    return () if image_size is None else (f"{image_size}x{image_size} images",)


def _stem(kind: object, given: dict[str, Any]) -> Stem:
    stem = make_stem(kind, _options(STEMS[kind], given) if isinstance(kind, str) and kind in STEMS else given)
    check_options_of(f"stem {kind}", stem)
    return stem


@table_cache(maxsize=1024)
def _made_block(name: str, options: Options, expansion: int | None) -> Block:
    return make_block(name, {**dict(options), **({} if expansion is None else {"expansion": expansion})})


def _block(given: object) -> tuple[Any, Options]:
    """Return name and options of the block of a stage: `basic`, or `{kind: inverted_residual, expansion: 6}`."""
    if not isinstance(given, Mapping):
        return given, ()
    options = dict(given)
    name = options.pop("kind", None)
    options = _options(BLOCKS[name], options) if isinstance(name, str) and name in BLOCKS else options
    return name, tuple(options.items())


def _changed_options(stage: Stage) -> list[str]:
    """Return `name=value` for every option of the block that is not at its default."""
    defaults = dict(options_of(make_block(stage.block, {})))
    return [f"{name}={value}" for name, value in stage.block_options if value != defaults[name]]


def _options(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in their declared types. Raise ArchitectureError for a list or an object."""
    declared = declared_types(kind)
    for name, value in given.items():
        if value is not None and not isinstance(value, bool | int | float | str):
            raise ArchitectureError(f"{name} must be a number, text, true or false; got {shown(value)}.")
    return {name: as_declared(value, declared.get(name)) for name, value in given.items()}


def _in_place(place: tuple[str | int, ...], make: Callable[..., Any], *values: Any) -> Any:
    """Return what a function makes, or raise its ArchitectureError with the place before the message."""
    try:
        return make(*values)
    except ArchitectureError as error:
        named = [*STAGE_KEYS, *(values[-1] if isinstance(values[-1], Mapping) else ())]
        raise ArchitectureError(placed(place, str(error), map(str, named))) from error.__cause__
