"""Architectures: frozen, canonical, hashable descriptions of one network.

A stem, then stages; a stage is a run of `depth` equal bottleneck blocks of one operator, the first of which strides.
A choice per block is therefore several stages of depth 1, and construction merges them again: two ways of writing one
network are one architecture with one digest.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from hybrid_search.errors import ArchitectureError, nearest, whole
from hybrid_search.networks.stems import Stem, make_stem
from hybrid_search.ops import Operator, Options, make_operator, options_of
from hybrid_search.ops.operator import shown_options

VERSION = 1
STAGE_KEYS = ("operator", "depth", "width", "stride")
KEYS = ("version", "stem", "stages", "expansion")


def _pairs(options: Mapping[str, Any] | Options) -> dict[str, Any]:
    return dict(options.items() if isinstance(options, Mapping) else options)


@dataclass(frozen=True)
class Stage:
    """A run of `depth` equal blocks: `operator` at `width` channels, the first block with `stride`.

    `options` may be given as a mapping; it is kept as a tuple of pairs with every default written out. Raises
    ArchitectureError where the operator's laws are broken.
    """

    operator: str
    depth: int
    width: int
    stride: int = 1
    options: Options = ()

    def __post_init__(self) -> None:
        whole("depth", self.depth)
        whole("width", self.width)
        whole("stride", self.stride)
        if self.stride > 2:
            raise ArchitectureError(f"stride must be 1 or 2; got {self.stride}.")
        operator = make_operator(self.operator, _pairs(self.options))
        operator.check(self.width)
        object.__setattr__(self, "options", options_of(operator.canonical(self.width)))

    @property
    def made(self) -> Operator:
        """The operator itself, which prices and builds."""
        return make_operator(self.operator, dict(self.options))

    def on_map(self, rows: int, cols: int) -> "Stage":
        """The same stage where its largest map has rows x cols: options without effect there are dropped."""
        made = self.made.canonical(self.width, (rows, cols))
        return Stage(self.operator, self.depth, self.width, self.stride, options_of(made))

    def continues(self, before: "Stage") -> bool:
        """Whether this stage is only more blocks of the one before it."""
        same = (self.operator, self.width, self.options) == (before.operator, before.width, before.options)
        return same and self.stride == 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: operator, depth, width, stride, then the options."""
        head = {"operator": self.operator, "depth": self.depth, "width": self.width, "stride": self.stride}
        return {**head, **dict(self.options)}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """The stage that `to_dict` wrote; ArchitectureError names a missing or wrong key."""
        for key in ("operator", "depth", "width"):
            if key not in d:
                raise ArchitectureError(f"a stage needs operator, depth and width; got {', '.join(d) or 'nothing'}.")
        options = {key: value for key, value in d.items() if key not in STAGE_KEYS}
        return cls(d["operator"], d["depth"], d["width"], d.get("stride", 1), tuple(options.items()))

    def __str__(self) -> str:
        head = f"{self.depth}x{self.width}{'/2' if self.stride == 2 else ''} {self.operator}"
        return " ".join([head, *shown_options(self.made)])


@dataclass(frozen=True)
class Architecture:
    """One network: a stem and its stages. Built by `build_model`, priced by `cost`.

    `stem` is a stem of hybrid_search.networks.stems; `stages` at least one `Stage`; block outputs have
    width x `expansion` channels. Equal architectures have equal digests, and equal digests build the same network.
    """

    stem: Stem
    stages: tuple[Stage, ...]
    expansion: int = 4
    _digest: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        whole("expansion", self.expansion)
        if not self.stages:
            raise ArchitectureError("an architecture needs at least one stage; got none.")
        self.stem.check()
        object.__setattr__(self, "stem", self.stem.canonical())
        merged: list[Stage] = []
        for stage in self.stages:
            if merged and stage.continues(merged[-1]):
                last = merged.pop()
                stage = Stage(last.operator, last.depth + stage.depth, last.width, last.stride, last.options)
            merged.append(stage)
        object.__setattr__(self, "stages", tuple(merged))
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        object.__setattr__(self, "_digest", hashlib.sha256(text.encode()).hexdigest()[:16])

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name this network."""
        return self._digest

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, versioned; every option that has an effect is written out."""
        return {
            "version": VERSION,
            "stem": {"kind": self.stem.kind, **dict(options_of(self.stem))},
            "stages": [stage.to_dict() for stage in self.stages],
            "expansion": self.expansion,
        }

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """The architecture that `to_dict` wrote; ArchitectureError names what is missing, unknown or illegal."""
        if not isinstance(d, Mapping) or not isinstance(d.get("stem"), Mapping):
            raise ArchitectureError('an architecture is {"stem": {...}, "stages": [...]}; got no stem.')
        if d.get("version", VERSION) != VERSION:
            raise ArchitectureError(f"an architecture's version must be {VERSION}; got {d['version']!r}.")
        for key in d:
            if key not in KEYS:
                raise ArchitectureError(
                    f"keys of an architecture are {', '.join(KEYS)}; got {key!r}.{nearest(key, KEYS)}"
                )
        stages = d.get("stages")
        if not isinstance(stages, list | tuple) or not all(isinstance(stage, Mapping) for stage in stages):
            raise ArchitectureError(f"stages must be a list of stages; got {stages!r}.")
        stem = dict(d["stem"])
        kind = stem.pop("kind", None)
        return cls(make_stem(kind, stem), tuple(Stage.from_dict(stage) for stage in stages), d.get("expansion", 4))

    def __str__(self) -> str:
        return " | ".join([str(self.stem), *(str(stage) for stage in self.stages)])
