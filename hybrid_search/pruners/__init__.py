"""The table of pruners: who says, before the first epoch and after each, whether a trial is worth its next ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid_search.errors import one_of
from hybrid_search.objectives import Objective
from hybrid_search.pruners.audit import Audit, audited
from hybrid_search.pruners.front_probability import Moasha
from hybrid_search.pruners.queue import Waiting
from hybrid_search.pruners.state import SIGNS, Watch
from hybrid_search.pruners.types import Aims, Pruner, Seen, Verdict

__all__ = [
    "DEFAULT",
    "PRUNERS",
    "SIGNS",
    "Aims",
    "Audit",
    "Moasha",
    "Seen",
    "Waiting",
    "Watch",
    "audited",
    "make_pruner",
]

DEFAULT = "none"


@dataclass(frozen=True)
class Never:
    """The pruner that lets every trial begin and end."""

    hope: float = 0.0

    def chances(self, waiting: Sequence[Seen], others: Sequence[Seen]) -> list[float]:
        """As good as on the front."""
        return [1.0] * len(waiting)

    def judge(self, trial: Seen, rung: int, others: Sequence[Seen]) -> Verdict:
        """Keep."""
        return "keep"

    def expected(self, trial: Seen, rung: int, others: Sequence[Seen]) -> tuple[float, ...]:
        """What it has reached."""
        return trial.reached[rung]


PRUNERS: dict[str, Callable[[Aims, int], Pruner]] = {
    "none": lambda aims, seed: Never(),
    "moasha": lambda aims, seed: Moasha(aims, seed),
}


def make_pruner(name: str, objectives: Sequence[Objective], seed: int = 0) -> Pruner:
    """The pruner of this name for these objectives; UnknownName lists those there are."""
    one_of("pruner", name, PRUNERS)
    return PRUNERS[name](Aims.of(objectives), seed)
