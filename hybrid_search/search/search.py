"""The search: passive. It is asked for trials and told how they went; it alone sees Optuna and the ledger.

    trial = search.ask()                      # None when there is nothing left to ask
    search.report(trial, report)              # after each epoch: keep or stop
    search.fail(trial, kind, text)            # an attempt failed: the next one, or None where its trial failed with it
    search.tell(trial, outcome)               # written in the ledger first, then told to the sampler

The ledger is the one truth: Optuna's study lives in memory and is rebuilt from it, so that resuming is opening the
same search again. Over-budget and repeated proposals are answered from what is known and consume no trial.
"""

import logging
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import TrialState

from hybrid_search._internal.event_log import LOG, about
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger, Point, Proposal, reads, writes
from hybrid_search.ledger.weights import WeightsFolder
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import fitted, total_cost
from hybrid_search.objectives import objectives
from hybrid_search.pareto import (
    REFERENCE_TRIALS,
    RunningFront,
    front_reference,
    hypervolume,
    pareto_front,
    reference_point,
)
from hybrid_search.pruners import INDICATORS, Audit, PrunerState, make_pruner
from hybrid_search.records import NOT_IN_DIGEST, RETRIES, Report, SearchRecord, Settings, TrialRecord
from hybrid_search.samplers import PRUNED_VALUES, Facts, KnownCostSampler, make_known_cost, make_sampler
from hybrid_search.search.stop_rules import NEXT, Stopping
from hybrid_search.search.trial import Outcome, Progress, Trial
from hybrid_search.spaces.budget import budget_excess, reference_costs
from hybrid_search.spaces.choosers import Chooser, FixedChoices
from hybrid_search.spaces.equivalence import ways_to_write
from hybrid_search.spaces.known_designs import known_designs
from hybrid_search.spaces.recipe_tuning import choose_settings, own_recipe, recipe_of, untuned
from hybrid_search.spaces.space import ENUMERABLE, SearchSpace

PASSED = "passed over"  # a proposal that waits, for the pruner has no hope for it yet
EXPECTED = "expected "  # begins the facts of a stopped trial that say what it would have ended with
COUNTED = 500  # networks whose other ways of writing are counted: some milliseconds each
HELD = 2000  # trials of a longer search that the sampler is told of when it is opened: more would take it minutes
# Pre-emptions in a row without a further rung, after which a trial comes last, and after which it has failed.
FEARED, FRUITLESS = 3, 10
CUT = "the driver of its search ended, or lost the search to another"
STOPPED = "its search was stopped"  # in order, which no trial is suspected of
PATIENCE = 10  # proposals in a row that could not be trained, before the search looks for an unseen design itself


class Search:
    """One search of the ledger, opened by its record. Not thread-safe: one driver asks and tells.

    `stopping` is the stop rule of this call; None leaves it to the target. `clean_shutdown`: the previous
    driver exited on request, so its unfinished trials are not counted as possible causes of a crash.
    """

    def __init__(
        self, record: SearchRecord, ledger: Ledger, stopping: Stopping | None = None, *, clean_shutdown: bool = False
    ) -> None:
        self.record = record
        self.stopping = stopping or Stopping()
        self.ledger = ledger
        self._cut = STOPPED if clean_shutdown else CUT  # why trials stand that an earlier driver left running
        self.space = SearchSpace.from_dict(record.space, f"search {record.name}")
        self.objectives = objectives(record.objectives)
        self.directions = [objective.direction for objective in self.objectives]
        self.weights = WeightsFolder(ledger.url, record.id)
        self._facts: dict[tuple[tuple[str, Any], ...], tuple[Architecture, dict[str, float]]] = {}
        self._known: dict[str, str] = {}  # digest -> state of the trial that has it
        self._unheld: set[str] = set()  # of these, those that the sampler is not told of
        self._values: dict[int, dict[str, float]] = {}  # completed trial -> its numbers, in the order of completion
        self._first: dict[int, Mapping[str, float]] = {}  # what a retrained trial measured in the search itself
        self._front = RunningFront(self.directions)
        self._worst = reference_costs(record)
        self._digests: dict[str, int] = {}  # digest of a completed trial -> its number
        self._states: dict[int, str] = {}  # of ended trials, by number
        self._watch = PrunerState(make_pruner(record.pruner, self.objectives, record.seed), self.objectives)
        self._recipes: dict[str, tuple[tuple[str, Any], ...]] = {}  # digest -> the recipe it was tried with
        self._failures: dict[int, Counter[str]] = defaultdict(Counter)  # trial -> its failed attempts by kind
        self._asked: dict[int, optuna.trial.Trial] = {}
        self._interrupted: list[TrialRecord] = []
        self._feared: list[TrialRecord] = []  # of those, the ones that may have been what ended their drivers
        self._preempted: defaultdict[int, list[int]] = defaultdict(list)  # trial -> rungs at which it was pre-empted
        self._rungs: dict[int, int] = {}  # running trial -> the rung it has reported
        self._counts = {"running": 0, "complete": 0, "stopped": 0, "failed": 0}
        self._gated = self._duplicates = 0
        self._next = 0
        self._data: str | None = None  # the fingerprint of the data that its trials saw
        self._study = self._rebuild()
        known = known_designs(record, self.space) if record.warm_start else []
        self._warm = [design for design in known if design.architecture.digest not in self._known]
        self._dice = random.Random(f"{record.seed}/{self._next}/{self._gated + self._duplicates}")

    # -- the study, from the ledger --

    def _rebuild(self) -> optuna.Study:
        points, _ = self.ledger.read(reads.points, self.record.id, self.record.objectives)
        digests, proposals = (
            self.ledger.read(reads.digests, self.record.id),
            self.ledger.read(reads.proposals, self.record.id),
        )
        self._count(points, digests)
        gated = [proposal for proposal in proposals if proposal.reason == "gated"]
        self._known |= dict.fromkeys((proposal.digest for proposal in gated), "gated")
        passed = [proposal for proposal in proposals if proposal.reason == PASSED]
        self._gated = len(gated)
        self._duplicates = sum(proposal.reason == "duplicate" for proposal in proposals)
        held = self._held(points)
        trials = self.ledger.read(reads.trials, self.record.id, held)
        self._data = self.ledger.read(reads.fact, self.record.id, "fingerprint")
        self._unheld = set(self._known) - {digests[trial.number] for trial in trials}
        self._unheld -= {proposal.digest for proposal in gated[-HELD:]}
        facts = self._before_training(len(points) + len(proposals))
        sampler = make_sampler(self.record.sampler, self.record.seed, facts)
        self._judge = sampler if isinstance(sampler, KnownCostSampler) else make_known_cost(self.record.seed, facts)
        loud = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # a study in memory is nobody's news
        study = optuna.create_study(directions=list(self.directions), sampler=sampler)
        optuna.logging.set_verbosity(loud)
        # The sampler goes on from what it was told: a confirmation changes no proposal.
        self._first = {
            n: found.own for n, found in self.ledger.read(reads.repeats, self.record.id, confirmed=True).items()
        }
        if self.record.pruner != "none":
            self._watch_again([trial for trial in trials if trial.state != "failed"])
        for record in trials:
            if record.state == "running":
                feared = fruitless(self._preempted[record.number]) >= FEARED
                (self._feared if feared else self._interrupted).append(record)
            elif record.state == "complete":
                self._recipes[record.digest] = recipe_of(record.choices)
                told = self._row(self._first.get(record.number, record.measurements))
                self._remember(study, record.choices, TrialState.COMPLETE, values=told)
            elif record.state == "stopped":
                told = [float(record.facts.get(EXPECTED + name, "nan")) for name in self._watch.unknown]
                self._remember(study, record.choices, TrialState.PRUNED, user_attrs={PRUNED_VALUES: told})
            else:
                self._remember(study, record.choices, TrialState.FAIL)
        for proposal in gated[-HELD:]:
            self._remember(study, proposal.choices, TrialState.PRUNED)
        begun = set(digests.values())
        for proposal in passed[-HELD:]:
            self._remember(study, proposal.choices, TrialState.PRUNED)
            if proposal.digest not in begun:
                architecture, _ = self._answered(FixedChoices(proposal.choices))
                self._watch.add_design(proposal.digest, self.price(architecture), proposal.choices)
        return study

    def _count(self, points: Sequence[Point], digests: Mapping[int, str]) -> None:
        """Take in what is known of every trial, the little that is held of it."""
        for point in points:
            digest = digests[point.number]
            self._next = max(self._next, point.number + 1)
            if point.state != "failed":  # what failed may have been the machine's fault: another run may ask it again
                self._known[digest] = point.state
            self._counts[point.state] += 1
            self._states[point.number] = point.state
            if point.state == "complete":
                self._digests[digest] = point.number
        complete = [point for point in points if point.state == "complete" and point.finished is not None]
        for point in sorted(complete, key=lambda point: (point.finished, point.number)):
            self._values[point.number] = dict(point.values)
        rows = [self._row(values) for values in self._values.values()]
        numbers = list(self._values)
        for i in pareto_front(rows, self.directions):
            self._front.add(numbers[i], rows[i])
        failures = [failed for failed in self.ledger.read(reads.failures, self.record.id) if failed.seed is None]
        last = {failed.number: failed.attempt for failed in failures if self._states[failed.number] == "failed"}
        for failed in failures:
            if failed.attempt != last.get(failed.number):  # another attempt followed
                self._failures[failed.number][failed.kind] += 1
                if failed.kind == "pre-empted" and failed.text != STOPPED:
                    self._preempted[failed.number].append(failed.rung)

    def _held(self, points: Sequence[Point]) -> list[int] | None:
        """The trials that the sampler is told of, by number; None where it is told of all.

        Of more than HELD: those that run, those on the front, the newest, and as many of the others by lot.
        """
        if len(points) <= HELD:
            return None
        numbers = [point.number for point in points]
        held = {*self._front.numbers, *numbers[-HELD // 2 :]}
        others = [number for number in numbers if number not in held]
        dice = random.Random(f"{self.record.seed}/held")
        held |= set(dice.sample(others, max(0, min(len(others), HELD - len(held)))))
        return sorted(held | {point.number for point in points if point.state == "running"})

    def _watch_again(self, begun: Sequence[TrialRecord]) -> None:
        """Show the pruner what began before this driver did."""
        numbers = [trial.number for trial in begun]
        curves = self.ledger.read(reads.curves, self.record.id, {*self._watch.unknown, *INDICATORS}, numbers)
        for trial in begun:
            if trial.id not in curves:
                continue
            prices = self.price(Architecture.from_dict(trial.architecture))
            self._watch.start(trial.number, trial.digest, prices, trial.choices)
            self._watch.restore(trial.number, curves[trial.id], trial.audit_rung)
            if trial.state != "running":
                self._watch.finish(trial.number, trial.state, self._first.get(trial.number, trial.measurements))

    def _before_training(self, held: int) -> Facts:
        """What a sampler may know of every design: its identity, its price, and whether the budget allows it."""
        names = [objective.name for objective in self.objectives]
        prices = ("flops", "params")

        def walk(chooser: Any) -> None:
            architecture = self._chosen(chooser)
            self._facts[tuple(chooser.params.items())] = architecture, self.price(architecture)
            choose_settings(chooser, self.record.settings, self.record.tuned)

        def found(choices: Mapping[str, Any]) -> tuple[Architecture, dict[str, float]]:
            key = tuple((untuned(choices) if self.record.tuned else choices).items())
            if key not in self._facts:
                architecture = self._chosen(FixedChoices(choices))
                self._facts[key] = architecture, self.price(architecture)
            return self._facts[key]

        return Facts(
            known={names.index(name): partial(_number, found, name) for name in prices if name in names},
            features=lambda choices: [math.log(found(choices)[1][name]) for name in prices if name not in names],
            canonical=lambda choices: found(choices)[0].digest,
            variant=recipe_of if self.record.tuned else None,
            budget_excess=lambda choices: self._closed(found(choices)[0]),
            space=walk,
            n_existing=held,
        )

    def _closed(self, architecture: Architecture) -> float:
        """How far a design is over what may be proposed: the budget, and what is known and the sampler not told of."""
        return 1.0 if architecture.digest in self._unheld else self.excess(architecture)

    def _chosen(self, chooser: Chooser) -> Architecture:
        """The design that is chosen, without what has no effect on this search's images: networks that are the same
        are one, and the cheapest way to write it is trained."""
        return fitted(self.space.choose(chooser), self.record.input_size)

    def _answered(self, chooser: Chooser) -> tuple[Architecture, Settings]:
        """The design that is chosen, and the settings it is trained under."""
        return self._chosen(chooser), choose_settings(chooser, self.record.settings, self.record.tuned)

    def _remember(self, study: optuna.Study, choices: Mapping[str, Any], state: TrialState, **what: Any) -> None:
        answers = FixedChoices(choices)
        architecture, _ = self._answered(answers)
        if self._limited:
            what["constraints"] = {"budget": self.excess(architecture)}
        distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(offered) for name, offered in answers.offered.items()
        }
        trial = optuna.trial.create_trial(state=state, params=answers.params, distributions=distributions, **what)
        study.add_trial(trial)

    def _row(self, measurements: Mapping[str, float]) -> list[float]:
        return [float(measurements[objective.name]) for objective in self.objectives]

    # -- ask --

    def ask(self) -> Trial | None:
        """The next trial, written in the ledger as running; None when the target is reached, the space is used up, or
        the stop rule says so.

        Trials that an earlier driver left running come first, under their old numbers; then the known designs that
        are not tried yet; then what the sampler proposes. A trial that was running whenever some drivers in a row died
        comes last of all: it may be what kills them.
        """
        if self.stopping.out_of_time():
            return None
        while self._interrupted:
            if (trial := self._restart(self._interrupted.pop(0))) is not None:
                return trial
        if (trial := self._fresh()) is not None:
            return trial
        while self._feared:
            if (trial := self._restart(self._feared.pop(0))) is not None:
                return trial
        return None

    def over(self) -> bool:
        """Whether the target is reached and nothing is left to take up."""
        return self._next >= self.record.target and not self._interrupted and not self._feared

    def _fresh(self) -> Trial | None:
        """A trial that is not begun yet; None where there is to be none."""
        if self._next >= self.record.target or self.stopping.settled(self._counts["complete"], self.gains):
            return None
        while self._warm:
            own = own_recipe(self.record.settings, self.record.tuned)
            self._study.enqueue_trial({**self._warm.pop(0).choices, **own})
            trial = self._propose(self._study.ask(), judged=False)
            if trial is not None:
                return trial
        for turn in range(1, PATIENCE + 1):
            trial = self._propose(self._study.ask(), must=turn == PATIENCE)
            if trial is not None:
                return trial
        return self._unseen()

    def _restart(self, record: TrialRecord) -> Trial | None:
        """The next attempt at a trial that a driver left running; None where it has had too many."""
        self._study.enqueue_trial(dict(record.choices))
        asked = self._study.ask()
        architecture, _ = self._answered(asked)
        self._limit(asked, self.excess(architecture))
        self._asked[record.number] = asked
        here = {name: getattr(self.record.settings, name) for name in NOT_IN_DIGEST}
        settings = Settings.from_dict(record.settings).with_(**here)
        trial = Trial(record.id, record.number, architecture, record.choices, settings, record.attempt)
        self._rungs[record.number] = record.rung
        again = self.fail(trial, "pre-empted", self._cut)
        if again is not None:
            LOG.info("trial taken up again", extra=self._about(again, digest=record.digest))
        return again

    def _propose(self, asked: optuna.trial.Trial, *, judged: bool = True, must: bool = False) -> Trial | None:
        """The trial of this proposal, or of a design that waited; None where there is none yet. `judged`: the pruner
        may pass it over; `must`: not all that wait."""
        architecture, settings = self._answered(asked)
        digest, excess = architecture.digest, self.excess(architecture)
        self._limit(asked, excess)
        if digest in self._known:
            self._answer_duplicate(asked, digest)
            return None
        if excess > 0:
            self._known[digest] = "gated"
            self._gated += 1
            self.ledger.write(writes.add_proposal, self.record.id, Proposal("gated", digest, asked.params, excess))
            self._study.tell(asked, state=TrialState.PRUNED)
            return None
        if judged and self.record.pruner != "none":
            picked = self._picked(asked, architecture, must=must)
            if picked is None:
                return None
            if picked is not asked:
                asked = picked
                architecture, settings = self._answered(asked)
                digest = architecture.digest
                self._limit(asked, self.excess(architecture))
        self._watch.deferred.designs.pop(digest, None)
        number = self._next
        trial_id = self.ledger.write(
            writes.start_trial,
            self.record.id,
            number,
            digest=digest,
            architecture=architecture.to_dict(),
            choices=asked.params,
            settings=settings,
        )
        self._next += 1
        self._known[digest] = "running"
        self._counts["running"] += 1
        self._asked[number] = asked
        trial = Trial(trial_id, number, architecture, dict(asked.params), settings)
        LOG.info("trial started", extra=self._about(trial, digest=digest, architecture=str(architecture)))
        return trial

    def _limit(self, asked: optuna.trial.Trial, excess: float) -> None:
        """Say of a proposal how far over the budget it is, where there is one."""
        if self._limited:
            asked.set_constraint("budget", excess)

    @property
    def _limited(self) -> bool:
        return self.record.max_flops is not None or self.record.max_params is not None

    def _picked(
        self, asked: optuna.trial.Trial, architecture: Architecture, *, must: bool
    ) -> optuna.trial.Trial | None:
        """This proposal where the pruner has hope for it; else it waits, and one that waited is asked again if there is
        hope for that, or one is needed (`must`); None where nothing is worth its first epoch yet."""
        digest = architecture.digest
        self._watch.add_design(digest, self.price(architecture), asked.params)
        found = self._watch.next_design(required=must)
        if found is not None and found.digest == digest:
            return asked
        self.ledger.write(writes.add_proposal, self.record.id, Proposal(PASSED, digest, asked.params, 0.0))
        self._study.tell(asked, state=TrialState.PRUNED)
        if found is None:
            return None
        self._study.enqueue_trial(dict(found.choices))
        return self._study.ask()

    def _about(self, trial: Trial, **more: Any) -> dict[str, Mapping[str, Any]]:
        """What an event of a trial is about."""
        return about(search=self.record.name, trial=trial.number, attempt=trial.attempt, **more)

    def _answer_duplicate(self, asked: optuna.trial.Trial, digest: str) -> None:
        """Tell the sampler what is known of a network it proposed again; nothing is trained."""
        self._duplicates += 1
        self.ledger.write(writes.add_proposal, self.record.id, Proposal("duplicate", digest, asked.params, 0.0))
        if digest in self._digests and self._recipes.get(digest, ()) == recipe_of(asked.params):
            number = self._digests[digest]
            self._study.tell(asked, self._row(self._first.get(number, self._values[number])))
        else:
            self._study.tell(asked, state=TrialState.FAIL)

    def _unseen(self) -> Trial | None:
        """A design never proposed, found without the sampler: by a walk where that is short, else by random steps.

        The steps start at a random design, or at the cheapest one when a tight budget leaves little else.
        """
        found: dict[str, Any] | None = None
        if self.space.size() <= ENUMERABLE:
            left = [choices for architecture, choices in self.space.enumerate_choices() if self._is_open(architecture)]
            found = self._dice.choice(left) if left else None
        else:
            cheapest = self.space.extreme(self.excess)[1]
            for draw in range(ENUMERABLE):
                if draw < ENUMERABLE // 4:
                    architecture, choices = self.space.random_choices(self._dice)
                else:
                    architecture, choices = self.space.neighbour(cheapest, self._dice)
                    if self.excess(architecture) <= 0:
                        cheapest = choices  # a walk inside the budget
                if self._is_open(architecture):
                    found = choices
                    break
        if found is None:
            return None
        self._study.enqueue_trial(found)
        return self._propose(self._study.ask(), must=True)

    def _is_open(self, architecture: Architecture) -> bool:
        architecture = fitted(architecture, self.record.input_size)
        return architecture.digest not in self._known and self.excess(architecture) <= 0

    def excess(self, architecture: Architecture) -> float:
        """How far over the budget an architecture is, as a share of it; 0 or less is within."""
        return budget_excess(self.record, architecture)

    def price(self, architecture: Architecture) -> dict[str, float]:
        """What is known before training: FLOPs (2 x MACs) and parameters."""
        flops, params = total_cost(architecture, self.record.input_size, self.record.classes)
        return {"flops": float(flops), "params": float(params)}

    # -- report and tell --

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """An attempt at a trial failed: the next attempt, or None where there is none and the trial failed: `RETRIES`
        gives no more, or it was pre-empted FRUITLESS times in a row without getting further.

        Raises LostLease where the attempt is over already.
        """
        failures, rungs = self._failures[trial.number], self._preempted[trial.number]
        if kind == "pre-empted" and text != STOPPED:
            rungs.append(self._rungs.get(trial.number, 0))
            if fruitless(rungs) >= FRUITLESS:
                kind, text = "lost", f"pre-empted {FRUITLESS} times without a further rung; the last time: {text}"
        if failures[kind] < RETRIES[kind] and fruitless(rungs) < FRUITLESS:
            self._rungs.pop(trial.number, None)
            attempt = self.ledger.write(writes.fail_attempt, trial.id, trial.attempt, kind, text)
            failures[kind] += 1
            said = self._about(trial, kind=kind, text=text.strip().splitlines()[-1] if text.strip() else "")
            LOG.warning("trial begins again", extra=said)
            return replace(trial, attempt=attempt)
        self.tell(trial, Outcome("failed", {}, kind, text))
        return None

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Write one rung of a running trial and ask the pruner, unless the report is the last one.

        A last report of a rung that was reported before is not written again: only the end of the trial is new.
        Stop: the trial has ended, as stopped, or as failed (nan) where a number is not finite; `state` says which.
        LedgerError, and nothing written, where it was trained on other data than the trials before it.
        """
        rung, measurements, facts = report.rung, report.measurements, report.facts
        if report.last and rung == self._rungs.get(trial.number, 0):
            return "keep"
        self._data = same_data(self._data, facts, trial)
        wrong = [name for name, value in measurements.items() if not math.isfinite(value)]
        if wrong:
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong[0]} is not finite after rung {rung}"))
            return "stop"
        self.ledger.write(writes.add_rung, trial.id, rung, measurements, facts, attempt=trial.attempt)
        resumed = facts.get("resumed")
        if resumed and trial.number not in self._rungs:
            LOG.info("trial goes on from its checkpoint", extra=self._about(trial, resumed=resumed))
        self._rungs[trial.number] = rung
        LOG.debug("rung", extra=self._about(trial, rung=rung, measurements=dict(measurements)))
        if self.record.pruner == "none":
            return "keep"
        price = self.price(trial.architecture)
        self._watch.start(trial.number, trial.architecture.digest, price, trial.choices)
        self._watch.add_rung(trial.number, rung, measurements)
        verdict = "keep" if report.last else self._watch.judge(trial.number, rung)
        if verdict == "spare":
            self.ledger.write(writes.set_audit_rung, trial.id, rung)
        if verdict != "stop":
            return "keep"
        self.tell(trial, Outcome("stopped", expected=self._watch.expected_values(trial.number, rung)))
        return "stop"

    def state(self, trial: Trial) -> str:
        """The state of a trial that was asked for: running, complete, stopped or failed."""
        return self._states.get(trial.number, "running")

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Write how a trial ended, then teach the sampler. True when its weights are worth keeping: it is on the front.

        A trial whose numbers lack an objective, or are not finite, is failed. A stopped one teaches what it was
        expected to end with, which is less biased than what it had reached, and stands among its facts.
        """
        outcome = self._judged(trial, outcome)
        numbers = {**self.price(trial.architecture), **outcome.measurements} if outcome.state == "complete" else {}
        self.ledger.write(
            writes.finish_trial,
            trial.id,
            outcome.state,
            numbers,
            seed=trial.settings.seed,
            failure_kind=outcome.failure_kind,
            failure_text=outcome.failure_text,
            facts={EXPECTED + name: repr(value) for name, value in outcome.expected.items()},
            attempt=trial.attempt,
        )
        said = self._about(trial, measurements=numbers, kind=outcome.failure_kind, text=outcome.failure_text)
        LOG.log(logging.WARNING if outcome.state == "failed" else logging.INFO, f"trial {outcome.state}", extra=said)
        asked = self._asked.pop(trial.number)
        self._known[trial.architecture.digest] = outcome.state
        self._counts["running"] -= 1
        self._counts[outcome.state] += 1
        self._states[trial.number] = outcome.state
        self._watch.finish(trial.number, outcome.state, numbers)
        if outcome.state == "stopped":
            expected = [float(outcome.expected.get(name, math.nan)) for name in self._watch.unknown]
            asked.set_user_attr(PRUNED_VALUES, expected)
            self._study.tell(asked, state=TrialState.PRUNED)
            return False
        if outcome.state == "failed":
            self._study.tell(asked, state=TrialState.FAIL)
            return False
        self._values[trial.number] = numbers
        on_front = self._front.add(trial.number, self._row(numbers))
        self._digests[trial.architecture.digest] = trial.number
        self._recipes[trial.architecture.digest] = recipe_of(trial.choices)
        self._study.tell(asked, self._row(numbers))
        return on_front

    def _judged(self, trial: Trial, outcome: Outcome) -> Outcome:
        if outcome.state != "complete":
            return outcome
        for name, value in outcome.measurements.items():
            if not math.isfinite(value):
                return Outcome("failed", {}, "nan", f"{name} is not finite at the end")
        known = self.price(trial.architecture)
        for objective in self.objectives:
            if objective.name not in outcome.measurements and objective.name not in known:
                came = ", ".join(outcome.measurements) or "nothing"
                return Outcome("failed", {}, "bug", f"the evaluation must measure {objective.name}; it gave {came}")
        return outcome

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Keep the weights of a trial on the front, and drop those that it dominates."""
        front = self.front()
        path = self.weights.write(trial.number, weights)
        self.ledger.write(writes.set_weights, trial.id, path)
        for record in self.ledger.read(reads.trials_with_weights, self.record.id):
            if record.number not in front:
                self.ledger.write(writes.set_weights, record.id, None)
                self.weights.drop(record.number)

    # -- where it stands --

    def front(self) -> list[int]:
        """The numbers of the completed trials on the Pareto front."""
        return self._front.numbers

    def progress(self) -> Progress:
        """Counts, front size and hypervolume, from a reference that stands still: see `front.reference_point`."""
        reference = reference_point(
            [self._row(values) for values in islice(self._values.values(), REFERENCE_TRIALS)],
            self.objectives,
            self._worst,
        )
        rows = [self._row(self._values[number]) for number in self.front()]  # the others add nothing
        best = None
        if rows:
            pick = max if self.directions[0] == "maximize" else min
            best = pick(row[0] for row in rows)
        volume = hypervolume(rows, reference, self.directions) if rows else 0.0
        counts, front, saved = dict(self._counts), len(self.front()), self._watch.saved_epochs()
        retried = sum(sum(kinds.values()) for kinds in self._failures.values())
        return Progress(
            counts,
            self.record.target,
            self._gated,
            self._duplicates,
            front,
            volume,
            reference,
            best,
            len(self._watch.deferred.designs),
            saved,
            retried,
        )

    def audit(self) -> Audit:
        """What pruning saved, and what it may have cost."""
        return self._watch.audit()

    def gains(self) -> tuple[float, float]:
        """What the last NEXT completed trials added to the hypervolume between the ends of the front, and what the
        best NEXT designs still open are expected to add, as shares of it. Whoever proposes, known-cost judges."""
        rows = [self._row(self._first.get(number, values)) for number, values in self._values.items()]
        reference = front_reference(rows, self.directions)
        now, before = (hypervolume(some, reference, self.directions) for some in (rows, rows[:-NEXT]))
        return 1.0 - before / now, self._judge.remaining_improvement(self._study, NEXT)

    def saved(self) -> int:
        """How many designs of the space are networks that were trained already, under other answers: what a search
        that tells designs apart by their answers might have trained again. Of the first COUNTED networks."""
        numbers = sorted(self._values)[:COUNTED]
        trained = self.ledger.read(reads.trials, self.record.id, numbers)
        return sum(ways_to_write(self.space, untuned(t.choices), self.record.input_size) - 1 for t in trained)


def same_data(seen: str | None, facts: Mapping[str, str], trial: Trial) -> str | None:
    """The fingerprint of the data that a search goes by, after a report with these facts; LedgerError where its worker
    has other data."""
    now = facts.get("fingerprint")
    if seen is not None and now not in (None, seen):
        raise LedgerError(
            f"a search goes on with the data that it saw; {trial.settings.data} had fingerprint {seen}, trial "
            f"{trial.number} saw {now} on {facts.get('worker', 'its worker')}. Bring the data back, or give a new "
            "search its own --name."
        )
    return seen or now


def fruitless(rungs: Sequence[int]) -> int:
    """How many of the last pre-emptions in a row found a trial no further than it had been before; rungs: where each
    of them found it."""
    count = 0
    while count < len(rungs) and rungs[-1 - count] <= max(rungs[: len(rungs) - 1 - count], default=0):
        count += 1
    return count


def _number(
    found: Callable[[Mapping[str, Any]], tuple[Architecture, dict[str, float]]], name: str, choices: Mapping[str, Any]
) -> float:
    return found(choices)[1][name]
