"""The known designs of a space: the architectures nearest to the networks of the paper. They are the first trials.

    all convolution                      ResNet
    all attention                        convolution stem, local attention in every stage
    attention throughout                 the attention stem too, where the space offers it
    convolution then attention (CCA)     convolution in the first stages, attention in those after them

In a space that offers blocks, the designs nearest to the small reference networks come before them; see
`nearest_references.py`.

Every front therefore shows them, trained with its own recipe. They differ in their operators only, so their costs can
be compared: depths, widths and the options of the stem are the middle choices (the upper of two). The options of an
operator are those of its paper (a 3x3 kernel, extent 7, 8 heads), or the nearest choices.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hybrid_search.errors import UserError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import simplified_for
from hybrid_search.networks.references import OPERATORS
from hybrid_search.ops import make_operator, options_of
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.budget import budget_excess
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.nearest_references import nearest_references
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.stored_space import stored_space

SPLITS = 3  # the largest number of designs with convolution early and attention late
ATTENTION_STEM = "attention"


class KnownDesign(NamedTuple):
    """One design: its name, its choices, and its architecture on the images of the search."""

    name: str
    choices: Mapping[str, Any]
    architecture: Architecture


@dataclass
class _Nearest:
    """Choose the operators and the stem of a pattern, the options of the paper, and the middle of all other choices."""

    kinds: Mapping[str, str]  # place ("stem", "stage1", "stage1.block", name of a group) -> stem, operator or block
    params: dict[str, Any] = field(default_factory=dict)
    offered: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.offered[name] = tuple(choices)
        self.params[name] = self._choice(name, choices)
        return self.params[name]

    def _choice(self, name: str, choices: Sequence[Any]) -> Any:
        *place, option = name.split(".")
        if option == "operator" or name == "stem":
            return self.kinds[name if name == "stem" else place[0]]
        if option == "variant":
            return choices[0]
        if option == "block":
            return self.kinds.get(name, choices[0])
        for operator in OPERATORS.values():
            if operator in place:
                return _nearest(dict(options_of(make_operator(operator, {})))[option], choices)
        if _numbers(choices):
            return sorted(choices)[len(choices) // 2]
        return choices[0]


def _nearest(wanted: Any, choices: Sequence[Any]) -> Any:
    if wanted in choices or not _numbers([wanted, *choices]):
        return wanted if wanted in choices else choices[0]
    return min(choices, key=lambda choice: (abs(math.log(max(choice, 1e-9) / max(wanted, 1e-9))), choice))


def _numbers(choices: Sequence[Any]) -> bool:
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)


def known_designs(record: SearchRecord, space: SearchSpace | None = None) -> list[KnownDesign]:
    """Return the known designs of a search. They are distinct networks within its budget.

    The result depends only on the configuration of the search. A design over the budget is reduced: the number whose
    next smaller choice saves most is lowered, until the design fits. It is left out if no step helps. A pattern is left
    out if a stage of the space does not have its operator.

    Args:
        record: the search.
        space: its space, if it has been parsed already.
    """
    space = space or stored_space(record.space, f"search {record.name}")
    found: dict[str, KnownDesign] = {}
    for design in nearest_references(record, space):
        found.setdefault(design[2].digest, KnownDesign(*design))
    for name, kinds in _patterns(space).items():
        chooser = _Nearest(kinds)
        space.choose(chooser)
        within = _within(record, space, chooser.params)
        if within is not None:
            architecture, choices = within
            found.setdefault(architecture.digest, KnownDesign(name, choices, architecture))
    return list(found.values())


def known_names(record: SearchRecord) -> dict[str, str]:
    """Return the names of the known designs of a search: digest -> name.

    Empty if the search began without them, or if the space needs a plugin that is not installed.
    """
    try:
        return {each.architecture.digest: each.name for each in known_designs(record)} if record.known_designs else {}
    except UserError:
        return {}


def _patterns(space: SearchSpace) -> dict[str, dict[str, str]]:
    """Return the patterns that the space contains: name -> place -> operator or stem."""
    stages = len(space.form.stages)
    stems = [kind for kind in space.form.stem if kind != ATTENTION_STEM] or [ATTENTION_STEM]
    letters = {"all convolution": "C" * stages, "all attention": "A" * stages}
    count = min(SPLITS, stages - 1)
    for part in range(count, 0, -1):
        late = round(part * stages / (count + 1))
        pattern = "C" * (stages - late) + "A" * late
        letters[f"convolution then attention ({pattern})"] = pattern
    wanted = [(name, pattern, stems[0]) for name, pattern in letters.items()]
    if ATTENTION_STEM in space.form.stem and stems[0] != ATTENTION_STEM:
        wanted.insert(2, ("attention throughout", "A" * stages, ATTENTION_STEM))
    found = {}
    for name, pattern, stem in wanted:
        kinds = {"stem": stem}
        offered = True
        for number, (form, letter) in enumerate(zip(space.form.stages, pattern, strict=True), start=1):
            place = form.group or f"stage{number}"
            blocks = [b for b in space.form.blocks(form) if OPERATORS[letter] in space.form.operators(form, b)]
            offered &= bool(blocks)
            if form.by_block is not None and blocks:
                kinds[f"stage{number}.block"] = blocks[0]
            offered &= kinds.setdefault(place, OPERATORS[letter]) == OPERATORS[letter]  # a group has one operator
        if offered:
            found[name] = kinds
    return found


def _within(
    record: SearchRecord, space: SearchSpace, choices: Mapping[str, Any]
) -> tuple[Architecture, dict[str, Any]] | None:
    """Return the architecture of these choices, or the nearest one of its pattern within the budget."""

    def made(given: Mapping[str, Any]) -> tuple[float, Architecture, FixedChoices]:
        chooser = FixedChoices(given)
        architecture = simplified_for(space.choose(chooser), record.input_size)
        return budget_excess(record, architecture), architecture, chooser

    excess, architecture, here = made(choices)
    while excess > 0:
        steps = [made({**here.params, name: choice}) for name, choice in _smaller(here)]
        best = min(steps, key=lambda step: step[0], default=None)
        if best is None or best[0] >= excess:
            return None
        excess, architecture, here = best
    return architecture, here.params


def _smaller(here: FixedChoices) -> list[tuple[str, Any]]:
    """Return every parameter that is a number, with its next smaller choice."""
    found = []
    for name, choices in here.offered.items():
        if _numbers(choices) and not name.endswith("variant"):
            below = [choice for choice in choices if choice < here.params[name]]
            found += [(name, max(below))] if below else []
    return found
