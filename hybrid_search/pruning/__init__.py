"""The table of pruners: who says, after an epoch, whether a running trial is worth its remaining ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid_search.errors import one_of
from hybrid_search.pruning.audit import Audit, audited, saved_epochs
from hybrid_search.pruning.moasha import Moasha
from hybrid_search.pruning.values import Aims, Pruner, Seen, Verdict

__all__ = [
    "DEFAULT",
    "PRUNERS",
    "Aims",
    "Audit",
    "Moasha",
    "Pruner",
    "Seen",
    "Verdict",
    "audited",
    "make_pruner",
    "saved_epochs",
]

DEFAULT = "none"


@dataclass(frozen=True)
class Never:
    """The pruner that lets every trial end."""

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


def make_pruner(name: str, aims: Aims, seed: int = 0) -> Pruner:
    """The pruner of this name; UnknownName lists those there are."""
    one_of("pruner", name, PRUNERS)
    return PRUNERS[name](aims, seed)
