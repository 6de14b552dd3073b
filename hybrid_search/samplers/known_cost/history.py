"""The history of a study as the sampler reads it: observations, running points, every point seen."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_search.samplers.define_by_run import Params
from hybrid_search.samplers.known_cost.objectives import KnownObjectives, signs_of
from hybrid_search.samplers.known_cost.points import Point, PointFactory

PROPOSED = "known_cost:proposed"  # system attribute of a trial: the proposed parameters, in Optuna's internal form
PRUNED_VALUES = "known_cost:reached"  # user attribute of a pruned trial: values of the unknown objectives to learn from
PRUNED_NOISE_SCALE = 4.0  # factor of the noise variance of a pruned trial's values


@dataclass(frozen=True, eq=False)
class Observation:
    """A trial with values.

    Args:
        point: the design.
        values: value of each objective, with the sign changed where it is maximized: less is better.
        noise_scale: factor of the noise variance.
    """

    point: Point
    values: list[float]
    noise_scale: float


@dataclass(frozen=True)
class History:
    """The trials of a study, without the one that is proposed.

    Args:
        observations: completed trials, and pruned trials with values.
        pending: points of running trials.
        seen: keys of all points.
        points: the point of every trial, in order.
        count: number of trials.
    """

    observations: list[Observation]
    pending: list[Point]
    seen: set[Hashable]
    points: list[Point]
    count: int


class HistoryReader:
    """Read the trials of a study. A running trial counts with the parameters that were proposed for it.

    Args:
        objectives: the known objectives.
        create_point: creates points.

    Attributes:
        proposed: trial number -> parameters that this sampler proposed, until the trial is finished.
        distributions: parameter name -> distribution, for parameters that a running trial has not suggested yet.
    """

    def __init__(self, objectives: KnownObjectives, create_point: PointFactory) -> None:
        self._objectives, self._create_point = objectives, create_point
        self.proposed: dict[int, dict[str, Any]] = {}
        self.distributions: Mapping[str, BaseDistribution] = {}

    def read(self, study: Study, number: int | None) -> History:
        """Return the history of a study without the trial of this number."""
        signs = signs_of(study)
        known = self._objectives.positions
        unknown = [i for i in range(len(signs)) if i not in known]
        observations: list[Observation] = []
        pending: list[Point] = []
        points: list[Point] = []
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.number == number:
                continue
            params, distributions = self.params_of(trial)
            if not params:
                continue
            complete = trial.state == TrialState.COMPLETE
            if complete:
                self._objectives.check_trial(trial, trial.values)
            point = self._create_point(params, distributions, certain=complete)
            if point is None:
                continue
            points.append(point)
            if complete:
                values = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
                observations.append(Observation(point, values, 1.0))
            elif trial.state == TrialState.RUNNING:
                pending.append(point)
            elif trial.state == TrialState.PRUNED:
                pruned = pruned_values(trial, unknown)
                if pruned is not None:
                    by_number = dict(zip(unknown, pruned, strict=True)) | dict(zip(known, point.known, strict=True))
                    values = [sign * by_number[i] for i, sign in enumerate(signs)]
                    observations.append(Observation(point, values, PRUNED_NOISE_SCALE))
        seen = {point.key for point in points}
        return History(observations, pending, seen, points, sum(1 for t in trials if t.number != number))

    def params_of(self, trial: FrozenTrial) -> tuple[Params, Mapping[str, BaseDistribution]]:
        """Return the parameters and distributions of a trial, including proposed ones that it has not suggested."""
        if trial.state.is_finished() or trial.number not in self.proposed:
            internal = trial.system_attrs.get(PROPOSED)
            if trial.state.is_finished() or not internal:
                return trial.params, trial.distributions
            merged = {**trial.params}
            distributions = dict(trial.distributions)
            for name, value in internal.items():
                if name not in merged and name in self.distributions:
                    distributions[name] = self.distributions[name]
                    merged[name] = distributions[name].to_external_repr(value)
            return merged, distributions
        proposed = self.proposed[trial.number]
        fixed = {k: v for k, v in trial.system_attrs.get("fixed_params", {}).items() if k in proposed}
        merged = {**proposed, **fixed, **trial.params}
        return merged, {**self.distributions, **trial.distributions}


def pruned_values(trial: FrozenTrial, unknown: Sequence[int]) -> list[float] | None:
    """Return values of the unknown objectives to learn from a pruned trial; None if it has none.

    They are the user attribute PRUNED_VALUES, a value for each unknown objective: the last values or the expected final
    ones. Without it, and with one unknown objective, it is the last intermediate value. (Optuna has no intermediate
    values for several objectives.)
    """
    given = trial.user_attrs.get(PRUNED_VALUES)
    if given is None and trial.intermediate_values and len(unknown) == 1:
        given = [trial.intermediate_values[max(trial.intermediate_values)]]
    if not isinstance(given, list | tuple) or len(given) != len(unknown):
        return None
    values = [float(value) for value in given]
    return values if all(math.isfinite(value) for value in values) else None
