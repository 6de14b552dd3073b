"""Undecided comparisons, and new designs to train that would add matched pairs to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_search.analysis.effects.factors import Factor
from hybrid_search.analysis.effects.matched_pairs import Comparison
from hybrid_search.analysis.effects.trained_designs import TrainedDesigns

PAIRS = 2  # new designs for each question
MOST_PARTNERS = 200  # trained designs that are tried as a partner

Checked = Callable[[Mapping[str, Any]], tuple[str, Mapping[str, Any]] | None]


@dataclass(frozen=True)
class OpenQuestion:
    """A comparison without a sign, and designs that make new pairs for it.

    Attributes:
        comparison: The comparison.
        designs: Choices of designs that were not trained yet.
        partners: Number of the trial that each of them makes a pair with.
    """

    comparison: Comparison
    designs: tuple[Mapping[str, Any], ...]
    partners: tuple[int, ...]


def open_questions(
    designs: TrainedDesigns, comparisons: Sequence[Comparison], checked: Checked, pairs: int = PAIRS
) -> list[OpenQuestion]:
    """Return the undecided comparisons of operators, blocks and stems, with new designs that make pairs.

    The partners are random trained designs of either choice. The noise of good ones is mostly positive, so a new
    design would look worse beside them than it is. The new design is its partner with the other choice; the options of
    that choice are those of the best trained design that has it at this place.

    Args:
        designs: The trained designs.
        comparisons: Their comparisons.
        checked: Choices -> the digest of the design and its complete choices; None if it is over the budget, or was
            proposed before.
        pairs: Number of new designs for each question.

    Returns:
        The questions for which there are new designs, in the order of the comparisons.
    """
    sign = 1.0 if designs.objective.direction == "maximize" else -1.0
    best = np.argsort(-sign * designs.values, kind="stable").tolist()
    partners = np.random.default_rng(0).permutation(len(designs))[:MOST_PARTNERS].tolist()
    found: list[OpenQuestion] = []
    seen: set[str] = set()
    for comparison in comparisons:
        if comparison.factor.kind == "option" or comparison.decided:
            continue
        made: list[tuple[Mapping[str, Any], int]] = []
        for row in partners:
            twin = _twin(designs, comparison, row, best)
            done = checked(twin) if twin is not None else None
            if done is not None and done[0] not in seen and _pairs(done[1], designs.choices[row], comparison.factor):
                seen.add(done[0])
                made.append((done[1], designs.numbers[row]))
            if len(made) == pairs:
                break
        if made:
            new, trials = zip(*made, strict=True)
            found.append(OpenQuestion(comparison, new, trials))
    return found


def _twin(designs: TrainedDesigns, comparison: Comparison, row: int, best: Sequence[int]) -> dict[str, Any] | None:
    """Return the choices of a design with the other choice of a comparison; None if it has neither."""
    choices, factor = designs.choices[row], comparison.factor
    here = choices.get(factor.name)
    if here not in (comparison.a, comparison.b):
        return None
    other = comparison.b if here == comparison.a else comparison.a
    donor = next(designs.choices[i] for i in best if designs.choices[i].get(factor.name) == other)
    kept = {name: choice for name, choice in choices.items() if name not in factor.owned}
    return {**kept, **_owned(donor, factor)}


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any], factor: Factor) -> bool:
    """Return whether two designs are equal but for a factor."""
    one, other = ({name: each[name] for name in each if name not in factor.owned} for each in (first, second))
    return one == other


def _owned(choices: Mapping[str, Any], factor: Factor) -> dict[str, Any]:
    return {name: choice for name, choice in choices.items() if name in factor.owned}
