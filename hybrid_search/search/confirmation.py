"""The confirmation of a front: passive as the search is, and driven by the same engines. It is asked for trials to
train again under fresh seeds, and told how that went.

    trial = confirmation.ask()             # None when the front is settled, or the budget is spent
    confirmation.tell(trial, outcome)      # its numbers are in the ledger when this returns

Front members get `seeds` fresh seeds each; then the next seed goes where it takes away most doubt, also to trials near
the front. The ledger is the one truth: opened again it goes on, and what was interrupted is trained again.
"""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

import numpy as np

from hybrid_search._internal.event_log import LOG, about
from hybrid_search.analysis.confidence import (
    ObjectivePosterior,
    TrialConfidence,
    front_probability,
    next_trial,
    objective_posterior,
    seed_values,
    trial_confidence,
    undecided,
)
from hybrid_search.errors import SettingsError, whole
from hybrid_search.ledger import Ledger, Repeats, reads, writes
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import total_cost
from hybrid_search.pareto import front_rows
from hybrid_search.records import NOT_IN_DIGEST, RETRIES, Report, SearchRecord, Settings
from hybrid_search.search.data_check import check_same_data
from hybrid_search.search.trial import Outcome, Trial

USUAL = 2  # the budget where none is given: that many times the seeds that the front is owed
TRIES = 2  # failures of one trial after which it is trained no more


@dataclass(frozen=True)
class FailedRetraining:
    """A retraining that went wrong: of which trial, under which seed, and why."""

    number: int
    seed: int
    kind: str
    text: str


class Confirmation:
    """One confirmation of a search, opened by its record. Not thread-safe: one driver asks and tells.

    seeds: fresh ones for every member of the front, at least. trials: how many retrainings in all, those of earlier
        confirmations of the search among them; default: twice what the front is owed, and no bound where `hours` is
        given. hours: after that long no retraining is begun. Raises SettingsError for a wrong one of them, and where
        the search has no finished trial.
    """

    def __init__(
        self,
        record: SearchRecord,
        ledger: Ledger,
        *,
        seeds: int = 3,
        trials: int | None = None,
        hours: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole("seeds", seeds, 1, SettingsError)
        if trials is not None:
            whole("trials", trials, 1, SettingsError)
        if hours is not None and not (math.isfinite(hours) and hours > 0):
            raise SettingsError(f"hours must be more than 0; got {hours:g}.")
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
            raise SettingsError(f"a confirmation needs a finished trial; search {record.name!r} has none yet.")
        self.before = self._front({number: found.own for number, found in self._repeats.items()})
        self.failures: list[FailedRetraining] = []
        self._retried: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)  # (trial, seed) -> kinds of failure
        done = sum(len(found.fresh) for found in self._repeats.values())
        owed = sum(max(0, seeds - len(self._repeats[number].fresh)) for number in self.front())
        usual = None if hours is not None else max(USUAL * seeds * len(self.before), done + owed)
        self.budget = usual if trials is None else trials
        self.begin: Callable[[], None] | None = None  # called once, before the first retraining is given out
        self._used = ledger.read(reads.seeds, record.id)
        self._data = ledger.read(reads.fact, record.id, "fingerprint")
        self._pending: dict[int, set[int]] = {number: set() for number in self._repeats}
        self._clock = clock
        self._ends = math.inf if hours is None else clock() + 3600 * hours

    # -- where it stands --

    def values(self) -> dict[int, Mapping[str, float]]:
        """The present value of every objective by completed trial: the mean over its fresh seeds, where it has any."""
        found: dict[int, Mapping[str, float]] = {}
        for number, repeats in self._repeats.items():
            if repeats.fresh:
                rows = {name: seed_values(repeats, name) for name in self.record.objectives}
                found[number] = {name: sum(row) / len(row) for name, row in rows.items()}
            else:
                found[number] = repeats.own
        return found

    def front(self) -> list[int]:
        """The numbers of the trials on the front of the present values, best first objective first."""
        return self._front(self.values())

    def _front(self, values: Mapping[int, Mapping[str, float]]) -> list[int]:
        return front_rows([(number, dict(row)) for number, row in values.items()], self.objectives)

    def standings(self) -> dict[int, TrialConfidence]:
        """What is known of every trial that was retrained or may be on the front."""
        retrained = {number: found for number, found in self._repeats.items() if found.fresh}
        return trial_confidence(retrained, self.values(), self.objectives)

    @property
    def done(self) -> int:
        """Retrainings in the ledger."""
        return sum(len(found.fresh) for found in self._repeats.values())

    def doubtful(self) -> list[int] | None:
        """The trials of which it is open whether they are on the front; None while no noise is known."""
        belief = self._belief()
        if belief is None:
            return None
        numbers = list(self._repeats)
        return [numbers[i] for i in np.flatnonzero(undecided(front_probability(belief)))]

    def _belief(self) -> ObjectivePosterior | None:
        retrained = {number: found for number, found in self._repeats.items() if found.fresh}
        return objective_posterior(retrained, self.values(), self.objectives)

    def spent(self) -> str | None:
        """Which budget is spent, in words; None while there is some left."""
        tried = self.done + sum(map(len, self._pending.values())) + len(self.failures)
        if self.budget is not None and tried >= self.budget:
            return f"{self.budget} retrainings"
        return "the hours" if self._clock() >= self._ends else None

    def nothing_left(self) -> str | None:
        """Why no retraining is left to ask for, in words; None where there is one."""
        if spent := self.spent():
            return f"its budget of {spent} is spent; --trials N or --hours H gives more"
        return None if self._next() is not None else "its front is settled"

    # -- ask, report, tell --

    def ask(self) -> Trial | None:
        """The next trial to train again, under a fresh seed; None when the front is settled or the budget is spent."""
        number = None if self.spent() else self._next()
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
        LOG.info("retraining started", extra=about(search=self.record.name, trial=number, seed=seed))
        here = {name: getattr(self.record.settings, name) for name in NOT_IN_DIGEST}
        settings = Settings.from_dict(record.settings).with_(**here, seed=seed)
        return Trial(record.id, number, Architecture.from_dict(record.architecture), record.choices, settings)

    def _next(self) -> int | None:
        """Whose turn it is: the front's, until each member has its seeds; then where a seed takes away most doubt."""
        members = [number for number in self.front() if not self._given_up(number)]
        fewest = min(members, key=lambda number: (self._seeds(number), members.index(number)), default=None)
        if fewest is not None and self._seeds(fewest) < self.seeds:
            return fewest
        belief = self._belief()
        if belief is None:
            return fewest  # one seed each says nothing of the noise
        numbers = list(self._repeats)
        waiting = [math.inf if self._given_up(n) else float(len(self._pending[n])) for n in numbers]
        chosen = next_trial(belief, np.array(waiting))
        return None if chosen is None or math.isinf(waiting[chosen]) else numbers[chosen]

    def _seeds(self, number: int) -> int:
        return len(self._repeats[number].fresh) + len(self._pending[number])

    def _given_up(self, number: int) -> bool:
        return sum(failure.number == number for failure in self.failures) >= TRIES

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Look at one rung, of which nothing is kept. A number that is not finite ends the retraining: stop.
        LedgerError where its worker has other data than the search saw."""
        self._data = check_same_data(self._data, report.facts, trial)
        wrong = [name for name, value in report.measurements.items() if not math.isfinite(value)]
        if wrong:
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong[0]} is not finite after rung {report.rung}"))
            return "stop"
        return "keep"

    def state(self, trial: Trial) -> str:
        """Failed, or else complete: a retraining is never stopped."""
        failed = {(failure.number, failure.seed) for failure in self.failures}
        return "failed" if (trial.number, trial.settings.seed) in failed else "complete"

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Write the numbers of a retraining, or its failure. Always False: its weights are not kept."""
        seed = trial.settings.seed
        self._pending[trial.number].discard(seed)
        flops, params = total_cost(trial.architecture, self.record.input_size, self.record.classes)
        numbers = {"flops": float(flops), "params": float(params), **outcome.measurements}
        lacking = [o.name for o in self.objectives if not math.isfinite(numbers.get(o.name, math.nan))]
        why = None
        if outcome.state != "complete":
            why = (outcome.failure_kind or "bug", outcome.failure_text or f"it was {outcome.state}")
        elif lacking:
            text = f"the evaluation must measure {lacking[0]}; it gave {', '.join(outcome.measurements) or 'nothing'}"
            why = ("bug", text)
        said = {"search": self.record.name, "trial": trial.number, "seed": seed}
        if why is not None:
            self.ledger.write(writes.add_failed_retraining, trial.id, seed, *why)
            self.failures.append(FailedRetraining(trial.number, seed, *why))
            LOG.warning("retraining failed", extra=about(**said, kind=why[0], text=why[1]))
            return False
        self.ledger.write(writes.add_measurements, trial.id, seed, numbers)
        fresh = self._repeats[trial.number].fresh
        self._repeats[trial.number] = Repeats(self._repeats[trial.number].own, {**fresh, seed: numbers})
        LOG.info("retraining complete", extra=about(**said, measurements=numbers))
        return False

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Never called: `tell` asks for no weights, because those of the search's own seed are the trial's."""

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """An attempt at a retraining failed: the next attempt, or None where `RETRIES` gives no more."""
        failures = self._retried[trial.number, trial.settings.seed]
        if failures[kind] < RETRIES[kind]:
            failures[kind] += 1
            self.ledger.write(writes.add_failed_retraining, trial.id, trial.settings.seed, kind, text)
            return replace(trial, attempt=trial.attempt + 1)
        self.tell(trial, Outcome("failed", {}, kind, text))
        return None
