"""The queue of proposed designs that were deferred, and the choice of the one to train next."""

from collections.abc import Hashable, Sequence

from hybrid_search.pruners.types import Pruner, TrialView

MAX_DEFERRED = 100  # if more designs are deferred, those with the lowest probability are dropped


class DeferredDesigns:
    """Proposed designs that have not started, by key; the newest is the last."""

    def __init__(self) -> None:
        self.designs: dict[Hashable, TrialView] = {}

    def add(self, key: Hashable, design: TrialView) -> None:
        """Add a design. One that was added before becomes the newest.

        Args:
            key: identity of the design.
            design: the design, without a curve.
        """
        self.designs.pop(key, None)
        self.designs[key] = design

    def next_design(self, pruner: Pruner, others: Sequence[TrialView], *, required: bool = False) -> Hashable | None:
        """Remove the design to train next and return its key; return None if every design stays deferred.

        The newest design is chosen if its probability of reaching the front is at least `pruner.min_probability`.
        Otherwise the most probable design is chosen, provided that it reaches this bound or that one is required.

        Args:
            pruner: gives the probabilities.
            others: all trials so far.
            required: choose the most probable design even if it is below the bound.

        Returns:
            The key of the design, or None.
        """
        keys = list(self.designs)
        probabilities = dict(zip(keys, pruner.front_probabilities(list(self.designs.values()), others), strict=True))
        ranked = sorted(keys, key=lambda key: (-probabilities[key], self.designs[key].digest))
        for key in ranked[MAX_DEFERRED:]:
            del self.designs[key]
        best = keys[-1] if probabilities[keys[-1]] >= pruner.min_probability else ranked[0]
        if not required and probabilities[best] < pruner.min_probability:
            return None
        self.designs.pop(best, None)
        return best
