"""Stop trials, and defer designs, that will probably not reach the Pareto front.

Rungs and promotion follow ASHA (Li et al., 2020, arXiv:1810.05934); the ranking by non-dominated fronts follows MO-ASHA
(Schmucker et al., 2021, arXiv:2106.12639). Three things are added: known costs are compared exactly at every rung, a
learning-curve forecast can veto a stop, and there is a decision before the first epoch.

The front probability of a design is the probability that, at its exact cost, no completed trial dominates its quality.
Qualities are sampled jointly from one model of the completed trials (surrogate.py), which separates the quality of a
design from the noise of its training. The sample of a running trial is conditioned on the forecast of its learning
curve (forecast.py).

A trial is stopped at a rung only if both of these hold:

* rank: of all trials that reached the rung, at least one in `reduction_factor` lies on better non-dominated fronts;
* front probability: it is below 1 - `confidence`.

Before its first epoch a design is deferred while its front probability is below `min_probability`. It can be chosen
later, when more trials are completed. Nothing is deferred or stopped before `n_startup_trials` trials are completed. A
share `audit_share` of all designs, chosen by digest, is spared from a stop; it measures how often a stop is wrong.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybrid_search._internal.number_text import whole_number
from hybrid_search.errors import SettingsError
from hybrid_search.gaussian_process import Array
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners.forecast import Forecast, forecast
from hybrid_search.pruners.objective_model import ObjectiveModel, log_columns, objective_models
from hybrid_search.pruners.ranking import count_better_ranked, non_dominated_probability
from hybrid_search.pruners.surrogate import N_SAMPLES
from hybrid_search.pruners.types import PrunerObjectives, TrialView, Verdict, completed, full_budget

MAX_TRIALS = 150  # completed trials that the model is fitted to


@dataclass(frozen=True)
class FrontProbabilityPruner:
    """A pruner that keeps what may reach the Pareto front; see the text at the top of this module.

    Args:
        aims: the objectives.
        seed: chooses the designs of the audit.
        ratio: ratio of the epochs of successive rungs. 1.5 gives the rungs 4, 3, 2 and 1 of 6 epochs.
        reduction_factor: a trial that ranks in the best 1 / `reduction_factor` of its rung is not stopped.
        confidence: a trial is stopped only if its front probability is below 1 - `confidence`.
        min_probability: a design is deferred while its front probability is below this.
        audit_share: share of the designs that are spared from a stop.
        n_startup_trials: completed trials before anything is deferred or stopped, 4 or more.

    Raises:
        SettingsError: a setting is out of range.

    Example:
        >>> pruner = FrontProbabilityPruner(PrunerObjectives(("maximize", "minimize"), known=(1,)), confidence=0.95)
        >>> pruner.judge(trial, 2, other_trials)
        'keep'
    """

    aims: PrunerObjectives
    seed: int = 0
    ratio: float = 1.5
    reduction_factor: float = 8.0
    confidence: float = 0.98
    min_probability: float = 0.08
    audit_share: float = 0.05
    n_startup_trials: int = 6

    def __post_init__(self) -> None:
        bounds = (("ratio", 1.0, math.inf), ("reduction_factor", 1.0, math.inf), ("confidence", 0.5, 1.0))
        for name, low, high in bounds:
            if not low < getattr(self, name) < high:
                raise SettingsError(f"{name} must be between {low:g} and {high:g}; got {getattr(self, name)!r}.")
        for name in ("audit_share", "min_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} must be a share from 0 to 1; got {getattr(self, name)!r}.")
        startup = whole_number("n_startup_trials", self.n_startup_trials, 4)  # a residual needs more points than a line
        object.__setattr__(self, "n_startup_trials", startup)

    def rungs(self, full: int) -> list[int]:
        """Return the epochs after which a trial of `full` epochs is judged, in descending order."""
        rungs: dict[int, None] = {}
        epochs = float(full)
        while (epochs := epochs / self.ratio) >= 1.0:
            rungs[min(round(epochs), full - 1)] = None
        return list(rungs)

    def front_probabilities(self, designs: Sequence[TrialView], others: Sequence[TrialView]) -> list[float]:
        """Return the front probability of each design; 1 until enough trials are completed. See `Pruner`.

        Args:
            designs: designs without a curve.
            others: all other trials so far.
        """
        done = completed(others)
        if not designs or len(done) < self.n_startup_trials:
            return [1.0] * len(designs)
        order = sorted(range(len(designs)), key=lambda at: designs[at].digest)  # independent of the order of time
        values = self._probabilities([designs[at] for at in order], 0, self._training_set(done))
        by_position = dict(zip(order, values.tolist(), strict=True))
        return [by_position[at] for at in range(len(designs))]

    def judge(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> Verdict:
        """Return "keep", "stop" or "spare". See `Pruner`.

        Args:
            trial: the running trial.
            rung: the epoch that it has completed.
            others: all other trials so far.
        """
        done = completed(others)
        if trial.spared is not None or len(done) < self.n_startup_trials or rung not in self.rungs(full_budget(others)):
            return "keep"
        probability = self._probabilities([trial], rung, self._training_set(done))[0]
        if probability >= 1.0 - self.confidence or self._ranks_well(trial, rung, others):
            return "keep"
        return "spare" if self._is_audited(trial.digest) else "stop"

    def expected_values(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> tuple[float, ...]:
        """Return the forecast of the final values; the values at the rung if no trial is completed. See `Pruner`.

        Args:
            trial: the running trial.
            rung: the epoch that it has completed.
            others: all other trials so far.
        """
        done = completed(others)
        if not done:
            return trial.curve[rung]
        training = self._training_set(done)
        models = objective_models(self.aims, [trial], training)
        means = [self._forecast(model, trial, rung, training, at).mean for at, model in enumerate(models)]
        return tuple(float(model.warp.back(np.array(mean))) for model, mean in zip(models, means, strict=True))

    def _forecast(
        self, model: ObjectiveModel, trial: TrialView, rung: int, done: Sequence[TrialView], at: int
    ) -> Forecast:
        """Forecast unknown objective number `at` of a trial from its curve, its costs and its design."""
        every = [*done, trial]
        inputs = log_columns(np.array([other.known for other in every]).reshape(len(every), -1))
        if model.surrogate is not None:
            own = model.surrogate.mean(model.inputs.take(np.array([len(done)])))
            inputs = np.column_stack([inputs, [*model.surrogate.leave_one_out, *own]])
        values = np.array([_value_at(other, rung, at) for other in every])
        reported = np.isfinite(values[:-1])
        if np.isfinite(values[-1]) and reported.sum() >= min(self.n_startup_trials, len(done)):
            inputs = np.column_stack([inputs, model.warp.to(values), _indicator_columns(every, rung)])
        else:
            reported = np.ones(len(done), dtype=bool)  # the objective is measured only at the end
        return forecast(inputs[:-1][reported], model.finals[reported], inputs[-1])

    def _probabilities(self, trials: Sequence[TrialView], rung: int, done: Sequence[TrialView]) -> Array:
        """Return front probabilities: at rung 0 of several designs, otherwise of one trial."""
        signs = [-1.0 if self.aims.directions[i] == "maximize" else 1.0 for i in self.aims.known]
        known = np.array([other.known for other in [*done, *trials]]).reshape(len(done) + len(trials), -1) * signs
        samples = []
        for at, model in enumerate(objective_models(self.aims, trials, done)):
            last = self._forecast(model, trials[0], rung, done, at).sample(N_SAMPLES, at) if rung else None
            if model.surrogate is not None:
                samples.append(model.surrogate.sample(model.inputs, last, stream=at))
            elif last is not None:
                samples.append(np.column_stack([np.tile(model.finals, (N_SAMPLES, 1)), last]))
            else:
                return np.ones(len(trials))
        count = len(done)
        return np.array([non_dominated_probability(known, samples, count, count + n) for n in range(len(trials))])

    def _ranks_well(self, trial: TrialView, rung: int, others: Sequence[TrialView]) -> bool:
        """Return whether fewer than one in `reduction_factor` of the trials at the rung have a better rank."""
        reported = [at for at in range(len(self.aims.unknown)) if math.isfinite(_value_at(trial, rung, at))]
        there = [other for other in others if all(math.isfinite(_value_at(other, rung, at)) for at in reported)]
        there = [other for other in there if rung in other.curve]
        signs = [-1.0 if direction == "maximize" else 1.0 for direction in self.aims.directions]
        rows = np.array(
            [
                [signs[i] * value for i, value in zip(self.aims.known, other.known, strict=True)]
                + [signs[self.aims.unknown[at]] * _value_at(other, rung, at) for at in reported]
                for other in [*there, trial]
            ]
        )
        enough = len(rows) / self.reduction_factor
        return count_better_ranked(rows, enough=enough) < enough

    def _training_set(self, done: Sequence[TrialView]) -> Sequence[TrialView]:
        """Return the completed trials that models are fitted to: all, or at most MAX_TRIALS with the whole front."""
        if len(done) <= MAX_TRIALS:
            return done
        front = set(pareto_front([self.aims.row(t.known, t.final or ()) for t in done], self.aims.directions))
        others = [i for i in range(len(done)) if i not in front][: max(MAX_TRIALS - len(front), 0)]
        return [done[i] for i in sorted({*front, *others})]

    def _is_audited(self, digest: str) -> bool:
        number = hashlib.sha256(f"{self.seed}/{digest}".encode()).digest()
        return int.from_bytes(number[:8]) < self.audit_share * 2**64


def _value_at(trial: TrialView, rung: int, at: int) -> float:
    return trial.curve[rung][at] if rung in trial.curve else math.nan


def _indicator_columns(trials: Sequence[TrialView], rung: int) -> Array:
    """Return (trials, indicators) at a rung: the indicators that every trial reported."""
    rows = [trial.indicators.get(rung, ()) for trial in trials]
    if len({len(row) for row in rows}) > 1:
        return np.empty((len(rows), 0))
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    return log_columns(values[:, np.isfinite(values).all(axis=0)])
