"""The form of a space file: YAML, validated with pydantic. Every error is one line.

A complete example:

    name: tiny                        # default: the name of the file
    about: Two operators on digits.   # one line for people
    data: digits                      # the data set; default: digits
    settings: {epochs: 8}             # settings of training that differ from the defaults
    expansion: 2                      # a block has width x expansion output channels; default: 4
    stem:                             # one stem or several, each with its options
      conv3x3: {width: [8, 16]}
    groups:                           # operators that are chosen once for several stages
      late:
        operator: {conv: {kernel_size: 3}, local_attention: {extent: [3, 7], heads: 4}}
    stages:                           # one line for each stage, from the image to the classifier
      - {depth: [1, 2], width: 16, operator: {conv: {kernel_size: [3, 5]}, depthwise_conv: {kernel_size: 5}}}
      - {depth: 2, width: 32, stride: 2, per: block, operator: [conv, global_attention]}
      - {depth: 1, width: [32, 64], stride: 2, group: late}

Keys of a stage:

    depth       number of blocks
    width       number of channels inside a block
    stride      1 (default) or 2: the first block divides rows and columns by it
    operator    the possible operators with their options; [conv, local_attention] takes the default options
    group       instead of operator: the name of an entry under `groups`. All stages of a group have the same operator
    per         "stage" (default): one choice for all blocks. "block": a choice for each block

A list is a choice, a single value is fixed: `width: [16, 32]` adds the parameter `stage1.width`, `width: 16` adds none.
Lists are possible for depth, width, and the options of stems and operators. The first entry of a list is the default
of `FixedChoices`.

Parameters are named by their place: `stem`, `stem.conv3x3.width`, `stage1.depth`, `stage1.operator`,
`stage1.conv.kernel_size`, `stage2.block1.operator`, `late.operator`, `late.local_attention.extent`. Options of an
operator are parameters only if this operator is chosen.

Some options are illegal together. A list of variants keeps the legal combinations apart and adds the parameter
`stage1.local_attention.variant`:

    local_attention:
      - {extent: [3, 7], position: relative, logits: [qk+qr, qr]}
      - {extent: [3, 7], position: [absolute, none]}

When a file is read, every combination of options is checked at every width. So each choice leads to a legal
architecture.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from hybrid_search.errors import HybridSearchError, SpaceError, nearest
from hybrid_search.networks.stems import make_stem
from hybrid_search.ops import make_operator
from hybrid_search.records import Settings


def _several(value: object) -> object:
    """Return a single value as a list of one choice."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Check that a list of choices is not empty and has no entry twice."""
    if not values:
        raise ValueError("a list of choices must have at least one entry; got none")
    if len({(type(value), value) for value in values}) != len(values):
        raise ValueError(f"choices must differ from each other; got {', '.join(map(str, values))}")
    return values


def _named(value: object) -> object:
    """Expand the short forms `conv` and `[conv, local_attention]`: operators or stems with their default options."""
    if isinstance(value, str):
        return {value: [{}]}
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: [{}] for name in value}
    if isinstance(value, Mapping):
        return {
            name: options if isinstance(options, list | tuple) else [options or {}] for name, options in value.items()
        }
    return value


Count = Annotated[StrictInt, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], BeforeValidator(_several), AfterValidator(_distinct)]
Values = Annotated[
    tuple[StrictBool | StrictInt | StrictFloat | StrictStr, ...], BeforeValidator(_several), AfterValidator(_distinct)
]
Variants = Annotated[tuple[dict[str, Values], ...], Field(min_length=1)]
Kinds = Annotated[dict[str, Variants], BeforeValidator(_named), Field(min_length=1)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupForm(_Form):
    """Operators that are chosen once for several stages."""

    operator: Kinds


class StageForm(_Form):
    """One stage: depth, width, stride, and its operators or the name of its group."""

    depth: Counts
    width: Counts
    stride: Annotated[StrictInt, Field(ge=1, le=2)] = 1
    operator: Kinds | None = None
    group: str | None = None
    per: Literal["stage", "block"] = "stage"

    @model_validator(mode="after")
    def _one_source(self) -> "StageForm":
        if (self.operator is None) == (self.group is None):
            raise ValueError("a stage needs either operator or group")
        if self.group is not None and self.per == "block":
            raise ValueError("a stage of a group chooses with its group; per: block needs operators of its own")
        return self


class SpaceForm(_Form):
    """A whole space file. Every architecture of the space has been checked."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    about: str = ""
    data: str = "digits"
    settings: dict[str, Any] = {}
    expansion: Count = 4
    stem: Kinds
    groups: dict[str, GroupForm] = {}
    stages: Annotated[tuple[StageForm, ...], Field(min_length=1)]

    def operators(self, stage: StageForm) -> Kinds:
        """Return the possible operators of a stage."""
        if stage.operator is not None:
            return stage.operator
        assert stage.group is not None
        return self.groups[stage.group].operator

    @model_validator(mode="after")
    def _legal(self) -> "SpaceForm":
        if "data" in self.settings:
            raise ValueError("data is a key of the space, not of its settings; got both")
        clashing = [name for name in self.groups if re.fullmatch(r"stem|stage\d+", name)]
        if clashing:
            raise ValueError(f"groups must not be named like a stem or stage; got {clashing[0]!r}")
        Settings.from_dict({"data": self.data, **self.settings})
        for kind, options in _each(self.stem):
            with _place("stem"):
                for given in _combinations(options):
                    make_stem(kind, given).check()
        for index, stage in enumerate(self.stages):
            where = f"stages.{index}"
            if stage.group is not None and stage.group not in self.groups:
                known = ", ".join(self.groups) or "none"
                raise ValueError(
                    f"{where}.group must be one of {known}; got {stage.group!r}.{nearest(stage.group, self.groups)}"
                )
            for name, options in _each(self.operators(stage)):
                with _place(where):
                    for given in _combinations(options):
                        operator = make_operator(name, given)
                        for width in stage.width:
                            operator.check(width)
        return self


def _each(kinds: Mapping[str, tuple[dict[str, Any], ...]]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, options) for name, variants in kinds.items() for options in variants]


def _combinations(options: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


@contextmanager
def _place(where: str) -> Iterator[None]:
    """Put the place in the file before the message of an error inside."""
    try:
        yield
    except HybridSearchError as error:
        raise ValueError(f"{where}: {error}") from None


def read_space_file(path: Path) -> SpaceForm:
    """Read and check a space file.

    Raises:
        SpaceError: the file cannot be read or breaks a rule; the message is one line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpaceError(f"a space must be a readable YAML file; {path} is not: {reason}.") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        raise SpaceError(
            f"a space must be YAML; {path} is not, at {where}: {getattr(error, 'problem', error)}."
        ) from None
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"is a {type(content).__name__}"
        raise SpaceError(f"a space file must have keys such as stem and stages; {path} {found}.")
    return parse_space({"name": path.stem, **content}, str(path))


def parse_space(content: Mapping[str, Any], source: str) -> SpaceForm:
    """Check the content of a space file.

    Args:
        content: the keys of the file.
        source: name of the file, for messages.

    Raises:
        SpaceError: the first fault and its place.
    """
    try:
        return SpaceForm.model_validate(content)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        # A misspelt key causes two faults, an unknown key and a missing one. The unknown key explains more.
        fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
        raise SpaceError(f"{source}: {_worded(dict(fault))}") from None


# First key of a place in the file -> the form of that place.
FORMS: dict[str, type[_Form]] = {"": SpaceForm, "stages": StageForm, "groups": GroupForm}


def _worded(fault: Mapping[str, Any]) -> str:
    """Return a fault that pydantic found as one line: the rule, the value, what is possible."""
    loc = [str(part) for part in fault["loc"]]
    if fault["type"] == "extra_forbidden":
        form = FORMS[loc[0]] if len(loc) > 2 else SpaceForm
        known = list(form.model_fields)
        where = f"keys of {'.'.join(loc[:-1])}" if len(loc) > 1 else "keys of a space"
        return f"{where} are {', '.join(known)}; got {loc[-1]!r}.{nearest(loc[-1], known)}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "value_error":
        return f"{'.'.join(loc)}: {message}" if loc else message
    got = "nothing" if fault["type"] == "missing" else repr(fault["input"])
    return f"{'.'.join(loc)}: {message[:1].lower()}{message[1:]}; got {got}."
