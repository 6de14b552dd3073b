"""The factors of a space: the choices whose effects are estimated.

    operator    the operator of a stage, a block or a group
    block       the block of a stage, with the operator inside it
    stem        the stem
    option      an option of an operator, such as extent, heads or kernel_size

Depth and width are no factors: they set the cost of a design.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hybrid_search.analysis.effects.trained_designs import ABSENT, TrainedDesigns
from hybrid_search.ops import OPERATORS

FactorKind = Literal["operator", "block", "stem", "option"]
EXPANSION = "expansion"  # of all bottleneck blocks of a network
OPERATOR, BLOCK, STEM = "operator", "block", "stem"


@dataclass(frozen=True)
class Factor:
    """One factor.

    Args:
        name: Name of its parameter, such as `stage1.operator`.
        kind: operator, block, stem or option.
        levels: Its choices. Convolution stands before attention, and numbers are in order.
        owned: Names of all parameters that belong to it. A pair may differ in them.
    """

    name: str
    kind: FactorKind
    levels: tuple[Any, ...]
    owned: frozenset[str]

    @property
    def place(self) -> str:
        """The place of the choice: `stage1`, `stem` or the name of a group."""
        return self.name.split(".")[0]

    @property
    def question(self) -> str:
        """The kind of the choice: `operator`, `metaformer operator`, `local_attention extent`, `stem`."""
        return " ".join(self.name.split(".")[1:]) or self.name


def factors(designs: TrainedDesigns, operators: Collection[str]) -> list[Factor]:
    """Return the factors of a search that have at least two choices among its designs.

    Args:
        designs: The trained designs.
        operators: Names of the operators of the space.

    Returns:
        The factors of the whole network, then those of each stage, block by block.
    """
    found = []
    for name in designs.parameters:
        levels = designs.levels[name]
        if len(levels) > 1 and (kind := _kind(name, operators)) is not None:
            ordered = tuple(sorted(levels, key=_is_attention)) if kind == OPERATOR else levels
            owned = _owned(name, kind, levels, designs.parameters)
            if kind == BLOCK and _is_of_one_level(designs, EXPANSION, name):
                owned |= {EXPANSION}
            found.append(Factor(name, kind, ordered, owned))
    return sorted(found, key=_position)


def _kind(name: str, operators: Collection[str]) -> FactorKind | None:
    *place, last = name.split(".")
    if name == STEM:
        return "stem"
    if last == OPERATOR and place:
        return "operator"
    if last == BLOCK:
        return "block"
    owner = [part for part in place if not part.startswith("variant")][-1:]
    return "option" if owner and owner[0] in operators and last != "variant" else None


def _owned(name: str, kind: FactorKind, levels: Sequence[Any], parameters: Sequence[str]) -> frozenset[str]:
    """Return the parameters that exist, or have their meaning, only under one choice of this factor."""
    before = name[: -len(name.split(".")[-1])]  # "stage1." of "stage1.operator"
    under = "|".join(re.escape(str(level)) for level in levels)
    pattern = {
        "operator": rf"{re.escape(before)}({under})\.",
        "block": rf"{re.escape(name)}\." + (rf"|{re.escape(before)}(block\d+\.)?({under})\." if before else ""),
        "stem": rf"{re.escape(name)}\.",
        "option": r"(?!)",  # matches nothing
    }[kind]
    return frozenset([name, *(each for each in parameters if re.match(pattern, each))])


def _is_of_one_level(designs: TrainedDesigns, parameter: str, name: str) -> bool:
    """Return whether a parameter exists only in designs with one certain choice of another parameter."""
    if parameter not in designs.parameters:
        return False
    with_it = designs.column(parameter) != ABSENT
    return len(np.unique(designs.column(name)[with_it])) == 1


def _position(factor: Factor) -> list[int]:
    """Return the sort key of a factor: number of its stage, then of its block; empty for those of the whole network."""
    return [int(number) for number in re.findall(r"(?:^stage|\.block)(\d+)(?=\.)", factor.name)]


def _is_attention(operator: str) -> bool:
    """Return whether an operator is of the family of attention; an operator that is not installed goes by its name."""
    if operator in OPERATORS:
        return bool(OPERATORS[operator].family == "attention")
    return "attention" in operator
