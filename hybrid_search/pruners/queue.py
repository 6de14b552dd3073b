"""The designs that wait for their first epoch, and which of them is to begin."""

from collections.abc import Hashable, Sequence

from hybrid_search.pruners.types import Pruner, Seen

HELD = 100  # of more designs that wait the least likely are forgotten


class Waiting:
    """Designs by key, the newest last."""

    def __init__(self) -> None:
        self.designs: dict[Hashable, Seen] = {}

    def add(self, key: Hashable, design: Seen) -> None:
        """A design that is proposed, or proposed again."""
        self.designs.pop(key, None)
        self.designs[key] = design

    def pick(self, pruner: Pruner, others: Sequence[Seen], *, must: bool = False) -> Hashable | None:
        """The design that is to begin, by its key; it waits no longer. `others` are all trials so far.

        The newest, if there is hope for it; else the one of the greatest chance, if there is hope for that, or one is
        needed (`must`); else None.
        """
        keys = list(self.designs)
        chances = dict(zip(keys, pruner.chances(list(self.designs.values()), others), strict=True))
        ranked = sorted(keys, key=lambda key: (-chances[key], self.designs[key].digest))
        for key in ranked[HELD:]:
            del self.designs[key]
        best = keys[-1] if chances[keys[-1]] >= pruner.hope else ranked[0]
        if not must and chances[best] < pruner.hope:
            return None
        self.designs.pop(best, None)
        return best
