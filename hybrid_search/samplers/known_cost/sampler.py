"""KnownCostSampler: it computes known costs exactly, and models only the measured objectives.

The first trials are spread along the known cost. Every later proposal is the candidate with the greatest expected
hypervolume improvement. Unknown objectives have Gaussian process surrogates over the parameters and the logarithms of
the known costs; known objectives are exact. The candidates are all designs of a small space. Of a large space they are
a fixed random sample, neighbours of the front, and crossings and mutations of the best of these.

A proposal is a function of the seed, the number of the trial and the trials of the study. The sampler stores nothing
else that could change it, so a study that is loaded again continues with the same proposals. There is one exception:
with more than MANY_OBSERVATIONS observations, one fit of the surrogates (about a second) gives BATCH_SIZE proposals.
"""

import math
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from hybrid_search.errors import SettingsError
from hybrid_search.gaussian_process import one_blas_thread
from hybrid_search.samplers.define_by_run import Params, Space
from hybrid_search.samplers.known_cost.acquisition import Acquisition, best_point
from hybrid_search.samplers.known_cost.candidates import Candidates, rarest_value, repeated_point
from hybrid_search.samplers.known_cost.encoding import ParamsEncoding, encoded_rows
from hybrid_search.samplers.known_cost.history import PROPOSED, HistoryReader
from hybrid_search.samplers.known_cost.initial_design import initial_point
from hybrid_search.samplers.known_cost.local_search import ProposalContext, diverse_batch, search_candidates
from hybrid_search.samplers.known_cost.objectives import Cost, KnownObjectives, signs_of
from hybrid_search.samplers.known_cost.points import Array, Encode, ParamsKey, Point, PointFactory
from hybrid_search.samplers.learned_space import LearnedSpace

MIN_STARTUP, MAX_STARTUP = 4, 8  # size of the initial design: half the number of parameters, within these bounds
MANY_OBSERVATIONS, BATCH_SIZE = 1500, 64  # beyond so many observations, one fit of the surrogates gives a batch


class KnownCostSampler(BaseSampler):
    """An Optuna sampler for studies in which some objectives are known before the trial, such as FLOPs.

    It needs only Optuna, NumPy and SciPy, and no other part of this package. Of more than 2,000 trials the surrogates
    use 2,000: the front, the newest, and some of the others.

    Args:
        known: number of an objective -> function from parameters to its exact value. It may be empty.
        features: function from parameters to other numbers known before the trial; inputs of the surrogates.
        canonical: function from parameters to a hashable identity. Designs of one identity are proposed once.
        variant: function from parameters to what distinguishes designs of one identity. All variants are candidates,
            and only the best of them is proposed.
        reference: reference point of the hypervolume, one value for each objective. Default: slightly beyond the worst
            observation and the highest cost.
        budget: number of a known objective -> its upper bound.
        budget_excess: function from parameters to the amount above another budget; 0 or less is within it. Designs
            above a budget are never proposed.
        space: function that calls `suggest_...` on its argument as the objective function does. Without it the space is
            inferred from the trials.
        n_startup_trials: trials that are spread along the cost. Default: half the number of parameters, 4 to 8.
        ordered: whether categorical choices that are numbers are modelled by their order.
        cost_inputs: whether known costs are inputs of the surrogates.
        seed: seed of all random choices.

    Raises:
        SettingsError: (a ValueError) an argument is not valid or does not fit the study; a function of `known` raises,
            returns a number that is not finite, or contradicts a reported value.

    Example:
        >>> import optuna
        >>> from hybrid_search.samplers import KnownCostSampler
        >>> def cost(params):
        ...     return float(params["width"] ** 2)
        >>> def objective(trial):
        ...     width = trial.suggest_int("width", 1, 64)
        ...     return 1 - 1 / width, cost(trial.params)
        >>> sampler = KnownCostSampler(known={1: cost}, seed=0)
        >>> study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        >>> study.optimize(objective, n_trials=20)
    """

    def __init__(
        self,
        known: Mapping[int, Cost] | None = None,
        *,
        features: Callable[[Params], Sequence[float]] | None = None,
        canonical: Callable[[Params], Hashable] | None = None,
        variant: Callable[[Params], Hashable] | None = None,
        reference: Sequence[float] | None = None,
        budget: Mapping[int, float] | None = None,
        budget_excess: Callable[[Params], float] | None = None,
        space: Space | None = None,
        n_startup_trials: int | None = None,
        ordered: bool = True,
        cost_inputs: bool = True,
        seed: int | None = None,
    ) -> None:
        self._objectives = KnownObjectives(known or {})
        for i in budget or {}:
            if i not in self._objectives.positions:
                raise SettingsError(f"budget must bound known objectives; got {i}, which is not in known.")
        if n_startup_trials is not None and n_startup_trials < 1:
            raise SettingsError(f"n_startup_trials must be a whole number from 1 up; got {n_startup_trials}.")
        self._reference = None if reference is None else [float(value) for value in reference]
        self._space = space
        self._n_startup_trials = n_startup_trials
        self._ordered, self._cost_inputs = ordered, cost_inputs
        self._seed = random.SystemRandom().randrange(2**32) if seed is None else int(seed)
        self._lock = threading.RLock()
        # Everything that is cached is a function of its key, so that a new sampler proposes the same.
        self._study_id: tuple[str, int] | None = None
        self._rows: dict[ParamsKey, Array] = {}
        self._encoding: tuple[Hashable, ParamsEncoding] | None = None
        self._create_point = PointFactory(
            self._objectives,
            features=features,
            canonical=canonical,
            variant=variant,
            budget=budget or {},
            budget_excess=budget_excess,
        )
        self._reader = HistoryReader(self._objectives, self._create_point)
        n_known = len(self._objectives.positions)
        self._candidates = Candidates(self._create_point, n_known, self._seed, certain=space is not None)
        self._batch: list[Point] = []  # proposals of a long study that come next
        self._batch_start = 0  # the trial that the batch was computed for

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Do nothing: proposals of different threads and processes differ by the number of their trial."""

    # -- the interface of Optuna --

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Choose the design of this trial and return its distributions.

        Args:
            study: the study.
            trial: the new trial.

        Returns:
            Parameter name -> its distribution; empty while nothing is known of the space.

        Raises:
            SettingsError: the study does not fit the arguments, or a function of `known` raises an error or returns a
                number that is not finite.
        """
        with self._lock:
            self._select_study(study)
            # With all threads of a busy machine this is 15 times slower. One thread gives the same sums everywhere.
            with one_blas_thread():
                point = self._propose(study, trial)
            if point is None:
                return {}
            self._reader.proposed[trial.number] = dict(point.params)
            internal = {name: point.distributions[name].to_internal_repr(v) for name, v in point.params.items()}
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, internal)
            return {name: each for name, each in point.distributions.items() if not each.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the values of the chosen design.

        Args:
            study: the study.
            trial: the new trial.
            search_space: the distributions of the chosen design.
        """
        params = self._reader.proposed.get(trial.number, {})
        return {name: params[name] for name in search_space if name in params}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return a value of a parameter that is not part of the chosen design: one of the least frequent values.

        Args:
            study: the study.
            trial: the new trial.
            param_name: name of the parameter.
            param_distribution: its distribution.
        """
        rng = random.Random(f"{self._seed}/{trial.number}/{param_name}")
        return rarest_value(param_name, param_distribution, study.get_trials(deepcopy=False), rng)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Check the reported values against the known ones.

        Args:
            study: the study.
            trial: the trial that ended.
            state: how it ended.
            values: its objectives; None if it has none.
        """
        with self._lock:
            self._reader.proposed.pop(trial.number, None)
            if state == TrialState.COMPLETE and values is not None:
                self._objectives.check_study(study, self._reference)
                self._objectives.check_trial(trial, values)

    def _select_study(self, study: Study) -> None:
        """Forget the proposals and checks of another study."""
        self._objectives.check_study(study, self._reference)
        study_id = (study.study_name, study._study_id)
        if self._study_id != study_id:
            self._study_id = study_id
            self._objectives.forget_checks()
            self._reader.proposed, self._batch = {}, []

    # -- proposals --

    def _propose(self, study: Study, trial: FrozenTrial) -> Point | None:
        if (ready := self._next_of_batch(study, trial.number)) is not None:
            return ready
        rng = random.Random(f"{self._seed}/{trial.number}")
        context = self._context(study, trial.number)
        if context is None:
            return None
        history = context.history
        if context.learned is not None and history.count < 3 * context.n_startup_trials:
            untried = self._candidates.untried_point(context.learned, history, rng)
            if untried is not None:
                return untried
        open_points = context.open_points
        if not open_points and not context.complete:
            open_points = self._candidates.fresh_sample(context.space, history, rng)
        if not open_points:
            return repeated_point(context.pool, rng, whole_space=self._space is not None)
        point = initial_point(context.n_startup_trials, open_points, context.pool, history, context.encode, rng)
        if point is not None:
            return point
        if len(history.observations) < 2:
            return rng.choice(open_points)
        acquisition = self._acquisition(study, context)
        points, improvements = search_candidates(context, open_points, acquisition, self._candidates, rng)
        best = best_point(points, improvements)
        if len(history.observations) > MANY_OBSERVATIONS:
            self._batch = diverse_batch(points, improvements, best, BATCH_SIZE)
            self._batch_start = trial.number
        return best

    def _next_of_batch(self, study: Study, number: int) -> Point | None:
        """Return the next point of the batch that no trial has evaluated since; None if there is none."""
        if not self._batch:
            return None
        trials = [t for t in study.get_trials(deepcopy=False)[self._batch_start :] if t.number != number]
        designs = [self._reader.params_of(trial) for trial in trials]
        points = [self._create_point(params, each, certain=False) for params, each in designs if params]
        seen = {point.key for point in points if point is not None}
        while self._batch:
            point = self._batch.pop(0)
            if point.key not in seen:
                return point
        return None

    def _context(self, study: Study, number: int | None) -> ProposalContext | None:
        """Return what the proposal of this trial starts from; None while nothing is known of the space."""
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != number]
        learned: LearnedSpace | None = None
        space = self._space
        if space is None:
            past = [(t.params, t.distributions) for t in trials if t.state.is_finished() and t.params]
            if not past:
                self._reader.distributions = {}
                return None
            space = learned = LearnedSpace(iter(past))
            self._reader.distributions = learned.distributions
        pool, complete = self._candidates.pool(space, "" if learned is None else learned.signature)
        if learned is None:
            self._reader.distributions = self._candidates.distributions
        history = self._reader.read(study, number)
        open_points = [point for point in pool if point.allowed and point.key not in history.seen]
        half = math.ceil(self._candidates.n_parameters / 2)
        n_startup_trials = self._n_startup_trials or min(MAX_STARTUP, max(MIN_STARTUP, half))
        return ProposalContext(space, learned, pool, complete, history, self._encoder(), open_points, n_startup_trials)

    def remaining_improvement(self, study: Study, n_trials: int = 8) -> float:
        """Return by how much the next trials are expected to increase the hypervolume, as a share of it.

        The hypervolume covers the region between the ends of the front (see `pareto.front_reference`). The best open
        designs are chosen one after the other, each at its posterior median, so that neighbours are not counted twice.
        The trials of the study may come from any sampler.

        Args:
            study: the study.
            n_trials: how many trials to look ahead.

        Returns:
            The expected relative improvement. Infinity while the initial design is incomplete; 0 if no design is left.
        """
        with self._lock, one_blas_thread():
            self._select_study(study)
            rng = random.Random(f"{self._seed}/gain")
            context = self._context(study, None)
            if context is None or len(context.history.observations) < max(2, context.n_startup_trials):
                return math.inf
            open_points = context.open_points
            if not open_points and not context.complete:
                open_points = self._candidates.fresh_sample(context.space, context.history, rng)
            if not open_points:
                return 0.0
            acquisition = self._acquisition(study, context)
            points, _ = search_candidates(context, open_points, acquisition, self._candidates, rng)
            return acquisition.relative_improvement(points, n_trials)

    def _encoder(self) -> Encode:
        """Return a function that encodes points as rows, and caches the rows of each set of distributions."""
        distributions = dict(self._reader.distributions)
        signature = tuple(sorted((name, repr(each)) for name, each in distributions.items()))
        if self._encoding is None or self._encoding[0] != signature:
            self._encoding = (signature, ParamsEncoding(distributions, ordered=self._ordered))
            self._rows = {}
        self._groups = self._encoding[1].groups
        return partial(encoded_rows, self._encoding[1], self._rows)

    def _acquisition(self, study: Study, context: ProposalContext) -> Acquisition:
        return Acquisition(
            self._objectives.positions,
            context.history,
            signs_of(study),
            context.pool,
            context.encode,
            self._groups,
            reference=self._reference,
            cost_inputs=self._cost_inputs,
        )
