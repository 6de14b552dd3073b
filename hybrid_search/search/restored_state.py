"""The state of a search, restored from the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass

from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.pruners import INDICATORS, PrunerState, make_pruner
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.search.index import DEFERRED, OVER_BUDGET, TrialIndex
from hybrid_search.search.proposer import Proposer
from hybrid_search.search.retries import Retries
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.choosers import FixedChoices

# Of a longer search the sampler learns from this many trials, because more would take it minutes.
MAX_LOADED = 2000
EXPECTED = "expected "  # prefix of the facts of a stopped trial that give its expected final values


@dataclass(frozen=True)
class State:
    """The state of a search in memory: its trials, its sampler, its pruner, its failed attempts and its data."""

    index: TrialIndex
    proposer: Proposer
    pruner: PrunerState
    retries: Retries
    fingerprint: str | None  # of the data that its trials saw


def load_state(spec: SearchSpec, record: SearchRecord, ledger: Ledger, *, clean_shutdown: bool = False) -> State:
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
    state = State(index, proposer, pruner, retries, ledger.read(reads.fact, record.id, "fingerprint"))
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


def _load_trial(state: State, trial: TrialRecord) -> None:
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
    state: State, spec: SearchSpec, record: SearchRecord, ledger: Ledger, trials: Iterable[TrialRecord]
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
