"""The form of a space file: YAML, validated with pydantic. Every error is one line.

A complete example:

    name: tiny                        # default: the name of the file
    about: Two operators on digits.   # one line for people
    data: digits                      # the data set; default: digits
    settings: {epochs: 8}             # settings of training that differ from the defaults
    budget: {flops: 40M}              # the default of --max-flops and --max-params; default: none
    image_size: [12, 16]              # rows and columns of the images, one choice; default: that of the settings
    width_multiplier: [0.5, 1, 2]     # scales the widths of stem and stages, one choice; default: 1
    expansion: 2                      # a bottleneck has width x expansion output channels; default: 4
    block: [bottleneck, basic]        # the blocks of every stage, one choice; default: bottleneck
    stem:                             # one stem or several, each with its options
      conv3x3: {width: [8, 16]}
    groups:                           # operators that are chosen once for several stages
      late:
        operator: {conv: {kernel_size: 3}, local_attention: {extent: [3, 7], heads: 4}}
    stages:                           # one line for each stage, from the image to the classifier
      - {depth: [0, 1, 2], width: 16, operator: {conv: {kernel_size: [3, 5]}, depthwise_conv: {kernel_size: 5}}}
      - {depth: 2, width: 32, stride: 2, per: block, operator: [conv, global_attention]}
      - {depth: 1, width: [32, 64], stride: 2, group: late}

Keys of a stage:

    depth       number of blocks; 0 leaves the stage out
    width       width of the blocks: channels of the operator, in an inverted residual output channels
    stride      1 (default) to 4: the first block divides rows and columns by it
    block       the possible blocks of this stage with their options, in the same form as operators
    operator    the possible operators with their options; [conv, local_attention] takes the default options
    by_block    instead of operator: the possible operators of each block, as in
                {basic: conv, inverted_residual: {depthwise_conv: {kernel_size: [3, 5]}}}. Its keys are the possible
                blocks; `block` may give these blocks options
    group       instead of operator: the name of an entry under `groups`. All stages of a group have the same operator
    per         "stage" (default): one choice for all blocks. "block": a choice for each block

A list is a choice, a single value is fixed: `width: [16, 32]` adds the parameter `stage1.width`, `width: 16` adds none.
Lists are possible for depth, width, image_size, width_multiplier, expansion, and the options of stems, blocks and
operators. The first entry of a list is the default of `FixedChoices`.

A width multiplier scales every width: those of the stages and the option `width` of the stem. The result is rounded to
the nearest multiple of 8 and is at least 8; a width that is no multiple of 8 keeps its own largest factor of 4, 2 or 1
instead. Every scaled width is checked with all options.

A space with `image_size` gives every architecture its image size: its cost is that of this size, and its trial is
trained on images of this size. Each size must be at least the product of all strides. `image_size` is then no setting.

Parameters are named by their place: `image_size`, `width_multiplier`, `stem`, `stem.conv3x3.width`, `stage1.depth`,
`stage1.operator`, `stage1.conv.kernel_size`, `stage2.block1.operator`, `late.operator`, `late.local_attention.extent`,
`block`, `stage1.block.inverted_residual.expansion`, `stage1.basic.operator` (of `by_block`). Options of an operator or
block are parameters only if it is chosen, those of a stage only if its depth is not 0, and `expansion` only if a
bottleneck is chosen.

Some options are illegal together. A list of variants keeps the legal combinations apart and adds the parameter
`stage1.local_attention.variant`:

    local_attention:
      - {extent: [3, 7], position: relative, logits: [qk+qr, qr]}
      - {extent: [3, 7], position: [absolute, none]}

Numbers are written as people write them: `1e-3`, `1_000`, `40M`, `0.5k`. `yes`, `no`, `on` and `off` are texts, except
for an option that is true or false. A key that is given twice is refused, also after an alias is merged (`<<: *name`).
A name without a value (`conv:`) takes the default options.

When a file is read, every combination of options is checked at every width. So each choice leads to a legal
architecture. The message of a fault names its line and its place, such as `stages[1].operator.local_attention.heads`:
lists count from 0, so `stages[1]` holds the parameters of `stage2`.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_serializer, model_validator

from hybrid_search._internal.places import Place, one_line
from hybrid_search._internal.text_file import file_name, read_text
from hybrid_search.errors import MOST, ArchitectureError, SpaceError, nearest, shown
from hybrid_search.networks.architecture import DEFAULT_EXPANSION, MOST_BLOCKS, MOST_IMAGE_SIZE, MOST_STRIDE
from hybrid_search.networks.blocks import BLOCKS, BOTTLENECK
from hybrid_search.networks.stems import STEMS, make_stem
from hybrid_search.ops import OPERATORS, make_operator
from hybrid_search.ops.operator import check_options_of
from hybrid_search.records import Settings
from hybrid_search.spaces.block_check import check_blocks, operator_channels
from hybrid_search.spaces.faults import first_fault
from hybrid_search.spaces.image_size import check_image_sizes
from hybrid_search.spaces.values import (
    Kinds,
    WrongValue,
    combinations,
    costs,
    entries,
    inside,
    kinds_of,
    mapping,
    one_of_texts,
    operators_by_block,
    reals,
    space_name,
    text,
    whole,
    wholes,
)
from hybrid_search.spaces.width_multiplier import scaled_stem, scaled_widths
from hybrid_search.spaces.yaml_text import YamlContent, parse_yaml

READABLE = "a space must be a readable YAML file"
MULTIPLIERS = (1 / 64, 64)  # the smallest and the largest width multiplier
MOST_COMBINATIONS = 100_000  # of options in a space; each of them is checked

Text = Annotated[str, BeforeValidator(text)]
Mapped = BeforeValidator(mapping)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupForm(_Form):
    """Operators that are chosen once for several stages."""

    operator: Annotated[Kinds, BeforeValidator(kinds_of(OPERATORS))]


class StageForm(_Form):
    """One stage: depth, width, stride, its blocks, and its operators, those of each block or the name of its group."""

    depth: Annotated[tuple[int, ...], BeforeValidator(wholes(0, MOST_BLOCKS))]
    width: Annotated[tuple[int, ...], BeforeValidator(wholes(1, MOST))]
    stride: Annotated[int, BeforeValidator(whole(1, MOST_STRIDE))] = 1
    block: Annotated[Kinds | None, BeforeValidator(kinds_of(BLOCKS))] = None
    operator: Annotated[Kinds | None, BeforeValidator(kinds_of(OPERATORS))] = None
    by_block: Annotated[dict[str, Kinds] | None, BeforeValidator(operators_by_block)] = None
    group: Annotated[str | None, BeforeValidator(text)] = None
    per: Annotated[str, BeforeValidator(one_of_texts("stage", "block"))] = "stage"

    @model_validator(mode="after")
    def _one_source(self) -> "StageForm":
        sources = {"operator": self.operator, "by_block": self.by_block, "group": self.group}
        given = [name for name, value in sources.items() if value is not None]
        if len(given) != 1:
            raise WrongValue(f"a stage needs one of {', '.join(sources)}; got {' and '.join(given) or 'none'}.")
        if self.by_block is not None and self.block is not None and set(self.block) != set(self.by_block):
            raise WrongValue(
                f"block and by_block of a stage must name the same blocks; got {', '.join(self.block)} and "
                f"{', '.join(self.by_block)}."
            )
        if self.group is not None and self.per == "block":
            raise WrongValue(
                "a stage of a group chooses with its group; got per: block. Use operator instead of group."
            )
        return self

    @property
    def own_blocks(self) -> Kinds | None:
        """The possible blocks, if the stage names them itself."""
        return self.block or (None if self.by_block is None else {name: ({},) for name in self.by_block})


class SpaceForm(_Form):
    """A whole space file. Every architecture of the space has been checked."""

    name: Annotated[str, BeforeValidator(space_name)]
    about: Text = ""
    data: Text = "digits"
    settings: Annotated[dict[str, Any], Mapped] = {}
    budget: Annotated[dict[str, float] | None, BeforeValidator(costs)] = None
    image_size: Annotated[tuple[int, ...] | None, BeforeValidator(wholes(1, MOST_IMAGE_SIZE))] = None
    width_multiplier: Annotated[tuple[float, ...] | None, BeforeValidator(reals(*MULTIPLIERS))] = None
    expansion: Annotated[tuple[int, ...], BeforeValidator(wholes(1, MOST_BLOCKS))] = (DEFAULT_EXPANSION,)
    block: Annotated[Kinds | None, BeforeValidator(kinds_of(BLOCKS))] = None
    stem: Annotated[Kinds, BeforeValidator(kinds_of(STEMS))]
    groups: Annotated[dict[str, Annotated[GroupForm, Mapped]], Mapped] = {}
    stages: Annotated[tuple[Annotated[StageForm, Mapped], ...], BeforeValidator(entries("stage"))]

    @field_serializer("expansion")
    def _plain_expansion(self, expansion: tuple[int, ...]) -> int | list[int]:
        """Return one expansion as a number, as spaces were stored before it was a choice."""
        return expansion[0] if len(expansion) == 1 else list(expansion)

    def blocks(self, stage: StageForm) -> Kinds:
        """Return the possible blocks of a stage."""
        return stage.own_blocks or self.block or {BOTTLENECK: ({},)}

    def widths(self, stage: StageForm) -> tuple[int, ...]:
        """Return the possible widths of a stage, scaled by every width multiplier."""
        return scaled_widths(stage.width, self.width_multiplier)

    def operators(self, stage: StageForm, block: str) -> Kinds:
        """Return the possible operators of a stage in one of its blocks."""
        if stage.by_block is not None:
            return stage.by_block[block]
        if stage.operator is not None:
            return stage.operator
        assert stage.group is not None
        return self.groups[stage.group].operator

    @model_validator(mode="after")
    def _legal(self) -> "SpaceForm":
        if "data" in self.settings:
            got = shown(self.settings["data"])
            raise WrongValue(
                f"data is a key of the space, not of its settings; got {got} in the settings. Move it out of them.",
                ("settings", "data"),
            )
        for name in self.groups:
            if re.fullmatch(r"stem|stage\d+", name):
                raise WrongValue(f"groups must not be named like a stem or stage; got {name!r}.", ("groups", name))
        with inside("settings", names=[each.name for each in fields(Settings)]):
            Settings.from_dict({"data": self.data, **self.settings})
        for index, stage in enumerate(self.stages):
            if stage.group is not None and stage.group not in self.groups:
                known = ", ".join(self.groups) or "none"
                raise WrongValue(
                    f"group must be one of {known}; got {shown(stage.group)}.{nearest(stage.group, self.groups)}",
                    ("stages", index, "group"),
                )
        if all(0 in stage.depth for stage in self.stages):
            raise WrongValue("stages must include one whose depth is never 0; got none.", ("stages",))
        if (blocks := sum(max(stage.depth) for stage in self.stages)) > MOST_BLOCKS:
            raise WrongValue(f"stages must have at most {MOST_BLOCKS:,} blocks together; got {blocks:,}.", ("stages",))
        if (widest := max(width for stage in self.stages for width in self.widths(stage))) > MOST:
            raise WrongValue(f"must keep widths up to {MOST:,}; got {widest:,}.", ("width_multiplier",))
        _check_designs(self)
        check_image_sizes(self)
        return self


def _check_designs(space: SpaceForm) -> None:
    """Raise WrongValue for the first combination of options that is illegal at one of its widths."""
    left = MOST_COMBINATIONS
    checked: set[tuple[Any, ...]] = set()
    check_blocks(space)
    for place, name, options, widths in _used(space):
        left -= math.prod(len(values) for values in options.values()) * max(1, len(widths))
        if left < 0:
            raise WrongValue(
                f"must offer at most {MOST_COMBINATIONS:,} combinations of options, summed over the stages; got more.",
                place,
            )
        with inside(*place, names=options):
            for given in combinations(options):
                key = (place[0] == "stem", name, tuple(given.items()), tuple(widths))
                if key in checked:
                    continue
                checked.add(key)
                if place[0] == "stem":
                    for multiplier in space.width_multiplier or (1.0,):
                        check_options_of(f"stem {name}", scaled_stem(make_stem(name, given), multiplier))
                else:
                    operator = make_operator(name, given)
                    for width, origin in widths.items():
                        try:
                            check_options_of(name, operator, width)
                        except ArchitectureError as error:
                            raise ArchitectureError(f"{error}{origin if 'width' in str(error) else ''}") from None
                for option, value in given.items():
                    if value is None:
                        raise WrongValue(f"{option} must have a value; got nothing.", (), options)


def _used(space: SpaceForm) -> Iterator[tuple[Place, str, dict[str, tuple[Any, ...]], Mapping[int, str]]]:
    """Yield each variant of a stem or operator: place, name, options, numbers of channels with their origin."""
    for place, kinds, widths in _kinds_in(space):
        for name, variants in kinds.items():
            for index, options in enumerate(variants):
                yield (*place, name, *((index,) if len(variants) > 1 else ())), name, options, widths


def _kinds_in(space: SpaceForm) -> Iterator[tuple[Place, Kinds, Mapping[int, str]]]:
    yield ("stem",), space.stem, {}
    for index, stage in enumerate(space.stages):
        for block, kinds in (stage.by_block or {}).items():
            yield ("stages", index, "by_block", block), kinds, operator_channels(space, index, block)
        if stage.operator is not None:
            yield ("stages", index, "operator"), stage.operator, operator_channels(space, index)
        if stage.group is not None:
            yield (
                ("groups", stage.group, "operator"),
                space.groups[stage.group].operator,
                operator_channels(space, index),
            )
    used = {stage.group for stage in space.stages}
    for name, group in space.groups.items():
        if name not in used:
            yield ("groups", name, "operator"), group.operator, {}


def read_space_file(path: Path) -> SpaceForm:
    """Read and check a space file.

    Args:
        path: a YAML file of at most 1 MB.

    Raises:
        SpaceError: the file cannot be read or breaks a rule; the message is one line.
    """
    source = file_name(path)
    content = parse_yaml(read_text(path, READABLE, SpaceError), "a space must be YAML", source)
    if not isinstance(content.values, dict):
        kinds = {list: "is a list", type(None): "is empty"}
        found = kinds.get(type(content.values), f"is {shown(content.values)}")
        raise SpaceError(f"a space file must have keys such as stem and stages; {source} {found}.")
    name = path.stem.encode("utf-8", "replace").decode()
    return parse_space({"name": name, **content.values}, source, content)


def parse_space(content: Mapping[str, Any], source: str, text: YamlContent | None = None) -> SpaceForm:
    """Check the content of a space file.

    Args:
        content: the keys of the file.
        source: name of the file, for messages.
        text: the content with its lines, for messages; None: it comes from no file.

    Raises:
        SpaceError: the first fault and its place.
    """
    try:
        return SpaceForm.model_validate(dict(mapping(content)))
    except WrongValue as wrong:
        raise SpaceError(one_line(source, None, f"a space {wrong.message}")) from None
    except ValidationError as error:
        place, message = first_fault(error, {"": SpaceForm, "stages": StageForm, "groups": GroupForm})
        raise SpaceError(one_line(source, text.line(place) if text else None, message)) from None
