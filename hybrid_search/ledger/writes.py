"""Every write of the ledger, as a function of a `Transaction`: `ledger.write(writes.set_target, search.id, 100)`.

Each write checks the lease of its search first. A write that is retried after a lost acknowledgement stores nothing
twice.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, delete, func, insert, select, update

from hybrid_search._internal.redaction import redact
from hybrid_search.errors import LedgerError
from hybrid_search.ledger.entries import Proposal, SplitUse
from hybrid_search.ledger.leases import database_time, require_search_lease, require_trial_lease
from hybrid_search.ledger.registered_objects import with_objects
from hybrid_search.ledger.tables import (
    FailureRow,
    MeasurementRow,
    OpeningRow,
    ProposalRow,
    RungRow,
    SearchRow,
    TrialRow,
)
from hybrid_search.ledger.transaction import Transaction
from hybrid_search.objectives import to_json
from hybrid_search.records import SearchRecord, Settings, State

__all__ = [
    "add_failed_retraining",
    "add_measurements",
    "add_opening",
    "add_proposal",
    "add_rung",
    "create_search",
    "fail_attempt",
    "finish_trial",
    "set_audit_rung",
    "set_target",
    "set_weights",
    "start_trial",
]

# -- searches --


def create_search(
    transaction: Transaction, search: SearchRecord, uid: str, objects: Mapping[str, str] | None = None
) -> None:
    """Write a new search; see `Ledger.create_search`.

    Args:
        transaction: The write transaction.
        search: The record to write; its `id`, `uid` and `created` are ignored.
        uid: Identifies the search in every database; the same in every retry.
        objects: The registered objects that it uses; see `registered_objects`.

    Raises:
        LedgerError: The name is taken.
    """
    connection = transaction.connection
    stored_uid = connection.execute(select(SearchRow.uid).where(SearchRow.name == search.name)).scalar_one_or_none()
    if stored_uid == uid:
        return  # the earlier try was committed
    if stored_uid is not None:
        raise LedgerError(f"a new search needs a new name; got {search.name!r}, which is taken. Choose another name.")
    values = {
        "name": search.name,
        "space": dict(search.space),
        "objectives": to_json(search.objectives, search.own_objectives),
        "settings": with_objects(search.settings.to_dict(), objects or {}),
        "sampler": search.sampler,
        "seed": search.seed,
        "target": search.target,
        "max_flops": search.max_flops,
        "max_params": search.max_params,
        "input_size": list(search.input_size),
        "classes": search.classes,
        "evaluation": search.evaluation,
        "pruner": search.pruner,
        "tuned": list(search.tuned),
        "warm_start": search.known_designs,
        "uid": uid,
        "created": transaction.requested,
    }
    connection.execute(insert(SearchRow), values)


def set_target(transaction: Transaction, search_id: int, target: int) -> None:
    """Set the total number of trials of a search."""
    require_search_lease(transaction, search_id)
    transaction.connection.execute(update(SearchRow).where(SearchRow.id == search_id).values(target=target))


# -- trials --


def start_trial(
    transaction: Transaction,
    search_id: int,
    number: int,
    *,
    digest: str,
    architecture: Mapping[str, Any],
    choices: Mapping[str, Any],
    settings: Settings,
    worker: str = "",
) -> int:
    """Write a trial that starts now. Writing the same trial again changes nothing.

    Args:
        transaction: The write transaction.
        search_id: Row id of the search.
        number: Number of the trial in its search, from 0.
        digest: Digest of the architecture.
        architecture: The architecture as plain JSON.
        choices: Parameter name -> value in the search space.
        settings: Training settings of this trial.
        worker: Name of the worker, if known.

    Returns:
        Row id of the trial.

    Raises:
        LedgerError: Another architecture has this number.
        LostLease: Another process holds the lease of the search.
    """
    connection = transaction.connection
    require_search_lease(transaction, search_id)
    same_number = (TrialRow.search_id == search_id, TrialRow.number == number)
    found = connection.execute(select(TrialRow.id, TrialRow.digest, TrialRow.state).where(*same_number)).first()
    if found is not None:
        if (found.digest, found.state) == (digest, "running"):
            return int(found.id)
        raise LedgerError(f"a trial needs a new number; got {number}, which belongs to architecture {found.digest}.")
    values = {
        "search_id": search_id,
        "number": number,
        "state": "running",
        "digest": digest,
        "architecture": dict(architecture),
        "choices": dict(choices),
        "settings": settings.to_dict(),
        "seed": settings.seed,
        "attempt": 1,
        "rung": 0,
        "started": datetime.now(UTC),
        "changed": _next_change(connection),
        "worker": worker,
        "facts": {},
        "driver": transaction.held_leases.get(search_id),
        "expires": _trial_lease_end(transaction),
    }
    return int(connection.execute(insert(TrialRow).values(values).returning(TrialRow.id)).scalar_one())


def add_rung(
    transaction: Transaction,
    trial_id: int,
    rung: int,
    measurements: Mapping[str, float],
    facts: Mapping[str, str] | None = None,
    *,
    attempt: int | None = None,
) -> None:
    """Write one point of a learning curve, and extend the lease of the trial.

    Points at the same and later rungs, from an earlier attempt, are removed.

    Args:
        transaction: The write transaction.
        trial_id: Row id of the trial.
        rung: Number of completed epochs.
        measurements: Measurement by name.
        facts: Device, versions, commit, data fingerprint, worker.
        attempt: Number of the attempt that reports; None skips the check.

    Raises:
        LedgerError: The trial has ended.
        LostLease: Another process or attempt holds the trial.
    """
    connection = transaction.connection
    row = require_trial_lease(transaction, trial_id, attempt)
    if row.state != "running":
        raise LedgerError(f"only a running trial can report a rung; trial row {trial_id} is {row.state}.")
    connection.execute(delete(RungRow).where(RungRow.trial_id == trial_id, RungRow.rung >= rung))
    rows = [{"trial_id": trial_id, "rung": rung, "name": k, "value": float(v)} for k, v in measurements.items()]
    if rows:
        connection.execute(insert(RungRow), rows)
    values: dict[Any, Any] = {"rung": rung, "expires": _trial_lease_end(transaction)}
    values[TrialRow.audit_rung] = case((TrialRow.audit_rung >= rung, None), else_=TrialRow.audit_rung)
    if facts:
        stored = {name: _without_secrets(value) for name, value in facts.items()}
        values |= {"facts": stored, "worker": stored.get("worker", "")}
    _update_trial(connection, trial_id, values)


def fail_attempt(transaction: Transaction, trial_id: int, attempt: int, kind: str, text: str) -> int:
    """Write a failed attempt at a running trial, and start the next attempt.

    The learning curve stays. If the next attempt resumes from a checkpoint, it adds to the curve.

    Args:
        transaction: The write transaction.
        trial_id: Row id of the trial.
        attempt: Number of the failed attempt.
        kind: Failure kind, such as `oom`.
        text: Error message; secrets are removed.

    Returns:
        Number of the next attempt.

    Raises:
        LedgerError: The trial has ended.
        LostLease: Another process or attempt holds the trial.
    """
    connection = transaction.connection
    stored = select(FailureRow.kind).where(FailureRow.trial_id == trial_id, FailureRow.attempt == attempt)
    if transaction.is_retry and connection.execute(stored).scalar_one_or_none() is not None:
        return attempt + 1  # the earlier try was committed
    row = require_trial_lease(transaction, trial_id, attempt)
    if row.state != "running":
        raise LedgerError(f"only a running trial can be retried; trial row {trial_id} is {row.state}.")
    _insert_failure(connection, trial_id, row, kind, _without_secrets(text))
    values = {
        "attempt": attempt + 1,
        "rung": 0,
        "started": datetime.now(UTC),
        "worker": "",
        "driver": transaction.held_leases.get(row.search_id),
        "expires": _trial_lease_end(transaction),
    }
    _update_trial(connection, trial_id, values)
    return attempt + 1


def finish_trial(
    transaction: Transaction,
    trial_id: int,
    state: State,
    measurements: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    failure_kind: str | None = None,
    failure_text: str | None = None,
    facts: Mapping[str, str] | None = None,
    attempt: int | None = None,
) -> None:
    """Write the end of a trial. Writing the same end of the same attempt again changes nothing.

    Args:
        transaction: The write transaction.
        trial_id: Row id of the trial.
        state: Final state: complete, stopped or failed.
        measurements: Final measurement by name.
        seed: Seed of the measurements.
        failure_kind: Failure kind of a failed trial.
        failure_text: Error message of a failed trial; secrets are removed.
        facts: Facts to add to those of the trial.
        attempt: Number of the attempt that ends; None skips the check.

    Raises:
        LedgerError: The trial has ended before.
        LostLease: Another process or attempt holds the trial.
    """
    connection = transaction.connection
    row = require_trial_lease(transaction, trial_id, attempt)
    if row.state == state and (attempt is not None or transaction.is_retry):
        return  # the earlier try was committed
    if row.state != "running":
        raise LedgerError(f"only a running trial can end; trial row {trial_id} is {row.state}.")
    text = None if failure_text is None else _without_secrets(failure_text)
    values: dict[str, Any] = {
        "state": state,
        "finished": datetime.now(UTC),
        "failure_kind": failure_kind,
        "failure_text": text,
        "driver": None,
        "expires": None,
    }
    if facts:
        stored = connection.execute(select(TrialRow.facts).where(TrialRow.id == trial_id)).scalar_one()
        values["facts"] = {**stored, **facts}
    _update_trial(connection, trial_id, values)
    if state == "failed":
        _insert_failure(connection, trial_id, row, failure_kind or "bug", text or "")
    if rows := _measurement_rows(trial_id, seed, measurements or {}):
        connection.execute(insert(MeasurementRow), rows)


def set_audit_rung(transaction: Transaction, trial_id: int, rung: int) -> None:
    """Write that the pruner would have stopped a running trial after this rung; the audit lets it continue."""
    require_trial_lease(transaction, trial_id)
    _update_trial(transaction.connection, trial_id, {TrialRow.audit_rung: rung})


def set_weights(transaction: Transaction, trial_id: int, weights: str | None) -> None:
    """Write the name and checksum of a trial's weights file; None if the file was removed."""
    require_trial_lease(transaction, trial_id)
    _update_trial(transaction.connection, trial_id, {"weights": weights})


# -- confirmation with more seeds --


def add_measurements(transaction: Transaction, trial_id: int, seed: int, measurements: Mapping[str, float]) -> None:
    """Write the final measurements of a completed trial under another seed; replace those of the same seed."""
    connection = transaction.connection
    require_trial_lease(transaction, trial_id)
    same_seed = (MeasurementRow.trial_id == trial_id, MeasurementRow.seed == seed)
    connection.execute(delete(MeasurementRow).where(*same_seed))
    connection.execute(insert(MeasurementRow), _measurement_rows(trial_id, seed, measurements))
    _update_trial(connection, trial_id, {})


def add_failed_retraining(transaction: Transaction, trial_id: int, seed: int, kind: str, text: str) -> None:
    """Write that the training of a completed trial under another seed failed; the trial does not change."""
    connection = transaction.connection
    row = require_trial_lease(transaction, trial_id)
    this = (FailureRow.trial_id == trial_id, FailureRow.seed == seed, FailureRow.failed == transaction.requested)
    if transaction.is_retry and connection.execute(select(FailureRow.attempt).where(*this)).first():
        return  # the earlier try was committed
    last = connection.execute(select(func.max(FailureRow.attempt)).where(FailureRow.trial_id == trial_id)).scalar_one()
    values = {
        "trial_id": trial_id,
        "attempt": max(row.attempt, last or 0) + 1,
        "rung": 0,
        "worker": "",
        "seed": seed,
        "kind": kind,
        "text": _without_secrets(text),
        "failed": transaction.requested,
    }
    connection.execute(insert(FailureRow).values(values))
    _update_trial(connection, trial_id, {})


# -- proposals, use of the test split --


def add_proposal(transaction: Transaction, search_id: int, proposal: Proposal) -> None:
    """Write a proposal that was not trained."""
    connection = transaction.connection
    require_search_lease(transaction, search_id)
    this = (ProposalRow.search_id == search_id, ProposalRow.created == transaction.requested)
    if transaction.is_retry and connection.execute(select(ProposalRow.id).where(*this)).first():
        return  # the earlier try was committed
    values: dict[Any, Any] = {
        "search_id": search_id,
        "reason": proposal.reason,
        "digest": proposal.digest,
        "choices": dict(proposal.choices),
        ProposalRow.budget_excess: proposal.budget_excess,
        "created": transaction.requested,
    }
    connection.execute(insert(ProposalRow).values(values))


def add_opening(transaction: Transaction, search_id: int, opening: SplitUse) -> None:
    """Write that the test split is used, before a network is evaluated on it."""
    connection = transaction.connection
    require_search_lease(transaction, search_id)
    this = (OpeningRow.search_id == search_id, OpeningRow.opened == transaction.requested)
    if transaction.is_retry and connection.execute(select(OpeningRow.id).where(*this)).first():
        return  # the earlier try was committed
    values = {**opening._asdict(), "opened": transaction.requested}
    connection.execute(insert(OpeningRow), {"search_id": search_id, **values})


def _update_trial(connection: Connection, trial_id: int, values: Mapping[Any, Any]) -> None:
    """Change columns of a trial, and increase its change counter for readers that follow the search."""
    changed = update(TrialRow).where(TrialRow.id == trial_id).values({"changed": _next_change(connection), **values})
    connection.execute(changed)


def _next_change(connection: Connection) -> int:
    """Return the next change counter. The lock on the search's row serialises the writers of a search."""
    return int(connection.execute(select(func.coalesce(func.max(TrialRow.changed), 0))).scalar_one()) + 1


def _trial_lease_end(transaction: Transaction) -> datetime:
    return database_time(transaction.connection) + timedelta(seconds=transaction.lease_seconds)


def _insert_failure(connection: Connection, trial_id: int, row: Row[Any], kind: str, text: str) -> None:
    values = {"kind": kind, "text": text, "rung": row.rung, "worker": row.worker, "failed": datetime.now(UTC)}
    connection.execute(insert(FailureRow).values(trial_id=trial_id, attempt=row.attempt, **values))


def _measurement_rows(trial_id: int, seed: int, measurements: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"trial_id": trial_id, "name": k, "seed": seed, "value": float(v)} for k, v in measurements.items()]


def _without_secrets(text: str) -> str:
    """Remove secrets, and replace NUL and lone surrogates, which no database stores."""
    return redact(text.replace("\0", "\N{REPLACEMENT CHARACTER}")).encode("utf-8", "replace").decode()
