"""The table of pruners. A pruner decides, before the first epoch and after each rung, whether training continues.

Other packages add pruners through the entry-point group `hybrid_search.pruners`; an entry is a factory
`(aims, seed) -> Pruner`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid_search.errors import SettingsError
from hybrid_search.objectives import Objective
from hybrid_search.plugins import Table
from hybrid_search.pruners.audit import Audit, audit_of
from hybrid_search.pruners.front_probability import FrontProbabilityPruner
from hybrid_search.pruners.queue import DeferredDesigns
from hybrid_search.pruners.state import INDICATORS, PrunerState
from hybrid_search.pruners.types import Pruner, PrunerObjectives, TrialView, Verdict

__all__ = [
    "DEFAULT",
    "INDICATORS",
    "PRUNERS",
    "Audit",
    "DeferredDesigns",
    "FrontProbabilityPruner",
    "NoPruner",
    "Pruner",
    "PrunerFactory",
    "PrunerObjectives",
    "PrunerState",
    "TrialView",
    "Verdict",
    "audit_of",
    "current_name",
    "make_pruner",
]

DEFAULT = "none"
FORMER_NAMES = {"moasha": "front-probability"}  # names in ledgers of earlier versions
MEMBERS = ("min_probability", "front_probabilities", "judge", "expected_values")
PrunerFactory = Callable[[PrunerObjectives, int], Pruner]


@dataclass(frozen=True)
class NoPruner:
    """The pruner that trains every design to the end.

    Args:
        min_probability: The bound of a pruner; here every probability is 1.
    """

    min_probability: float = 0.0

    def front_probabilities(self, designs: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """Return 1 for every design.

        Args:
            designs: designs without a curve.
            others: all other trials so far.
        """
        return [1.0] * len(designs)

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> Verdict:
        """Return "keep".

        Args:
            trial: the running trial.
            rung: the epoch that it has completed.
            others: all other trials so far.
        """
        return "keep"

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Return the values at the rung.

        Args:
            trial: the running trial.
            rung: the epoch that it has completed.
            others: all other trials so far.
        """
        return trial.curve[rung]


def _no_pruner(aims: PrunerObjectives, seed: int) -> Pruner:
    return NoPruner()


def _front_probability(aims: PrunerObjectives, seed: int) -> Pruner:
    return FrontProbabilityPruner(aims, seed)


def _check(name: str, factory: object) -> PrunerFactory:
    if not callable(factory):
        raise SettingsError(f"a pruner must be a function (aims, seed) -> Pruner; got {type(factory).__name__}.")
    return factory


PRUNERS: Table[PrunerFactory] = Table(
    "pruner",
    "hybrid_search.pruners",
    {"none": _no_pruner, "front-probability": _front_probability},
    check=_check,
)


def current_name(name: str) -> str:
    """Return the name of a pruner in this version, given the name in this or an earlier version.

    Args:
        name: name of a pruner.
    """
    return FORMER_NAMES.get(name, name)


def make_pruner(pruner: str | PrunerFactory, objectives: Sequence[Objective], seed: int = 0) -> Pruner:
    """Return a pruner for these objectives.

    Args:
        pruner: a name of the table (a former name is accepted), or a factory `(aims, seed) -> Pruner`.
        objectives: the objectives of the search.
        seed: seed of the pruner's random choices.

    Raises:
        UnknownName: no pruner has this name.
        PluginError: the plugin of this name cannot be used.
        SettingsError: the factory raises an error, or returns something else.

    Example:
        >>> pruner = make_pruner("front-probability", objectives(("accuracy", "flops")), seed=0)
    """
    aims = PrunerObjectives.of(objectives)
    factory = PRUNERS[current_name(pruner)] if isinstance(pruner, str) else pruner
    if isinstance(pruner, str) and PRUNERS.is_built_in(current_name(pruner)):
        return factory(aims, seed)
    wanted = "pruner must be a name or a factory (aims, seed) -> Pruner"
    try:
        made = factory(aims, seed)
    except Exception as error:  # the factory of a user may raise anything
        raise SettingsError(f"{wanted}; {pruner!r:.80} raised {type(error).__name__}: {error}") from error
    missing = [name for name in MEMBERS if not hasattr(made, name)]
    if missing:
        raise SettingsError(f"{wanted}; {pruner!r:.80} returned {made!r:.80}, which has no {', '.join(missing)}.")
    return made
