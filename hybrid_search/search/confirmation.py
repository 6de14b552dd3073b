"""The confirmation of a front: its trials are trained again under fresh seeds. Engines drive it like a search.

    trial = confirmation.ask()             # None if the front is settled, or the budget is used up
    confirmation.tell(trial, outcome)      # the measurements are in the ledger when this returns

First every trial on the front gets its fresh seeds, and every known design of the search too: one seed may have put
the all-convolution network off the front. Then each further seed goes to the trial, on or near the front, where it
reduces the uncertainty about the front most. A confirmation that is opened again continues from the ledger; interrupted
retrainings start again.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np

from hybrid_search._internal.counted import counted
from hybrid_search._internal.event_log import LOG, event_fields, log_failure
from hybrid_search._internal.number_text import whole_number
from hybrid_search.analysis.confidence import (
    ObjectivePosterior,
    TrialConfidence,
    class_step,
    front_probability,
    next_trial,
    objective_posterior,
    seed_values,
    trial_confidence,
    undecided,
)
from hybrid_search.errors import SettingsError, is_number
from hybrid_search.ledger import Ledger, Repeats, reads, writes
from hybrid_search.networks.costs import total_cost
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.pareto import front_rows
from hybrid_search.records import RETRIES, TRAINED, Report, SearchRecord
from hybrid_search.search.baseline_run import BaselineRun
from hybrid_search.search.data_check import SeenData
from hybrid_search.search.report_rules import check_reported, not_finite
from hybrid_search.search.results import Front
from hybrid_search.search.trial import Outcome, Trial
from hybrid_search.settings import NOT_IN_DIGEST, Settings
from hybrid_search.spaces.known_designs import known_names
from hybrid_search.spaces.plugin_costs import check_network_costs

DEFAULT_FACTOR = 2  # default budget: this many times the fresh seeds that the front needs
MAX_FAILURES = 2  # failures of one trial after which it is not trained again


@dataclass(frozen=True)
class FailedRetraining:
    """A failed retraining.

    Args:
        number: Number of the trial.
        seed: The fresh seed.
        kind: Kind of failure, one of `RETRIES`.
        text: Text of the failure for people.
    """

    number: int
    seed: int
    kind: str
    text: str


class Confirmation:
    """One confirmation of a search. Not thread-safe: one driver uses it.

    Args:
        record: The search in the ledger.
        ledger: The ledger.
        seeds: Fresh seeds of every trial on the front, at least.
        trials: Total number of retrainings, including those of earlier confirmations of the search; default: twice
            what the front and the known designs need, or no limit if `hours` is given.
        hours: No retraining starts after so many hours.
        references: Whether the known designs of the search get their fresh seeds too.
        clock: Function that returns the time in seconds.

    Raises:
        SettingsError: An argument is wrong, or the search has no completed trial.
    """

    def __init__(
        self,
        record: SearchRecord,
        ledger: Ledger,
        *,
        seeds: int = 3,
        trials: int | None = None,
        hours: float | None = None,
        references: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        seeds = whole_number("seeds", seeds, 1)
        if trials is not None:
            trials = whole_number("trials", trials, 1)
        if hours is not None and not (is_number(hours) and math.isfinite(hours) and hours > 0):
            raise SettingsError(f"hours must be more than 0; got {hours!r}.")
        self.record = record
        self.ledger = ledger
        self.seeds = seeds
        self.objectives = record.objective_list
        names = set(record.objectives)
        self._repeats: dict[int, Repeats] = {
            number: Repeats(dict(found.own), {seed: dict(values) for seed, values in found.fresh.items()})
            for number, found in sorted(ledger.read(reads.repeats, record.id).items())
            if names <= found.own.keys()
        }
        if not self._repeats:
            raise SettingsError(f"a confirmation needs a completed trial; search {record.name!r} has none yet.")
        self.before = self._front({number: found.own for number, found in self._repeats.items()})
        known = known_names(record) if references else {}
        digests = ledger.read(reads.digests, record.id)
        self.references = {number: known[digests[number]] for number in self._repeats if digests[number] in known}
        self.failures: list[FailedRetraining] = []
        self._retried: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)  # (trial, seed) -> kinds of failure
        done = sum(len(found.fresh) for found in self._repeats.values())
        needed = sum(max(0, seeds - len(self._repeats[number].fresh)) for number in self.required())
        first = len({*self.before, *self.references})
        default = None if hours is not None else max(DEFAULT_FACTOR * seeds * first, done + needed)
        self.budget = default if trials is None else trials
        self.begin: Callable[[], None] | None = None  # called once, before the first retraining
        self.baselines: BaselineRun | None = None  # the trainings of baselines that follow the retrainings
        self._used = ledger.read(reads.seeds, record.id)
        self._data = SeenData(record, ledger)
        self._step = class_step(ledger, record.id)
        self._pending: dict[int, set[int]] = {number: set() for number in self._repeats}
        self._clock = clock
        self._ends = math.inf if hours is None else clock() + 3600 * hours

    # -- reading --

    def check_architectures(self) -> None:
        """Read the architecture of every completed trial: any of them may be trained again.

        Raises:
            PluginError: An operator, block or stem comes from a plugin that is not installed here, cannot be used, or
                states a cost that its module does not have.
            ArchitectureError: An architecture breaks a rule of this version.
        """
        for number, plain in self.ledger.read(reads.architectures, self.record.id).items():
            if number in self._repeats:
                architecture = stored_architecture(plain)
                if self.record.evaluation == TRAINED:
                    check_network_costs(architecture, self.record.input_size)

    def values(self) -> dict[int, Mapping[str, float]]:
        """Return the present values of every completed trial: the means over its fresh seeds, if it has any."""
        found: dict[int, Mapping[str, float]] = {}
        for number, repeats in self._repeats.items():
            if repeats.fresh:
                rows = {name: seed_values(repeats, name) for name in self.record.objectives}
                found[number] = {name: sum(row) / len(row) for name, row in rows.items()}
            else:
                found[number] = repeats.own
        return found

    def front(self) -> Front:
        """Return the trials on the front of the present values, sorted by the first objective, the best first."""
        values = self.values()
        rows = {number: [values[number][one.name] for one in self.objectives] for number in self._front(values)}
        return Front(self.record.name, rows, self.objectives)

    def required(self) -> list[int]:
        """Return the trials that get at least `seeds` fresh seeds: the front, then the known designs beside it."""
        return list(dict.fromkeys([*self.front(), *self.references]))

    def hours_left(self) -> float | None:
        """Return the hours in which a retraining may start; None: no limit."""
        return None if math.isinf(self._ends) else max(0.0, self._ends - self._clock()) / 3600

    def _front(self, values: Mapping[int, Mapping[str, float]]) -> list[int]:
        return front_rows([(number, dict(row)) for number, row in values.items()], self.objectives)

    def trial_confidences(self) -> dict[int, TrialConfidence]:
        """Return the confidence of every trial that was retrained or may be on the front."""
        retrained = {number: found for number, found in self._repeats.items() if found.fresh}
        return trial_confidence(retrained, self.values(), self.objectives, self._step)

    @property
    def done(self) -> int:
        """Number of retrainings in the ledger."""
        return sum(len(found.fresh) for found in self._repeats.values())

    def uncertain_trials(self) -> list[int] | None:
        """Return the trials that may or may not be on the front; None while the noise is unknown."""
        posterior = self._posterior()
        if posterior is None:
            return None
        numbers = list(self._repeats)
        return [numbers[i] for i in np.flatnonzero(undecided(front_probability(posterior)))]

    def _posterior(self) -> ObjectivePosterior | None:
        retrained = {number: found for number, found in self._repeats.items() if found.fresh}
        return objective_posterior(retrained, self.values(), self.objectives, self._step)

    def remaining(self) -> tuple[int, int]:
        """Return the smallest and the largest number of retrainings that have not started.

        The required trials need the smallest number; the largest number is what is left of the budget (without a
        budget, the smallest again).
        """
        needed = self.missing()
        if self.budget is None:
            return needed, needed
        left = max(0, self.budget - self.done - sum(map(len, self._pending.values())) - len(self.failures))
        return min(needed, left), left

    def missing(self) -> int:
        """Return the number of retrainings that the required trials still need, whatever the budget is."""
        return sum(max(0, self.seeds - self._seeds(n)) for n in self.required() if not self._given_up(n))

    def newest(self, number: int) -> tuple[int, Mapping[str, float]]:
        """Return the seed and the measurements of the newest retraining of a trial.

        Args:
            number: A trial with a retraining.
        """
        return list(self._repeats[number].fresh.items())[-1]

    def mean_seconds(self) -> float | None:
        """Return the mean seconds that the required trials took in the search; None if they are unknown."""
        trials = self.ledger.read(reads.trials, self.record.id, self.required())
        seconds = [trial.seconds for trial in trials if trial.seconds is not None]
        return sum(seconds) / len(seconds) if seconds else None

    def exhausted_budget(self) -> str | None:
        """Return which budget is used up, in words; None while some is left."""
        tried = self.done + sum(map(len, self._pending.values())) + len(self.failures)
        if self.budget is not None and tried >= self.budget:
            return counted(self.budget, "retraining")
        return "the hours" if self._clock() >= self._ends else None

    def reason_to_stop(self) -> str | None:
        """Return why no retraining is left, in words; None if there is one."""
        if spent := self.exhausted_budget():
            name = self.record.name
            return f"the budget of {name!r} ({spent}) is used up; increase trials (--trials) or hours (--hours)"
        return None if self._next() is not None else f"the front of {self.record.name!r} is settled"

    # -- ask, report, tell --

    def ask(self) -> Trial | None:
        """Return the next trial to train again, with a fresh seed; None if none is left, or the budget is used up."""
        number = None if self.exhausted_budget() else self._next()
        if number is None:
            return None
        if self.begin is not None:
            self.begin()
            self.begin = None
        record = self.ledger.read(reads.trial, self.record.id, number)
        taken = self._used | self._repeats[number].fresh.keys() | self._pending[number]
        taken |= {failure.seed for failure in self.failures if failure.number == number}
        seed = next(seed for seed in count() if seed not in taken)
        self._pending[number].add(seed)
        LOG.info("retraining started", extra=event_fields(search=self.record.name, trial=number, seed=seed))
        here = {name: getattr(self.record.settings, name) for name in NOT_IN_DIGEST}
        settings = Settings.from_dict(record.settings).with_(**here, seed=seed)
        return Trial(record.id, number, stored_architecture(record.architecture), record.choices, settings)

    def _next(self) -> int | None:
        """Return the trial of the next seed: a required one until each has its seeds, then where it helps most."""
        members = [number for number in self.required() if not self._given_up(number)]
        fewest = min(members, key=lambda number: (self._seeds(number), members.index(number)), default=None)
        if fewest is not None and self._seeds(fewest) < self.seeds:
            return fewest
        posterior = self._posterior()
        if posterior is None:
            return fewest  # with one seed each, the noise is unknown
        numbers = list(self._repeats)
        running = [math.inf if self._given_up(n) else float(len(self._pending[n])) for n in numbers]
        chosen = next_trial(posterior, np.array(running))
        return None if chosen is None or math.isinf(running[chosen]) else numbers[chosen]

    def _seeds(self, number: int) -> int:
        return len(self._repeats[number].fresh) + len(self._pending[number])

    def _given_up(self, number: int) -> bool:
        return sum(failure.number == number for failure in self.failures) >= MAX_FAILURES

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Check one rung, which is not stored. Return "stop" if a number is not finite: the retraining has failed.

        Raises:
            LedgerError: The worker has other data than the search.
            EvaluationError: A number may not be reported; see `check_reported`.
        """
        flops, params = total_cost(trial.architecture, self.record.input_size, self.record.classes)
        costs = {"flops": float(flops), "params": float(params)}
        check_reported(report.measurements, costs, self.objectives, self.record.evaluation)
        self._data.check(report.facts, trial)
        if wrong := not_finite(report.measurements):
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong} is not finite after rung {report.rung}"))
            return "stop"
        return "keep"

    def state(self, trial: Trial) -> str:
        """Return "failed" or "complete". A retraining is never stopped."""
        failed = {(failure.number, failure.seed) for failure in self.failures}
        return "failed" if (trial.number, trial.settings.seed) in failed else "complete"

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Write the measurements of a retraining, or its failure. Return False, because its weights are not kept."""
        seed = trial.settings.seed
        self._pending[trial.number].discard(seed)
        flops, params = total_cost(trial.architecture, self.record.input_size, self.record.classes)
        costs = {"flops": float(flops), "params": float(params)}
        measured = {**outcome.measurements, **costs}
        missing = [o.name for o in self.objectives if not math.isfinite(measured.get(o.name, math.nan))]
        why = None
        if outcome.state != "complete":
            why = (outcome.failure_kind or "bug", outcome.failure_text or f"it was {outcome.state}")
        elif missing:
            text = f"the evaluation must measure {missing[0]}; it gave {', '.join(outcome.measurements) or 'nothing'}"
            why = ("bug", text)
        details = {"search": self.record.name, "trial": trial.number, "seed": seed}
        if why is not None:
            self.ledger.write(writes.add_failed_retraining, trial.id, seed, *why)
            self.failures.append(FailedRetraining(trial.number, seed, *why))
            fields = event_fields(**details, kind=why[0], text=why[1])
            log_failure(f"the retraining of trial {trial.number} with seed {seed}", "retraining failed", fields)
            return False
        self.ledger.write(writes.add_measurements, trial.id, seed, measured)
        fresh = self._repeats[trial.number].fresh
        self._repeats[trial.number] = Repeats(self._repeats[trial.number].own, {**fresh, seed: measured})
        LOG.info("retraining complete", extra=event_fields(**details, measurements=measured))
        return False

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Do nothing: the weights of a trial are those of the seed of the search."""

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """Record a failed attempt. Return the next attempt, or None if `RETRIES` allows no more."""
        failures = self._retried[trial.number, trial.settings.seed]
        if failures[kind] < RETRIES[kind]:
            failures[kind] += 1
            self.ledger.write(writes.add_failed_retraining, trial.id, trial.settings.seed, kind, text)
            return replace(trial, attempt=trial.attempt + 1)
        self.tell(trial, Outcome("failed", {}, kind, text))
        return None
