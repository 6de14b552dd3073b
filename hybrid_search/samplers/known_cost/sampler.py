"""The sampler that knows the cost: it models what must be learned and takes as exact what is known before training.

    sampler = KnownCostSampler(known={1: flops_of_params}, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

The first trials are a spread along the known cost, the dearest design among them. Then every proposal is the candidate
with the greatest expected hypervolume improvement: the unknown objectives by Gaussian processes over the answers and
the logarithm of the known costs, the known ones exactly. Candidates are all of a small space; of a large one a fixed
random sample, the neighbours of the front, and what crossing and changing the best of these leads to.

A proposal is a function of the seed, the trial's number and what the study holds; nothing else is remembered that could
change it. So a study that is loaded again goes on with the proposals it would have had. Not so in a long one: of more
than LONG trials told, one look at the model, of a second, gives AHEAD proposals.
"""

import math
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from hybrid_search.errors import SettingsError
from hybrid_search.samplers.define_by_run import Dice, LearnedSpace, Params, Space, draw, key_of, values_of
from hybrid_search.samplers.known_cost.acquisition import Choice, first_best
from hybrid_search.samplers.known_cost.candidates import CHILDREN, Candidates
from hybrid_search.samplers.known_cost.encoding import Encoding
from hybrid_search.samplers.known_cost.initial_design import spread
from hybrid_search.samplers.known_cost.points import Array, Encode, History, Point

Price = Callable[[Params], float]
PROPOSED = "known_cost:proposed"  # the attribute of a trial that says what was proposed for it
REACHED = "known_cost:reached"  # the user attribute of a stopped trial: the unknown values that count for it
FEWEST_FIRST, MOST_FIRST = 4, 8  # trials spread along the cost: half as many as a design has answers, within these
PARENTS, ROUNDS = 10, 2  # points whose neighbours are looked at, and how often
LONG, AHEAD = 1500, 64  # trials told beyond which one look at the model gives so many proposals
STOPPED_DOUBT = 4.0  # how much noisier what a stopped trial tells is taken to be


class KnownCostSampler(BaseSampler):
    """An Optuna sampler for objectives of which some are known before the trial.

    `known[i]` gives objective i exactly from the parameters; none need be known. `features(params)` gives other cheap
    numbers (inputs of the model), `canonical(params)` a hashable identity under which two proposals are the same, and
    `variant(params)` what tells apart designs of one identity, all weighed, of which only the best is proposed.
    `reference` is the point the hypervolume is measured from, one value for each objective (default: the dearest
    candidate and the worst value told). `budget[i]` bounds known objective i and `excess(params)` anything else, by
    how far it is over (0 or less is within): what they exclude is never proposed. `space(chooser)` asks the questions
    of the objective function; without it the sampler learns them from the trials. `first` trials are spread along the
    cost (default: half as many as a design has answers, from 4 to 8). `ordered` False takes a choice of numbers as a
    choice of words, `cost_inputs` False keeps the known costs out of the model's inputs. Of more than 2,000 trials the
    model takes 2,000: the front, the newest, some of the others; beyond 1,500 it is asked once for 64 proposals.

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
        first: int | None = None,
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
        if first is not None and first < 1:
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
        self._rows: dict[tuple[tuple[str, str], ...], Array] = {}
        self._encoding: tuple[Hashable, Encoding] | None = None
        self._candidates = Candidates(self._point, len(self._known), self._seed, sure=space is not None)
        self._checked: set[int] = set()
        self._proposed: dict[int, dict[str, Any]] = {}
        self._ahead: list[Point] = []  # of a long study: what is proposed next
        self._since = 0  # the trial that these were found with

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
            self._checked, self._proposed, self._ahead = set(), {}, []

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
        if (ready := self._next_ahead(study, trial.number)) is not None:
            return ready
        dice = random.Random(f"{self._seed}/{trial.number}")
        here = self._look(study, trial.number, dice)
        if here is None:
            return None
        history = here.history
        if here.learned is not None and history.count < 3 * here.first:
            fresh = self._candidates.untried(here.learned, history, dice)
            if fresh is not None:
                return fresh
        open_ = here.open_
        if not open_ and not here.whole:
            open_ = self._candidates.wander(here.space, history, dice)
        if not open_:
            return self._again(here.pool, dice)
        point = spread(here.first, open_, here.pool, history, here.encode, dice)
        if point is not None:
            return point
        if len(history.told) < 2:
            return dice.choice(open_)
        choice = self._choice(study, here)
        points, gains = self._weighed(here, open_, choice, dice)
        best = first_best(points, gains)
        if len(history.told) > LONG:
            self._ahead = apart(points, gains, best)
            self._since = trial.number
        return best

    def _next_ahead(self, study: Study, number: int) -> Point | None:
        """The next of the proposals that were found together; None where none is left that nobody has tried since."""
        if not self._ahead:
            return None
        since = [t for t in study.get_trials(deepcopy=False)[self._since :] if t.number != number]
        answers = [self._answers(trial) for trial in since]
        tried = [self._point(params, offered, sure=False) for params, offered in answers if params]
        seen = {point.key for point in tried if point is not None}
        while self._ahead:
            point = self._ahead.pop(0)
            if point.key not in seen:
                return point
        return None

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
        pool, whole = self._candidates.pool(space, "" if learned is None else learned.shape)
        if learned is None:
            self._offered = self._candidates.offers
        history = self._history(study, number)
        open_ = [point for point in pool if point.allowed and point.key not in history.seen]
        first = self._first or min(MOST_FIRST, max(FEWEST_FIRST, math.ceil(self._candidates.answers / 2)))
        return _Look(space, learned, pool, whole, history, self._encoder(), open_, first)

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
            if here is None or len(here.history.told) < max(2, here.first):
                return math.inf
            open_ = here.open_ if here.open_ or here.whole else self._candidates.wander(here.space, here.history, dice)
            if not open_:
                return 0.0
            choice = self._choice(study, here)
            points, _ = self._weighed(here, open_, choice, dice)
            return choice.expected_share(points, count)

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

    def _encoder(self) -> Encode:
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

    def _choice(self, study: Study, here: "_Look") -> Choice:
        return Choice(
            list(self._known),
            here.history,
            _signs(study),
            here.pool,
            here.encode,
            self._groups,
            reference=self._reference,
            cost_inputs=self._cost_inputs,
        )

    def _weighed(
        self, here: "_Look", open_: Sequence[Point], choice: Choice, dice: random.Random
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
        near = self._candidates.neighbours
        children: list[Point | None] = [child for parent in parents for child in near(space, parent)]
        if len(parents) > 1:
            for _ in range(3 * CHILDREN):
                one, other = dice.sample(parents, 2)
                mixed = {
                    **other.params,
                    **{name: value for name, value in one.params.items() if dice.random() < 0.5},
                }
                missing = {name: value for name, value in one.params.items() if name not in mixed}
                children.append(self._candidates.chosen(space, Dice(dice, {**missing, **mixed})))
        points = [*open_, *new(children)]
        gains = choice.gain(points)
        for _ in range(ROUNDS):
            top = np.argsort(-gains, kind="stable")[:PARENTS]
            more = new([child for i in top for child in near(space, points[i])])
            if not more:
                break
            points += more
            gains = np.append(gains, choice.gain(more))
        return points, gains


@dataclass(frozen=True)
class _Look:
    """What a proposal starts from: the space, its candidates, what the study holds, which are still open, and how many
    trials come before the model's."""

    space: Space
    learned: LearnedSpace | None
    pool: list[Point]
    whole: bool
    history: History
    encode: Encode
    open_: list[Point]
    first: int


def apart(points: Sequence[Point], gains: Array, best: Point) -> list[Point]:
    """The AHEAD points of the greatest gain after the best, of which no two differ in one answer alone: what one of
    them tells says much of its neighbours."""
    found = [best]
    for i in sorted(range(len(points)), key=lambda i: (-gains[i], points[i].name)):
        point = points[i]
        if len(found) > AHEAD:
            break
        if all(_differ(point.params, other.params) > 1 and point.key != other.key for other in found):
            found.append(point)
    return found[1:]


def _differ(one: Params, other: Params) -> int:
    """In how many answers two designs differ."""
    return sum(one.get(name) != other.get(name) for name in one.keys() | other.keys())


def _reached(trial: FrozenTrial, unknown: Sequence[int]) -> list[float] | None:
    """What a stopped trial is taken to be worth in the unknown objectives, None where it does not say.

    Its user attribute REACHED, a value for each unknown objective: what it had reached, or is expected to have ended
    with. Without one, where one objective is unknown, its last intermediate value; Optuna reports none with several.
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
