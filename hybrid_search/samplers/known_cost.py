"""The sampler that knows the cost: it models what must be learned and takes as exact what is known before training.

    sampler = KnownCostSampler(known={1: flops_of_params}, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

The first trials are a spread along the known cost, both extremes among them. Then every proposal is the candidate with
the greatest expected hypervolume improvement: the unknown objectives by Gaussian processes over the answers and the
logarithm of the known costs, the known ones exactly. Candidates are all of a small space; of a large one a fixed random
sample, the neighbours of the front, and what crossing and changing the best of these leads to.

A proposal is a function of the seed, the trial's number and what the study holds; nothing else is remembered that could
change it. So a study that is loaded again goes on with the proposals it would have had.
"""

import hashlib
import math
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from hybrid_search.errors import SettingsError
from hybrid_search.front import front_box, hypervolume, pareto_front
from hybrid_search.objectives import Direction
from hybrid_search.samplers.encoding import Encoding, telling
from hybrid_search.samplers.improvement import Belief, Exact, expected_improvement
from hybrid_search.samplers.model import Model, Told
from hybrid_search.samplers.process import Inputs
from hybrid_search.samplers.walks import (
    Chooser,
    Dice,
    LearnedSpace,
    Params,
    Space,
    draw,
    every,
    key_of,
    moved,
    values_of,
    walked,
)

Array = NDArray[np.float64]
Price = Callable[[Params], float]
PROPOSED = "known_cost:proposed"  # the attribute of a trial that says what was proposed for it
REACHED = "known_cost:reached"  # the user attribute of a stopped trial with its last unknown values
FIRST = 8  # trials spread along the cost
LISTED = 3000  # a space up to this size is looked at as a whole
SAMPLE = 1000  # random candidates of a larger one
PARENTS, CHILDREN, ROUNDS = 10, 12, 2
WEIGHED = 1500  # candidates whose uncertainty is computed where the history is long
LONG = 400
FRONT = 24  # points of the front that count where there are three or more objectives
STOPPED_DOUBT = 4.0  # how much noisier the last value of a stopped trial is taken to be


@dataclass(frozen=True, eq=False)
class Point:
    """One set of answers, with all that is known of it before it is evaluated."""

    params: Params
    offered: Mapping[str, BaseDistribution]
    name: tuple[tuple[str, str], ...]
    key: Hashable
    known: tuple[float, ...]
    features: tuple[float, ...]
    excess: float  # how far over what is allowed; 0 or less is within
    mark: Hashable  # of two points with one mark only one is weighed, of two with one key only one is proposed

    @property
    def allowed(self) -> bool:
        """Whether it may be proposed."""
        return self.excess <= 0


@dataclass(frozen=True)
class _Signed:
    """A known number of a point, turned so that less is wanted."""

    at: int
    sign: float

    def __call__(self, point: Point) -> float:
        return self.sign * point.known[self.at]


@dataclass(frozen=True)
class History:
    """What a study holds: points told with their values, points being evaluated, and every point met."""

    told: list[tuple[Point, list[float], float]]  # values turned so that less is better; doubt
    pending: list[Point]
    seen: set[Hashable]
    met: list[Point]  # of every trial, in order
    count: int


class KnownCostSampler(BaseSampler):
    """An Optuna sampler for objectives of which some are known before the trial.

    `known[i]` gives objective i exactly from the parameters; none need be known. `features(params)` gives other cheap
    numbers (inputs of the model), `canonical(params)` a hashable identity under which two proposals are the same, and
    `variant(params)` what tells apart designs of one identity, all weighed, of which only the best is proposed.
    `reference` is the point the hypervolume is measured from, one value for each objective (default: the dearest
    candidate and the worst value told). `budget[i]` bounds known objective i and `excess(params)` anything else, by
    how far it is over (0 or less is within): what they exclude is never proposed. `space(chooser)` asks the questions
    of the objective function; without it the sampler learns them from the trials. `first` trials are spread along the
    cost. `ordered` False takes a choice of numbers as a choice of words, `cost_inputs` False keeps the known costs out
    of the model's inputs.

    Errors are SettingsErrors (ValueErrors): a study whose directions do not fit, a known function that raises, is not
    finite or disagrees with a told value.
    """

    def __init__(
        self,
        known: Mapping[int, Price] | None = None,
        *,
        features: Callable[[Params], Sequence[float]] | None = None,
        canonical: Callable[[Params], Hashable] | None = None,
        variant: Callable[[Params], Hashable] | None = None,
        reference: Sequence[float] | None = None,
        budget: Mapping[int, float] | None = None,
        excess: Callable[[Params], float] | None = None,
        space: Space | None = None,
        first: int = FIRST,
        ordered: bool = True,
        cost_inputs: bool = True,
        seed: int | None = None,
    ) -> None:
        self._known = dict(sorted((known or {}).items()))
        for i, price in self._known.items():
            if isinstance(i, bool) or not isinstance(i, int) or i < 0 or not callable(price):
                raise SettingsError(f"known must map numbers of objectives to functions; got {i!r}: {price!r}.")
        for i in budget or {}:
            if i not in self._known:
                raise SettingsError(f"budget must bound known objectives; got {i}, which known does not give.")
        if first < 1:
            raise SettingsError(f"first must be a whole number from 1 up; got {first}.")
        self._features, self._canonical, self._excess = features, canonical, excess
        self._variant = variant
        self._reference = None if reference is None else [float(value) for value in reference]
        self._budget = dict(budget or {})
        self._space = space
        self._first = first
        self._ordered, self._cost_inputs = ordered, cost_inputs
        self._seed = random.SystemRandom().randrange(2**32) if seed is None else int(seed)
        self._lock = threading.RLock()
        # Everything kept is a function of its key, so that a sampler without it proposes the same.
        self._study_known: tuple[str, int] | None = None
        self._points: dict[tuple[tuple[str, str], ...], Point | None] = {}
        self._near: dict[tuple[tuple[str, str], ...], list[Point]] = {}
        self._rows: dict[tuple[tuple[str, str], ...], Array] = {}
        self._encoding: tuple[Hashable, Encoding] | None = None
        self._pool: tuple[Hashable, list[Point], bool] | None = None
        self._checked: set[int] = set()
        self._proposed: dict[int, dict[str, Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def reseed_rng(self) -> None:
        """Nothing: proposals of threads and processes differ by the number of their trial."""

    # -- what Optuna calls --

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The questions of the design that is proposed to this trial."""
        with self._lock:
            self._serve(study)
            # Fifteen times slower on all threads of a busy machine; and one thread gives the same sums everywhere.
            with threadpool_limits(1, "blas"):
                point = self._propose(study, trial)
            if point is None:
                return {}
            self._proposed[trial.number] = dict(point.params)
            internal = {name: point.offered[name].to_internal_repr(value) for name, value in point.params.items()}
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, internal)
            return {name: each for name, each in point.offered.items() if not each.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The answers of that design."""
        params = self._proposed.get(trial.number, {})
        return {name: params[name] for name in search_space if name in params}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """An answer to a question that no trial met before: one that was given least often."""
        dice = random.Random(f"{self._seed}/{trial.number}/{param_name}")
        values = values_of(param_distribution)
        if values is None:
            return draw(param_distribution, dice)
        given = [repr(t.params[param_name]) for t in study.get_trials(deepcopy=False) if param_name in t.params]
        counts = [given.count(repr(value)) for value in values]
        least = [value for value, count in zip(values, counts, strict=True) if count == min(counts)]
        return least[dice.randrange(len(least))]

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Compare what was told with what is known."""
        with self._lock:
            self._proposed.pop(trial.number, None)
            if state == TrialState.COMPLETE and values is not None:
                self._fits(study)
                self._agrees(trial, values)

    def _serve(self, study: Study) -> None:
        """Turn to this study: what was proposed and checked in another says nothing here."""
        self._fits(study)
        of = (study.study_name, study._study_id)
        if self._study_known != of:
            self._study_known = of
            self._checked, self._proposed = set(), {}

    # -- laws --

    def _fits(self, study: Study) -> None:
        count = len(study.directions)
        wrong = [i for i in self._known if i >= count]
        if wrong:
            raise SettingsError(
                f"known must name objectives of the study, which has {count} (numbers 0 to {count - 1}); "
                f"got {wrong[0]}."
            )
        if self._reference is not None and len(self._reference) != count:
            raise SettingsError(
                f"reference must have one value for each of {count} objectives; got {len(self._reference)}."
            )

    def _agrees(self, trial: FrozenTrial, values: Sequence[float]) -> None:
        if trial.number in self._checked:
            return
        for i in self._known:
            exact = self._price(i, trial.params)
            if not math.isclose(exact, values[i], rel_tol=1e-6, abs_tol=1e-9):
                raise SettingsError(
                    f"known[{i}] must give what trials are told; it gave {exact:g} where trial {trial.number} was told "
                    f"{values[i]:g}, for {dict(trial.params)}."
                )
        self._checked.add(trial.number)

    def _price(self, i: int, params: Params) -> float:
        try:
            found = float(self._known[i](params))
        except Exception as error:
            raise SettingsError(
                f"known[{i}] must give a finite number; it raised {type(error).__name__}: {error}, for {dict(params)}."
            ) from error
        if not math.isfinite(found):
            raise SettingsError(f"known[{i}] must give a finite number; it gave {found}, for {dict(params)}.")
        return found

    # -- points --

    def _point(self, params: Params, offered: Mapping[str, BaseDistribution], *, sure: bool = True) -> Point | None:
        """The point of these answers. Where they are a guess (not `sure`) that known functions refuse, None."""
        name = key_of(params)
        if name in self._points and (self._points[name] is not None or not sure):
            return self._points[name]
        found: Point | None = None
        try:
            known = tuple(self._price(i, params) for i in self._known)
            over = [known[list(self._known).index(i)] - bound for i, bound in self._budget.items()]
            over += [] if self._excess is None else [float(self._excess(params))]
            key = name if self._canonical is None else self._canonical(params)
            features = () if self._features is None else tuple(float(x) for x in self._features(params))
            mark = key if self._variant is None else (key, self._variant(params))
            found = Point(dict(params), dict(offered), name, key, known, features, max(over, default=0.0), mark)
        except Exception:
            if sure:
                raise
        self._points[name] = found
        return found

    def _chosen(self, space: Space, chooser: Chooser) -> Point | None:
        walked(space, chooser)
        return self._point(chooser.params, chooser.offered, sure=self._space is not None)

    def _history(self, study: Study, number: int | None) -> History:
        """What the study holds beside the trial of this number."""
        signs = _signs(study)
        unknown = [i for i in range(len(signs)) if i not in self._known]
        told: list[tuple[Point, list[float], float]] = []
        pending: list[Point] = []
        met: list[Point] = []
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.number == number:
                continue
            params, offered = self._answers(trial)
            if not params:
                continue
            complete = trial.state == TrialState.COMPLETE
            if complete:
                self._agrees(trial, trial.values)
            point = self._point(params, offered, sure=complete)
            if point is None:
                continue
            met.append(point)
            if complete:
                told.append((point, [sign * value for sign, value in zip(signs, trial.values, strict=True)], 1.0))
            elif trial.state == TrialState.RUNNING:
                pending.append(point)
            elif trial.state == TrialState.PRUNED:
                reached = _reached(trial, unknown)
                if reached is not None:
                    values = dict(zip(unknown, reached, strict=True)) | dict(zip(self._known, point.known, strict=True))
                    told.append((point, [sign * values[i] for i, sign in enumerate(signs)], STOPPED_DOUBT))
        seen = {point.key for point in met}
        return History(told, pending, seen, met, sum(1 for t in trials if t.number != number))

    def _answers(self, trial: FrozenTrial) -> tuple[Params, Mapping[str, BaseDistribution]]:
        """The answers of a trial; of one that is being asked, those it will give."""
        if trial.state.is_finished() or trial.number not in self._proposed:
            internal = trial.system_attrs.get(PROPOSED)
            if trial.state.is_finished() or not internal:
                return trial.params, trial.distributions
            merged = {**trial.params}
            offered = dict(trial.distributions)
            for name, value in internal.items():
                if name not in merged and name in self._offered:
                    offered[name] = self._offered[name]
                    merged[name] = offered[name].to_external_repr(value)
            return merged, offered
        proposed = self._proposed[trial.number]
        fixed = {k: v for k, v in trial.system_attrs.get("fixed_params", {}).items() if k in proposed}
        merged = {**proposed, **fixed, **trial.params}
        return merged, {**self._offered, **trial.distributions}

    # -- proposals --

    def _propose(self, study: Study, trial: FrozenTrial) -> Point | None:
        dice = random.Random(f"{self._seed}/{trial.number}")
        here = self._look(study, trial.number, dice)
        if here is None:
            return None
        history = here.history
        if here.learned is not None and history.count < 3 * self._first:
            fresh = self._untried(here.learned, history, dice)
            if fresh is not None:
                return fresh
        open_ = here.open_
        if not open_ and not here.whole:
            open_ = self._wander(here.space, history, dice)
        if not open_:
            return self._again(here.pool, dice)
        if history.count < self._first or len(history.told) < 2:
            return self._spread(open_, here.pool, history, here.encode, dice)
        choice = _Choice(self, history, _signs(study), here.pool, here.encode)
        points, gains = self._weighed(here, open_, choice, dice)
        return _first_best(points, gains)

    def _look(self, study: Study, number: int | None, dice: random.Random) -> "_Look | None":
        """What a proposal starts from, for the trial of this number; None where nothing is known of the space yet."""
        trials = [t for t in study.get_trials(deepcopy=False) if t.number != number]
        learned: LearnedSpace | None = None
        space = self._space
        if space is None:
            past = [(t.params, t.distributions) for t in trials if t.state.is_finished() and t.params]
            if not past:
                self._offered: Mapping[str, BaseDistribution] = {}
                return None
            space = learned = LearnedSpace(iter(past))
            self._offered = learned.offered
        pool, whole = self._candidates(space, "" if learned is None else learned.shape)
        if learned is None:
            self._offered = self._pool_offers
        history = self._history(study, number)
        open_ = [point for point in pool if point.allowed and point.key not in history.seen]
        return _Look(space, learned, pool, whole, history, self._encoder(history), open_)

    def expected_gain(self, study: Study, count: int = 8) -> float:
        """What the best `count` designs still open are expected to add to the hypervolume, as a share of it.

        The hypervolume is that between the ends of the front: measured from the worst of each objective on it and a
        tenth of the front's range beyond. From the worst of all designs the first good one would have nearly
        everything. One design after the other is taken to give what is expected of it, so that neighbours are not
        counted twice. Infinite where fewer than `first` trials are told, 0 where nothing is left to propose. Whoever
        proposed the trials, it is told of the same study.
        """
        with self._lock, threadpool_limits(1, "blas"):
            self._serve(study)
            dice = random.Random(f"{self._seed}/gain")
            here = self._look(study, None, dice)
            if here is None or len(here.history.told) < max(2, self._first):
                return math.inf
            open_ = here.open_ if here.open_ or here.whole else self._wander(here.space, here.history, dice)
            if not open_:
                return 0.0
            choice = _Choice(self, here.history, _signs(study), here.pool, here.encode)
            points, _ = self._weighed(here, open_, choice, dice)
            return choice.expected_share(points, count)

    def _candidates(self, space: Space, shape: str) -> tuple[list[Point], bool]:
        """Every point of a small space (True), or a sample of a large one with its cheapest and dearest (False)."""
        if self._pool is not None and self._pool[0] == shape:
            return self._pool[1], self._pool[2]
        ways = every(space, LISTED)
        found: dict[Hashable, Point] = {}
        if ways is not None:
            points = [self._point(c.params, c.offered, sure=self._space is not None) for c in ways]
        else:
            dice = random.Random(f"{self._seed}/pool")
            points = [self._chosen(space, Dice(dice)) for _ in range(SAMPLE)]
            points += self._inside(space, points, dice)
            for i in range(len(self._known)):
                for sign in (1.0, -1.0):
                    points += self._climb(space, points, _Signed(i, sign), dice)
        for point in points:
            if point is not None:
                found.setdefault(point.mark, point)
        self._near.clear()
        self._pool_offers = {name: each for point in found.values() for name, each in point.offered.items()}
        self._pool = (shape, list(found.values()), ways is not None)
        return self._pool[1], self._pool[2]

    def _inside(self, space: Space, points: Sequence[Point | None], dice: random.Random) -> list[Point]:
        """More points within a budget that few random ones meet: the way there, and steps that stay inside."""
        found = [point for point in points if point is not None and point.allowed]
        if len(found) >= SAMPLE // 4:
            return []
        more: list[Point] = []
        if not found:
            here = min((point for point in points if point is not None), key=lambda p: p.excess, default=None)
            for _ in range(SAMPLE):
                if here is None or here.allowed:
                    break
                step = self._changed(space, here, dice)
                here = step if step is not None and step.excess < here.excess else here
            if here is None or not here.allowed:
                return []
            found, more = [here], [here]
        for _ in range(SAMPLE):
            step = self._changed(space, dice.choice(found), dice)
            if step is not None and step.allowed:
                found.append(step)
                more.append(step)
        return more

    def _climb(
        self, space: Space, points: Sequence[Point | None], price: Callable[[Point], float], dice: random.Random
    ) -> list[Point]:
        """From the least of the points by single changes downhill: the points passed."""
        passed: list[Point] = []
        here = min((p for p in points if p is not None and p.allowed), key=price, default=None)
        misses = 0
        while here is not None and misses < 30 and len(passed) < 60:
            step = self._changed(space, here, dice)
            if step is not None and step.allowed and price(step) < price(here):
                here, misses = step, 0
                passed.append(step)
            else:
                misses += 1
        return passed

    def _changed(self, space: Space, point: Point, dice: random.Random) -> Point | None:
        """The point with one answer changed, at times two; what that opens is answered at random."""
        given = dict(point.params)
        names = sorted(name for name, each in point.offered.items() if not each.single())
        if not names:
            return point
        for name in dice.sample(names, min(len(names), 1 if dice.random() < 0.7 else 2)):
            given[name] = moved(point.offered[name], given[name], dice)
        return self._chosen(space, Dice(dice, given))

    def _neighbours(self, space: Space, point: Point) -> list[Point]:
        """Points near one, the same ones for the same point."""
        if point.name not in self._near:
            dice = random.Random(f"{self._seed}/{point.name}")
            near = [self._changed(space, point, dice) for _ in range(CHILDREN)]
            self._near[point.name] = [each for each in near if each is not None and each.allowed]
        return self._near[point.name]

    def _wander(self, space: Space, history: History, dice: random.Random) -> list[Point]:
        """Points never seen, where the sample is used up: by single steps from random points and from those told."""
        here: list[Point | None] = [self._chosen(space, Dice(dice)) for _ in range(SAMPLE // 4)]
        here += [self._changed(space, dice.choice(history.told)[0], dice) for _ in range(SAMPLE // 4) if history.told]
        found = {p.mark: p for p in here if p is not None and p.allowed and p.key not in history.seen}
        return list(found.values())

    def _again(self, pool: Sequence[Point], dice: random.Random) -> Point | None:
        """Any allowed point: all were seen."""
        allowed = [point for point in pool if point.allowed]
        if allowed:
            return dice.choice(allowed)
        if self._space is None:
            return None  # the trials so far show too little of the space
        nearest = min(pool, key=lambda point: point.excess)
        raise SettingsError(
            f"budget must leave something to propose; the nearest found is over it by {nearest.excess:g}: "
            f"{nearest.params}."
        )

    def _untried(self, learned: LearnedSpace, history: History, dice: random.Random) -> Point | None:
        """A point with an answer that nobody gave yet: what it opens must be seen before it can be priced."""
        for _ in range(30):
            chooser = walked(learned, Dice(dice))
            if learned.untried(chooser.params):
                name = key_of(chooser.params)
                known = self._point(chooser.params, chooser.offered, sure=False)
                if known is None:
                    return Point(chooser.params, chooser.offered, name, name, (), (), 0.0, name)
                if known.allowed and known.key not in history.seen:
                    return known
        return None

    def _encoder(self, history: History) -> Callable[[Sequence[Point]], Array]:
        offered = dict(self._offered)
        mark = tuple(sorted((name, repr(each)) for name, each in offered.items()))
        if self._encoding is None or self._encoding[0] != mark:
            self._encoding = (mark, Encoding(offered, ordered=self._ordered))
            self._rows = {}
        encoding, rows = self._encoding[1], self._rows

        def encode(points: Sequence[Point]) -> Array:
            for point in points:
                if point.name not in rows:
                    rows[point.name] = np.array(encoding.row(point.params), dtype=np.float64)
            if not points:
                return np.zeros((0, len(encoding.groups)))
            return np.stack([rows[point.name] for point in points])

        self._groups = encoding.groups
        return encode

    def _spread(
        self,
        open_: Sequence[Point],
        pool: Sequence[Point],
        history: History,
        encode: Callable[[Sequence[Point]], Array],
        dice: random.Random,
    ) -> Point:
        """A first trial: at a step of the known cost that is free yet, the point least like those before it."""
        near = list(open_)
        if self._known:
            allowed = [point for point in pool if point.allowed]
            costs, positive = _cost_columns([point.known for point in allowed])
            low, high = float(costs[:, 0].min()), float(costs[:, 0].max())
            spent = [point.known[0] for point in history.met if point.known[0] > 0 or not positive[0]]
            before = [math.log(cost) if positive[0] else cost for cost in spent]
            level = _next_level(self._first, [(cost - low) / (high - low or 1.0) for cost in before])
            place = dict(zip((point.name for point in allowed), costs[:, 0], strict=True))
            off = [abs(place.get(point.name, math.inf) - (low + level * (high - low))) for point in near]
            order = sorted(range(len(near)), key=lambda i: off[i])
            share = 1 if level in (0.0, 1.0) else max(8, len(near) // 30)
            near = [near[i] for i in order[:share]]
        near = dice.sample(near, min(len(near), 300))
        others = [point for point, _, _ in history.told] + history.pending
        if not others:
            return near[0]
        a, b = encode(near), encode(others)
        apart = ((a[:, None, :] - b[None, :, :]) ** 2).sum(-1).min(1)
        return near[int(np.argmax(apart))]

    def _weighed(
        self, here: "_Look", open_: Sequence[Point], choice: "_Choice", dice: random.Random
    ) -> tuple[list[Point], Array]:
        """The candidates and what each is expected to gain: all of a small space; of a large one those open, and what
        the front and the best of them lead to by small changes."""
        if here.whole:
            return list(open_), choice.gain(open_)
        met = {point.mark for point in open_}
        seen, space = here.history.seen, here.space

        def new(points: Sequence[Point | None]) -> list[Point]:
            found = []
            for point in points:
                if point is not None and point.allowed and point.key not in seen and point.mark not in met:
                    met.add(point.mark)
                    found.append(point)
            return found

        parents = choice.front
        if len(parents) > 2 * PARENTS:
            parents = dice.sample(parents, 2 * PARENTS)
        children: list[Point | None] = [near for parent in parents for near in self._neighbours(space, parent)]
        if len(parents) > 1:
            for _ in range(3 * CHILDREN):
                one, other = dice.sample(parents, 2)
                mixed = {
                    **other.params,
                    **{name: value for name, value in one.params.items() if dice.random() < 0.5},
                }
                missing = {name: value for name, value in one.params.items() if name not in mixed}
                children.append(self._chosen(space, Dice(dice, {**missing, **mixed})))
        points = [*open_, *new(children)]
        gains = choice.gain(points)
        for _ in range(ROUNDS):
            top = np.argsort(-gains, kind="stable")[:PARENTS]
            more = new([near for i in top for near in self._neighbours(space, points[i])])
            if not more:
                break
            points += more
            gains = np.append(gains, choice.gain(more))
        return points, gains


@dataclass(frozen=True)
class _Look:
    """What a proposal starts from: the space, its candidates, what the study holds, and which are still open."""

    space: Space
    learned: LearnedSpace | None
    pool: list[Point]
    whole: bool
    history: History
    encode: Callable[[Sequence[Point]], Array]
    open_: list[Point]


class _Choice:
    """One proposal's models and front, asked what candidates are worth."""

    def __init__(
        self,
        sampler: KnownCostSampler,
        history: History,
        signs: Sequence[float],
        pool: Sequence[Point],
        encode: Callable[[Sequence[Point]], Array],
    ) -> None:
        self._encode, self._signs = encode, signs
        self._known = list(sampler._known)
        told = sorted(history.told, key=lambda each: (each[0].name, each[1]))  # what, not when
        points = [point for point, _, _ in told]
        values = np.array([row for _, row, _ in told], dtype=np.float64)
        inputs_of = (lambda p: p.known) if sampler._cost_inputs else (lambda p: ())
        self._cost_of = inputs_of
        self._costs = _Columns([inputs_of(p) for p in points] + [inputs_of(p) for p in pool])
        self._extra = _Columns([p.features for p in points] + [p.features for p in pool])
        rows = np.vstack([encode(points), encode(history.pending)])
        self._kept = telling(rows) if rows.size else np.zeros(0, dtype=np.intp)
        groups = np.unique(sampler._groups[self._kept], return_inverse=True)[1] if rows.size else self._kept
        more = self._costs.count + self._extra.count
        first = int(groups.max()) + 1 if groups.size else 0
        self._groups = np.concatenate([groups, first + np.arange(more)]).astype(np.intp)
        doubt = np.array([each[2] for each in told])
        order = np.array(sorted(range(len(told)), key=lambda i: _hash(points[i].name, i)), dtype=np.intp)
        inputs = self._inputs(points)
        self._models: dict[int, Model] = {}
        evaluated = [*points, *history.pending]
        self._pending = history.pending
        for i in range(len(signs)):
            if i not in self._known:
                finite = values[np.isfinite(values[:, i]), i]
                column = np.clip(values[:, i], finite.min(), finite.max()) if len(finite) else np.zeros(len(values))
                model = Model(Told(inputs, column, doubt, order))
                if history.pending:
                    model.suppose(self._inputs(history.pending))
                self._models[i] = model
        self._smooth = smooth = self._typical(evaluated)
        self._reference = self._from(sampler._reference, values, pool)
        members = pareto_front(smooth, ["minimize"] * len(signs))
        self.front = [evaluated[i] for i in members]
        self._volume_front = smooth[members]
        if len(signs) > 2 and len(members) > FRONT:  # boxes grow with the square of the front
            span = np.ptp(self._volume_front, axis=0)
            self._volume_front = _thinned(self._volume_front / np.where(span > 0, span, 1.0), self._volume_front)

    def _from(self, given: Sequence[float] | None, values: Array, pool: Sequence[Point]) -> Array:
        """The reference: the given one, or a little beyond the dearest candidate and the worst value told."""
        if given is not None:
            return np.array([sign * value for sign, value in zip(self._signs, given, strict=True)])
        found = np.empty(len(self._signs))
        for i, sign in enumerate(self._signs):
            column = values[:, i]
            if i in self._known:
                at = self._known.index(i)
                allowed = [sign * point.known[at] for point in pool if point.allowed]
                column = np.concatenate([column, allowed])
            column = column[np.isfinite(column)]
            low, high = (float(column.min()), float(column.max())) if len(column) else (0.0, 1.0)
            found[i] = high + 0.02 * (high - low or abs(high) or 1.0)
        return found

    def _inputs(self, points: Sequence[Point]) -> Inputs:
        costs = self._costs.scaled([self._cost_of(point) for point in points])
        extra = self._extra.scaled([point.features for point in points])
        rows = self._encode(points)[:, self._kept] if len(self._kept) else np.zeros((len(points), 0))
        basis = np.column_stack([np.ones(len(points)), costs])
        return Inputs(np.column_stack([rows, costs, extra]), self._groups, basis)

    def _beliefs(self, points: Sequence[Point], inputs: Inputs) -> list[Belief]:
        found: list[Belief] = []
        for i, sign in enumerate(self._signs):
            if i in self._known:
                at = self._known.index(i)
                found.append(Exact(np.array([sign * point.known[at] for point in points])))
            else:
                found.append(self._models[i].belief(inputs))
        return found

    def gain(self, points: Sequence[Point]) -> Array:
        """Expected hypervolume improvement of each point."""
        return expected_improvement(self._beliefs(points, self._inputs(points)), self._volume_front, self._reference)

    def expected_share(self, points: Sequence[Point], count: int) -> float:
        """What the best `count` of the points are expected to add to the hypervolume between the front's ends."""
        front = self._volume_front
        least: list[Direction] = ["minimize"] * len(self._signs)
        reference = np.array(front_box(self._smooth, least))
        volume = hypervolume(front, reference, least)
        gained, left, supposed = 0.0, list(points), list(self._pending)
        for _ in range(count):
            if not left:
                break
            inputs = self._inputs(left)
            gains = expected_improvement(self._beliefs(left, inputs), front, reference)
            best = _first_best(left, gains)
            gained += float(gains.max())
            supposed.append(best)
            front = np.vstack([front, self._typical([best])])
            front = front[pareto_front(front, least)]
            for model in self._models.values():
                model.suppose(self._inputs(supposed))
            left = [point for point in left if point.key != best.key]
        return gained / volume

    def _typical(self, points: Sequence[Point]) -> Array:
        """The median that is expected of each point, the known objectives as they are."""
        found = np.empty((len(points), len(self._signs)))
        for at, i in enumerate(self._known):
            found[:, i] = [self._signs[i] * point.known[at] for point in points]
        for i, model in self._models.items():
            found[:, i] = model.typical(self._inputs(points))
        return found


def _reached(trial: FrozenTrial, unknown: Sequence[int]) -> list[float] | None:
    """What a stopped trial had reached in the unknown objectives, None where it does not say.

    Its last intermediate value where one objective is unknown; else, for Optuna reports nothing with several
    objectives, its user attribute REACHED: a value for each unknown objective.
    """
    found = trial.user_attrs.get(REACHED)
    if found is None and trial.intermediate_values and len(unknown) == 1:
        found = [trial.intermediate_values[max(trial.intermediate_values)]]
    if not isinstance(found, list | tuple) or len(found) != len(unknown):
        return None
    values = [float(value) for value in found]
    return values if all(math.isfinite(value) for value in values) else None


def _signs(study: Study) -> list[float]:
    """By objective what turns it so that less is better."""
    return [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]


def _first_best(points: Sequence[Point], gains: Array) -> Point:
    """The best point, of equals the first by name: the order of candidates decides nothing."""
    best = float(gains.max())
    return min((points[int(i)] for i in np.flatnonzero(gains >= best)), key=lambda point: point.name)


def _hash(name: tuple[tuple[str, str], ...], more: int) -> bytes:
    return hashlib.sha256(repr((name, more)).encode()).digest()


def _levels(count: int) -> list[float]:
    """Steps from 0 to 1, each far from those before: the ends, the middle, the quarters."""
    if count == 1:
        return [0.5]
    grid = [i / (count - 1) for i in range(count)]
    found = [0.0, 1.0]
    while len(found) < count:
        found.append(max((x for x in grid if x not in found), key=lambda x: min(abs(x - y) for y in found)))
    return found


def _next_level(count: int, before: Sequence[float]) -> float:
    """The first step that is free. Each trial before took the one nearest to it, be it a proposal or a design that was
    asked for otherwise: what is known already is not spread over again. An end is taken only by what is next to it."""
    free: list[float] = []
    for place in before:
        free = free or _levels(count)
        reach = [step for step in free if 0.0 < step < 1.0 or abs(step - place) * (count - 1) <= 0.5]
        if reach:
            free.remove(min(reach, key=lambda step: abs(step - place)))
    return (free or _levels(count))[0]


def _cost_columns(rows: Sequence[tuple[float, ...]]) -> tuple[Array, NDArray[np.bool_]]:
    """Columns of numbers as they should be compared: logarithms where all are above 0."""
    values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
    positive = (values > 0).all(axis=0)
    found: Array = np.where(positive, np.log(np.where(positive, values, 1.0)), values)
    return found, np.asarray(positive)


class _Columns:
    """Numbers known of every point, scaled to 0..1 over the points met."""

    def __init__(self, rows: Sequence[tuple[float, ...]]) -> None:
        values, self._positive = _cost_columns(rows)
        self._low = values.min(axis=0) if values.size else np.zeros(values.shape[1])
        span = np.ptp(values, axis=0) if values.size else np.ones(values.shape[1])
        self._kept = np.flatnonzero(span > 0)
        self._span = np.where(span > 0, span, 1.0)
        self.count = len(self._kept)

    def scaled(self, rows: Sequence[tuple[float, ...]]) -> Array:
        """The columns of these points."""
        values = np.array(rows, dtype=np.float64).reshape(len(rows), -1)
        if not self.count:
            return np.zeros((len(rows), 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(self._positive, np.log(np.maximum(values, 1e-300)), values)
        return np.asarray(((values - self._low) / self._span)[:, self._kept])


def _thinned(scaled: Array, front: Array) -> Array:
    """Some of the front, each far from those kept before."""
    kept = [int(i) for i in np.unique(np.argmin(scaled, axis=0))]
    apart = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in kept], axis=0)
    while len(kept) < FRONT:
        kept.append(int(np.argmax(apart)))
        apart = np.minimum(apart, ((scaled - scaled[kept[-1]]) ** 2).sum(1))
    return np.asarray(front[kept])
