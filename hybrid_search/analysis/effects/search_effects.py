"""Read the effects of operators, blocks, stems and options of one search from the ledger.

Every design counts with its result under the seed of the search, also after a confirmation. A confirmation retrains the
designs with the best results, and the noise of such results is mostly positive. Their means over fresh seeds lack
it, so a comparison of these means with single seeds would have a bias against their operators.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid_search.analysis.confidence import confirmed_front
from hybrid_search.analysis.effects.factors import factors
from hybrid_search.analysis.effects.importance import Importance, importance
from hybrid_search.analysis.effects.matched_pairs import Comparison, compare
from hybrid_search.analysis.effects.model_effects import ModelEffect, model_effects
from hybrid_search.analysis.effects.open_questions import OpenQuestion, open_questions
from hybrid_search.analysis.effects.operator_shares import OperatorShare, operator_shares
from hybrid_search.analysis.effects.trained_designs import TrainedDesigns
from hybrid_search.errors import UnknownName, UserError, nearest
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.costs import simplified_for
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord
from hybrid_search.spaces.budget import budget_excess
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.recipe_tuning import PREFIX
from hybrid_search.spaces.stored_space import stored_space


@dataclass(frozen=True, eq=False)
class SearchEffects:
    """The effects of the operators of a search.

    Attributes:
        objective: What the differences are of.
        trials: Number of trained designs that were compared.
        left_out: Number of trials that were not: they run, were stopped, failed, or lack the objective.
        comparisons: The matched pairs of every factor.
        model: The effects at equal FLOPs, by the model.
        shares: The operators of the front beside all designs.
        importances: The importance of every parameter.
        questions: New designs that make pairs for an open question.
    """

    objective: Objective
    trials: int
    left_out: int
    comparisons: list[Comparison]
    model: list[ModelEffect]
    shares: list[OperatorShare]
    importances: list[Importance]
    questions: list[OpenQuestion]

    def at_equal_flops(self, comparison: Comparison) -> ModelEffect | None:
        """Return the effect of the model for a comparison.

        Args:
            comparison: One of `comparisons`.

        Returns:
            The effect at equal FLOPs; None if there is none.
        """
        wanted = comparison.factor.name, comparison.a, comparison.b
        return next((each for each in self.model if (each.factor.name, each.a, each.b) == wanted), None)


def search_effects(ledger: Ledger, record: SearchRecord, objective: str | None = None) -> SearchEffects:
    """Return the effects of the operators of a search.

    Args:
        ledger: The ledger.
        record: The search.
        objective: Name of a measured objective of the search; default: the first one.

    Raises:
        UnknownName: The search has no such objective, or it has only costs.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     effects = search_effects(ledger, ledger.search("digits"))
        >>> [(each.factor.name, str(each), each.difference) for each in effects.comparisons]
    """
    chosen = _objective(record, objective)
    names = sorted({*record.objectives, "flops"})
    values = ledger.read(reads.values, record.id, names)
    repeats = ledger.read(reads.repeats, record.id, confirmed=True)
    front = confirmed_front(values, [n for n in repeats if repeats[n].fresh], record.objective_list).members
    for number, each in repeats.items():  # every design counts with the seed of the search; see the module
        values[number] |= {name: each.own[name] for name in names if name in each.own}
    choices = ledger.read(reads.choices, record.id)
    numbers = [n for n, row in values.items() if _is_comparable(row.get(chosen.name), row.get("flops"))]
    designs = TrainedDesigns(
        numbers,
        [choices[n] for n in numbers],
        np.array([values[n][chosen.name] for n in numbers], dtype=np.float64),
        np.array([values[n]["flops"] for n in numbers], dtype=np.float64),
        chosen,
    )
    found = factors(designs, _operators(record.space))
    comparisons = compare(designs, found)
    points = np.array([[values[n].get(name, np.nan) for name in record.objectives] for n in numbers], dtype=np.float64)
    total = sum(ledger.read(reads.counts, record.id).values())
    return SearchEffects(
        chosen,
        len(designs),
        total - len(designs),
        comparisons,
        model_effects(designs, found),
        operator_shares(designs, found, front),
        importance(designs, points, record.objective_list) if numbers else [],
        open_questions(designs, comparisons, _new_designs(ledger, record)) if numbers else [],
    )


def _is_comparable(value: float | None, flops: float | None) -> bool:
    """Return whether a trial has a finite objective and FLOPs of which the logarithm is finite."""
    return value is not None and flops is not None and math.isfinite(value) and 0 < flops < math.inf


def _objective(record: SearchRecord, name: str | None) -> Objective:
    """Return the objective of a name, or the first measured one."""
    measured = {each.name: each for each in record.objective_list if not each.known}
    if not measured:
        raise UnknownName(
            f"effects need a measured objective; search {record.name} has {', '.join(record.objectives)}."
        )
    if name is None:
        return next(iter(measured.values()))
    if name not in measured:
        raise UnknownName(
            f"--objective must be one of {', '.join(measured)} in search {record.name}; got {name!r}."
            f"{nearest(name, measured)}"
        )
    return measured[name]


def _operators(space: Any) -> set[str]:
    """Return the names of the operators that a stored space offers, at any depth."""
    if not isinstance(space, Mapping):
        return set().union(*map(_operators, space)) if isinstance(space, list | tuple) else set()
    found: set[str] = set()
    for key, value in space.items():
        if key == "operator" and isinstance(value, Mapping):
            found |= set(value)
        elif key == "by_block" and isinstance(value, Mapping):
            found |= {name for kinds in value.values() for name in kinds}
        else:
            found |= _operators(value)
    return found


def _new_designs(ledger: Ledger, record: SearchRecord) -> Any:
    """Return the function that checks whether the design of some choices is new and within the budget."""
    try:
        space = stored_space(record.space, f"search {record.name}")
    except UserError:  # it needs a plugin that is not installed
        return lambda choices: None
    known = set(ledger.read(reads.digests, record.id).values())

    def checked(choices: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
        chooser = FixedChoices(choices)
        try:
            architecture = simplified_for(space.choose(chooser), record.input_size)
        except UserError:
            return None
        if architecture.digest in known or budget_excess(record, architecture) > 0:
            return None
        recipe = {name: choice for name, choice in choices.items() if name.startswith(PREFIX)}
        return architecture.digest, {**chooser.params, **recipe}

    return checked
