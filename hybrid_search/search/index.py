"""The index of a search's trials: state, values, front and architectures, by number and by digest."""

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from hybrid_search.ledger import Proposal, TrialPoint
from hybrid_search.objectives import Objective
from hybrid_search.pareto import (
    REFERENCE_TRIALS,
    RunningFront,
    front_reference,
    hypervolume,
    pareto_front,
    reference_point,
)
from hybrid_search.spaces.recipe_tuning import recipe_choices

# Reasons of proposals that were not trained, as the ledger stores them.
OVER_BUDGET, DUPLICATE, DEFERRED = "gated", "duplicate", "passed over"


class TrialIndex:
    """The trials and proposals of a search, without the architectures themselves.

    Args:
        objectives: The objectives of the search, in order.

    Attributes:
        counts: State -> number of trials.
        over_budget: Number of proposals over the budget.
        duplicates: Number of proposals of a known architecture.
        next_number: Number of the next new trial.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = objectives
        self.directions = [objective.direction for objective in objectives]
        self.counts = {"running": 0, "complete": 0, "stopped": 0, "failed": 0}
        self.over_budget = self.duplicates = 0
        self.next_number = 0
        self.states: dict[int, str] = {}  # number -> state
        self.front = RunningFront(self.directions)
        self._known: dict[str, str] = {}  # digest -> state of its trial, or "gated"
        self._values: dict[int, Mapping[str, float]] = {}  # completed trial -> values, in the order of completion
        self._own_values: dict[int, Mapping[str, float]] = {}  # retrained trial -> values under the search's own seed
        self._completed: dict[str, int] = {}  # digest of a completed trial -> its number
        self._recipes: dict[str, tuple[tuple[str, Any], ...]] = {}  # digest -> tuned settings of its completed trial

    # -- filling --

    def load(self, points: Sequence[TrialPoint], digests: Mapping[int, str]) -> None:
        """Add the trials of the ledger.

        A failed architecture may be proposed again: an earlier run may have failed because of its machine.
        """
        for point in points:
            digest = digests[point.number]
            self.next_number = max(self.next_number, point.number + 1)
            if point.state != "failed":
                self._known[digest] = point.state
            self.counts[point.state] += 1
            self.states[point.number] = point.state
            if point.state == "complete":
                self._completed[digest] = point.number
        complete = [point for point in points if point.state == "complete" and point.finished is not None]
        for point in sorted(complete, key=lambda point: (point.finished, point.number)):
            self._values[point.number] = dict(point.values)
        rows = [self.row(values) for values in self._values.values()]
        numbers = list(self._values)
        for i in pareto_front(rows, self.directions):
            self.front.add(numbers[i], rows[i])

    def load_proposals(self, proposals: Iterable[Proposal]) -> None:
        """Add the proposals of the ledger that were not trained."""
        for proposal in proposals:
            if proposal.reason == OVER_BUDGET:
                self._known[proposal.digest] = OVER_BUDGET
                self.over_budget += 1
            self.duplicates += proposal.reason == DUPLICATE

    def set_own_values(self, values: Mapping[int, Mapping[str, float]]) -> None:
        """Set the values under the search's own seed of the trials that were retrained."""
        self._own_values = dict(values)

    def start(self, digest: str) -> int:
        """Add a trial that starts and return its number."""
        number = self.next_number
        self.next_number += 1
        self._known[digest] = "running"
        self.counts["running"] += 1
        return number

    def finish(self, number: int, digest: str, state: str) -> None:
        """Set how a running trial ended."""
        self._known[digest] = state
        self.counts["running"] -= 1
        self.counts[state] += 1
        self.states[number] = state

    def complete(self, number: int, digest: str, values: Mapping[str, float], choices: Mapping[str, Any]) -> bool:
        """Add the values of a completed trial. Return whether it is on the front."""
        self._values[number] = values
        self._completed[digest] = number
        self.add_recipe(digest, choices)
        return self.front.add(number, self.row(values))

    def add_recipe(self, digest: str, choices: Mapping[str, Any]) -> None:
        """Record under which tuned settings an architecture was completed."""
        self._recipes[digest] = recipe_choices(choices)

    def add_over_budget(self, digest: str) -> None:
        """Add a proposal over the budget."""
        self._known[digest] = OVER_BUDGET
        self.over_budget += 1

    # -- reading --

    def is_known(self, digest: str) -> bool:
        """Return whether an architecture was proposed before, other than by a deferred proposal."""
        return digest in self._known

    def known_digests(self) -> set[str]:
        """Return the digests of all known architectures."""
        return set(self._known)

    def row(self, values: Mapping[str, float]) -> list[float]:
        """Return the values of the objectives, in their order."""
        return [float(values[objective.name]) for objective in self.objectives]

    def searched_values(self, number: int, present: Mapping[str, float]) -> Mapping[str, float]:
        """Return the values that the search itself measured: a later confirmation changes no proposal."""
        return self._own_values.get(number, present)

    def values_of_duplicate(self, digest: str, choices: Mapping[str, Any]) -> list[float] | None:
        """Return the objectives of the completed trial of an architecture with the same tuned settings, if any."""
        if digest not in self._completed or self._recipes.get(digest, ()) != recipe_choices(choices):
            return None
        number = self._completed[digest]
        return self.row(self.searched_values(number, self._values[number]))

    def completed_numbers(self) -> list[int]:
        """Return the numbers of the completed trials in ascending order."""
        return sorted(self._values)

    def loaded_numbers(self, points: Sequence[TrialPoint], limit: int, seed: int) -> list[int] | None:
        """Return the trials that the sampler learns from when a search is opened; None: all of them.

        Of more than `limit` trials: the running ones, the front, the newest half, and a random sample of the others.
        """
        if len(points) <= limit:
            return None
        numbers = [point.number for point in points]
        kept = {*self.front.numbers, *numbers[-limit // 2 :]}
        others = [number for number in numbers if number not in kept]
        rng = random.Random(f"{seed}/held")
        kept |= set(rng.sample(others, max(0, min(len(others), limit - len(kept)))))
        return sorted(kept | {point.number for point in points if point.state == "running"})

    def hypervolume(self, bounds: Mapping[str, float]) -> tuple[float, list[float]]:
        """Return the hypervolume of the front and its reference point; see `pareto.reference_point`.

        Args:
            bounds: Highest value of each objective that is known before training.
        """
        first = [self.row(values) for values in islice(self._values.values(), REFERENCE_TRIALS)]
        reference = reference_point(first, self.objectives, bounds)
        rows = self.front_rows()
        return (hypervolume(rows, reference, self.directions) if rows else 0.0), reference

    def front_rows(self) -> list[list[float]]:
        """Return the objectives of the trials on the front."""
        return [self.row(self._values[number]) for number in self.front.numbers]

    def recent_gain(self, trials: int) -> float:
        """Return what the last completed trials added to the hypervolume between the ends of the front, as a share."""
        rows = [self.row(self.searched_values(number, values)) for number, values in self._values.items()]
        reference = front_reference(rows, self.directions)
        now, before = (hypervolume(some, reference, self.directions) for some in (rows, rows[:-trials]))
        return 1.0 - before / now
