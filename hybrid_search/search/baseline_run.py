"""Baselines: standard networks, trained like the trials of a search and shown beside its front.

    run.ask()              # the next training; None if every baseline has its seeds
    run.tell(trial, ...)   # the training is in the ledger when this returns

A baseline is never a proposal: it is no trial, the sampler does not see it, and it is not on the front of the search.
Engines drive a `BaselineRun` like a search. A training is written at its end; an interrupted one starts again, or
continues from its checkpoint.
"""

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from typing import Literal, NamedTuple, cast

from hybrid_search._internal.event_log import LOG, event_fields, log_failure
from hybrid_search.errors import SettingsError, UnknownName, nearest, shown, whole
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.baseline_rows import add_baseline, baseline_trainings
from hybrid_search.ledger.entries import BaselineTraining
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import total_cost
from hybrid_search.networks.network import Network, stored_network
from hybrid_search.networks.references import FAMILIES, is_reference, reference, references
from hybrid_search.networks.timm_network import TimmNetwork, fitted
from hybrid_search.records import RETRIES, Report, SearchRecord, Settings
from hybrid_search.search.data_check import SeenData
from hybrid_search.search.report_rules import check_reported
from hybrid_search.search.trial import Outcome, Trial

TIMM = "timm/"  # prefix of a model of timm, for names that a reference of this package has too
TEST_ACCURACY = "test_accuracy"


class NamedNetwork(NamedTuple):
    """A network with its name."""

    name: str
    network: Network


class FailedBaseline(NamedTuple):
    """A failed training of a baseline: its name, its seed, and the kind and text of the failure."""

    name: str
    seed: int
    kind: str
    text: str


def find_baseline(name: str, record: SearchRecord, width: float | None = None) -> NamedNetwork:
    """Return the baseline of a name, for the images of a search: the largest ones, if its space offers image sizes.

    Args:
        name: A reference of this package (resnet-basic-16), or a model of timm (resnet18, timm/resnet50).
        record: The search.
        width: Factor of the widths of a model of timm; None: 1.

    Raises:
        UnknownName: There is no such network; the message names the nearest one.
        ArchitectureError: The network cannot take the images of the search, or its width cannot be scaled.
        UserError: timm is not installed.
    """
    family = name.rpartition("-")[0]
    if is_reference(name) or family in FAMILIES:
        network = reference(name)
        if record.image_sizes:
            network = replace(network, image_size=record.input_size[1])
        if width is not None:
            raise SettingsError(
                f"width (--width) must be given for models of timm; got {name}, whose name has a width."
            )
        return NamedNetwork(name, network)
    try:
        found = fitted(name.removeprefix(TIMM), record.input_size, record.classes, 1.0 if width is None else width)
    except UnknownName as error:
        possible = "resnet-basic-16, mobilenet-16, convnext-16 in any width, resnet50, ..., or a model of timm"
        hint = nearest(name, references()) or str(error).partition(".")[2]
        raise UnknownName(f"a baseline must be one of {possible}; got {shown(name)}.{hint}") from None
    return NamedNetwork(f"{TIMM}{found.name}" if is_reference(found.model) else found.name, found)


def stored_baselines(ledger: Ledger, record: SearchRecord) -> list[NamedNetwork]:
    """Return the baselines of a search that were trained or tried before, in the order of their first training."""
    found: dict[str, NamedNetwork] = {}
    for training in ledger.read(baseline_trainings, record.id):
        found.setdefault(training.name, NamedNetwork(training.name, stored_network(training.network)))
    return list(found.values())


class BaselineRun:
    """The trainings of baselines that a search lacks. Not thread-safe: one driver uses it.

    Args:
        record: The search in the ledger.
        ledger: The ledger.
        baselines: The networks.
        seeds: Number of trainings of each baseline, earlier ones included.
        tested: Whether only trainings that were scored on the test split count.
        hours: No training starts after so many hours.
        clock: Function that returns the time in seconds.

    Raises:
        SettingsError: `seeds` or `hours` is wrong.
    """

    def __init__(
        self,
        record: SearchRecord,
        ledger: Ledger,
        baselines: Sequence[NamedNetwork],
        *,
        seeds: int = 1,
        tested: bool = False,
        hours: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        whole("seeds", seeds, 1, SettingsError)
        self.record = record
        self.ledger = ledger
        self.baselines = list(dict.fromkeys(baselines))
        self.seeds = seeds
        self.results: list[BaselineTraining] = []
        self.failures: list[FailedBaseline] = []
        self.begin: Callable[[], None] | None = None  # called once, before the first training
        self._queue = deque(self._missing(tested))
        self.total = len(self._queue)
        self._names = {baseline.network.digest: baseline.name for baseline in self.baselines}
        self._started: dict[tuple[str, int], datetime] = {}  # by digest and seed, as the next two
        self._facts: dict[tuple[str, int], Mapping[str, str]] = {}
        self._retried: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
        self._data = SeenData(record, ledger)
        self._clock = clock
        self._ends = math.inf if hours is None else clock() + 3600 * hours

    def _missing(self, tested: bool) -> list[tuple[NamedNetwork, int]]:
        """Return the baselines and seeds to train: first one seed of each baseline, then the next seed."""
        done: dict[str, dict[int, bool]] = defaultdict(dict)
        for training in self.ledger.read(baseline_trainings, self.record.id):
            if training.measurements:
                seeds = done[stored_network(training.network).digest]
                seeds[training.seed] = seeds.get(training.seed, False) or TEST_ACCURACY in training.measurements
        own, jobs = self.record.settings.seed, []
        for position, baseline in enumerate(self.baselines):
            seeds = done[baseline.network.digest]
            counting = sum(seeds.values()) if tested else len(seeds)
            unused = (seed for seed in chain([] if tested else [own], _without(own)) if seed not in seeds)
            jobs += [(turn, position, baseline, next(unused)) for turn in range(counting, self.seeds)]
        return [(baseline, seed) for _, _, baseline, seed in sorted(jobs, key=lambda job: job[:2])]

    def cost(self, network: Network) -> dict[str, float]:
        """Return the exact cost of an architecture; empty for a model of timm, whose worker counts it."""
        if isinstance(network, TimmNetwork):
            return {}
        flops, params = total_cost(network, self.record.input_size, self.record.classes)
        return {"flops": float(flops), "params": float(params)}

    @property
    def remaining(self) -> int:
        """Number of trainings that have not started."""
        return len(self._queue)

    def name_of(self, trial: Trial) -> str:
        """Return the name of the baseline of a training."""
        return self._names[trial.architecture.digest]

    # -- ask, report, tell --

    def ask(self) -> Trial | None:
        """Return the next training; None if none is left, or the hours are used up."""
        if not self._queue or self._clock() >= self._ends:
            return None
        if self.begin is not None:
            self.begin()
            self.begin = None
        baseline, seed = self._queue.popleft()
        digest = baseline.network.digest
        self._started[digest, seed] = datetime.now(UTC)
        LOG.info("baseline started", extra=event_fields(search=self.record.name, baseline=baseline.name, seed=seed))
        # An engine uses `to_dict` and `digest` of a network only, so a model of timm can stand for an architecture.
        network = cast("Architecture", baseline.network)
        return Trial(-1 - len(self._started), network_number(baseline.network), network, {}, self._settings(seed))

    def _settings(self, seed: int) -> Settings:
        return self.record.settings.with_(seed=seed)

    def report(self, trial: Trial, report: Report) -> Literal["keep", "stop"]:
        """Check one rung, which is not stored. Return "stop" if a number is not finite: the training has failed.

        Raises:
            LedgerError: The worker has other data than the search.
            EvaluationError: A number may not be reported; see `check_reported`.
        """
        check_reported(
            report.measurements, self.cost(trial.architecture), self.record.objective_list, self.record.evaluation
        )
        self._data.check(report.facts, trial)
        self._facts[self._key(trial)] = report.facts
        wrong = [name for name, value in report.measurements.items() if not math.isfinite(value)]
        if wrong:
            self.tell(trial, Outcome("failed", {}, "nan", f"{wrong[0]} is not finite after rung {report.rung}"))
            return "stop"
        return "keep"

    def state(self, trial: Trial) -> str:
        """Return "failed" or "complete". The training of a baseline is never stopped."""
        failed = {(failure.name, failure.seed) for failure in self.failures}
        return "failed" if (self.name_of(trial), trial.settings.seed) in failed else "complete"

    def tell(self, trial: Trial, outcome: Outcome) -> bool:
        """Write the measurements of a training, or its failure. Return False, because no weights are kept."""
        name, seed = self.name_of(trial), trial.settings.seed
        measured = {**outcome.measurements, **self.cost(trial.architecture)}
        missing = [o.name for o in self.record.objective_list if not math.isfinite(measured.get(o.name, math.nan))]
        failure = (outcome.failure_kind, outcome.failure_text) if outcome.state == "failed" else (None, None)
        if outcome.state != "failed" and missing:
            came = ", ".join(outcome.measurements) or "nothing"
            failure = ("bug", f"the evaluation must measure {missing[0]}; it gave {came}")
        key = self._key(trial)
        training = BaselineTraining(
            name,
            trial.architecture.to_dict(),
            seed,
            trial.settings.to_dict(),
            {} if failure[0] else measured,
            dict(self._facts.get(key, {})),
            *failure,
            self._started[key],
            datetime.now(UTC),
        )
        self.ledger.write(add_baseline, self.record.id, training)
        details = {"search": self.record.name, "baseline": name, "seed": seed}
        if failure[0]:
            self.failures.append(FailedBaseline(name, seed, failure[0], failure[1] or ""))
            fields = event_fields(**details, kind=failure[0], text=failure[1])
            log_failure(f"the training of baseline {name} with seed {seed}", "baseline failed", fields)
        else:
            self.results.append(training)
            LOG.info("baseline complete", extra=event_fields(**details, measurements=measured))
        return False

    def keep_weights(self, trial: Trial, weights: bytes) -> None:
        """Do nothing: the weights of a baseline are not kept."""

    def fail(self, trial: Trial, kind: str, text: str) -> Trial | None:
        """Record a failed attempt. Return the next attempt, or None if `RETRIES` allows no more."""
        failures = self._retried[self._key(trial)]
        if failures[kind] < RETRIES[kind]:
            failures[kind] += 1
            return replace(trial, attempt=trial.attempt + 1)
        self.tell(trial, Outcome("failed", {}, kind, text))
        return None

    def _key(self, trial: Trial) -> tuple[str, int]:
        return trial.architecture.digest, trial.settings.seed


def network_number(network: Network) -> int:
    """Return the number that stands for a network where an engine or a checkpoint needs the number of a trial."""
    return int(network.digest[:7], 16)


def _without(own: int) -> Iterator[int]:
    return (seed for seed in count() if seed != own)
