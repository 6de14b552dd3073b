"""The state of a search in memory: restored from its rows in the ledger, and updated as trials report and end."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.pruners import INDICATORS, PrunerState, Verdict, make_pruner
from hybrid_search.records import Report, SearchRecord, TrialRecord
from hybrid_search.search.data_check import SeenData
from hybrid_search.search.index import DEFERRED, OVER_BUDGET, TrialIndex
from hybrid_search.search.proposer import Proposer
from hybrid_search.search.recorder import EXPECTED
from hybrid_search.search.retries import Retries
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.stop_rules import LOOK_AHEAD
from hybrid_search.search.trial import Outcome, Progress, Trial
from hybrid_search.spaces.choosers import FixedChoices

# Of a longer search the sampler learns from this many trials, because more would take it minutes.
MAX_LOADED = 2000


@dataclass
class SearchState:
    """The parts of a search in memory: its trials, its sampler, its pruner, its failed attempts and its data.

    Args:
        spec: The configuration of the search.
        index: Its trials.
        proposer: Its sampler.
        pruner: Its pruner.
        retries: Its failed attempts.
        data: The data that its trials saw.
    """

    spec: SearchSpec
    index: TrialIndex
    proposer: Proposer
    pruner: PrunerState
    retries: Retries
    data: SeenData

    @cached_property
    def _reference_costs(self) -> dict[str, float]:
        return self.spec.reference_costs()

    def judge(self, trial: Trial, report: Report) -> Verdict:
        """Add one rung of a running trial, and return the verdict of the pruner; "keep" after the last rung."""
        self.retries.reached(trial.number, report.rung)
        if self.spec.pruner == "none":
            return "keep"
        self.pruner.start(trial.number, trial.architecture.digest, self.spec.cost(trial.architecture), trial.choices)
        self.pruner.add_rung(trial.number, report.rung, report.measurements)
        return "keep" if report.last else self.pruner.judge(trial.number, report.rung)

    def finish(self, trial: Trial, outcome: Outcome) -> bool:
        """Set how a running trial ended, and give the result to the sampler.

        Args:
            trial: The trial.
            outcome: How it ended; see `checked_outcome`.

        Returns:
            Whether the trial is on the front.
        """
        number, digest, values = trial.number, trial.architecture.digest, outcome.measurements
        self.index.finish(number, digest, outcome.state)
        self.pruner.finish(number, outcome.state, values)
        if outcome.state == "stopped":
            self.proposer.stop(number, [float(outcome.expected.get(name, math.nan)) for name in self.pruner.unknown])
            return False
        if outcome.state == "failed":
            self.proposer.fail(number)
            return False
        on_front = self.index.complete(number, digest, values, trial.choices)
        self.proposer.complete(number, self.index.row(values))
        return on_front

    def progress(self, target: int) -> Progress:
        """Return counts, front size and hypervolume, measured from a reference point that does not move.

        Args:
            target: Total number of trials.
        """
        volume, reference = self.index.hypervolume(self._reference_costs)
        rows = self.index.front_rows()
        pick = max if self.spec.directions[0] == "maximize" else min
        return Progress(
            counts=dict(self.index.counts),
            target=target,
            over_budget=self.index.over_budget,
            duplicates=self.index.duplicates,
            front=len(rows),
            hypervolume=volume,
            reference=reference,
            best=pick((row[0] for row in rows), default=None),
            deferred=len(self.pruner.deferred.designs),
            saved_epochs=self.pruner.saved_epochs(),
            retried=self.retries.count,
        )

    def gains(self) -> tuple[float, float]:
        """Return what the last trials added to the hypervolume, and what the next ones are expected to add, as shares.

        It is the hypervolume between the ends of the front. The known-cost sampler gives the expectation for every
        sampler.
        """
        return self.index.recent_gain(LOOK_AHEAD), self.proposer.remaining_improvement(LOOK_AHEAD)


def load_state(spec: SearchSpec, record: SearchRecord, ledger: Ledger, *, clean_shutdown: bool = False) -> SearchState:
    """Return the state of a search from its rows in the ledger.

    Args:
        spec: The configuration of the search.
        record: The search in the ledger.
        ledger: The ledger.
        clean_shutdown: Whether the previous driver exited on request.
    """
    names = [objective.name for objective in spec.objectives]
    points, _ = ledger.read(reads.points, record.id, names)
    digests, proposals = ledger.read(reads.digests, record.id), ledger.read(reads.proposals, record.id)
    index, retries = TrialIndex(spec.objectives), Retries(clean_shutdown=clean_shutdown)
    index.load(points, digests)
    retries.load(ledger.read(reads.failures, record.id), index.states)
    index.load_proposals(proposals)
    trials = ledger.read(reads.trials, record.id, index.loaded_numbers(points, MAX_LOADED, spec.seed))
    rejected = [proposal for proposal in proposals if proposal.reason == OVER_BUDGET][-MAX_LOADED:]
    deferred = [proposal for proposal in proposals if proposal.reason == DEFERRED][-MAX_LOADED:]
    unloaded = index.known_digests() - {digests[trial.number] for trial in trials}
    unloaded -= {proposal.digest for proposal in rejected}
    proposer = Proposer(spec, index, len(points) + len(proposals), unloaded)
    index.set_own_values({n: found.own for n, found in ledger.read(reads.repeats, record.id, confirmed=True).items()})
    pruner = PrunerState(make_pruner(spec.pruner, spec.objectives, spec.seed), spec.objectives)
    state = SearchState(spec, index, proposer, pruner, retries, SeenData(record, ledger))
    if spec.pruner != "none":
        _load_curves(state, spec, record, ledger, [trial for trial in trials if trial.state != "failed"])
    for trial in trials:
        _load_trial(state, trial)
    for proposal in rejected:
        proposer.load_rejected(proposal.choices)
    started = set(digests.values())
    for proposal in deferred:
        proposer.load_rejected(proposal.choices)
        if proposal.digest not in started:
            architecture = spec.architecture(FixedChoices(proposal.choices))
            pruner.add_design(proposal.digest, spec.cost(architecture), proposal.choices)
    return state


def _load_trial(state: SearchState, trial: TrialRecord) -> None:
    if trial.state == "running":
        state.retries.add_interrupted(trial)
    elif trial.state == "complete":
        state.index.add_recipe(trial.digest, trial.choices)
        values = state.index.searched_values(trial.number, trial.measurements)
        state.proposer.load_completed(trial.choices, state.index.row(values))
    elif trial.state == "stopped":
        expected = [float(trial.facts.get(EXPECTED + name, "nan")) for name in state.pruner.unknown]
        state.proposer.load_stopped(trial.choices, expected)
    else:
        state.proposer.load_failed(trial.choices)


def _load_curves(
    state: SearchState, spec: SearchSpec, record: SearchRecord, ledger: Ledger, trials: Iterable[TrialRecord]
) -> None:
    """Give the pruner the learning curves of trials that started under an earlier driver."""
    pruner = state.pruner
    trials = list(trials)
    curves = ledger.read(reads.curves, record.id, {*pruner.unknown, *INDICATORS}, [trial.number for trial in trials])
    for trial in trials:
        if trial.id not in curves:
            continue
        costs = spec.cost(stored_architecture(trial.architecture))
        pruner.start(trial.number, trial.digest, costs, trial.choices)
        pruner.restore(trial.number, curves[trial.id], trial.audit_rung)
        if trial.state != "running":
            pruner.finish(trial.number, trial.state, state.index.searched_values(trial.number, trial.measurements))
