"""Delete or rename a stored search: rows, weights and checkpoints. A search that is being run is refused."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hybrid_search._internal.search_names import search_name
from hybrid_search.errors import LedgerError
from hybrid_search.ledger import LEASE_SECONDS, Lease, Ledger
from hybrid_search.ledger.leases import host_and_pid
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.ledger.removal import delete_search, rename_search
from hybrid_search.ledger.trainings import weights_of_trainings
from hybrid_search.ledger.urls import path_beside
from hybrid_search.ledger.weights import TRAININGS, WeightsFolder
from hybrid_search.records import SearchRecord
from hybrid_search.runs.checkpoint_root import NONE, baseline_key
from hybrid_search.runs.training_job import training_key
from hybrid_search.training.checkpoints import SearchCheckpoints, check_writable


@dataclass(frozen=True)
class Deleted:
    """The data that was deleted with a search.

    Attributes:
        trials: Number of trials.
        weights: Number of files of weights.
        checkpoints: Number of trainings whose checkpoints were deleted.
        kept: Folders that could not be deleted.
    """

    trials: int
    weights: int
    checkpoints: int
    kept: tuple[Path, ...] = ()


def check_not_running(ledger: Ledger, search: SearchRecord) -> None:
    """Check that no process holds the lease of a search.

    Args:
        ledger: The ledger.
        search: The search.

    Raises:
        LedgerError: A process runs or confirms the search.
    """
    process, lease = ProcessIdentity(), ledger.lease(search.id)
    if lease.holder and not process.has_ended(lease.holder) and (lease.active or _is_alive(process, lease)):
        raise _is_run(search, lease)


def delete(ledger: Ledger, search: SearchRecord, checkpoints: str | None = None) -> Deleted:
    """Delete a search with its trials, weights and checkpoints.

    Args:
        ledger: The ledger.
        search: The search.
        checkpoints: The folder or URL of its checkpoints; None: beside a database file; "none": leave them.

    Returns:
        What was deleted.

    Raises:
        LedgerError: A process runs or confirms the search.
        SettingsError: The place of the checkpoints cannot be written.

    Example:
        >>> delete(ledger, ledger.search("digits"))
    """
    stored = _checkpoints(ledger, search, checkpoints)
    folder = WeightsFolder(ledger.url, search.id).path
    with _leased(ledger, search):
        # Files first: SQLite may give the row id of a deleted search to the next one, which then owns this folder.
        trainings = len(stored.trials()) if stored else 0
        if stored:
            stored.drop_all()
            for key in (baseline_key(search), training_key(search)):
                replace(stored, search=key).drop_all()
        weights = len(list(folder.glob("*.safetensors")))
        full = ledger.read(weights_of_trainings, search.id)
        kept = () if _remove(folder) else (folder,)
        trials = ledger.write(delete_search, search.id)
        for uid in full:
            WeightsFolder(ledger.url, TRAININGS).remove(uid)
    return Deleted(trials, weights + len(full), trainings, kept)


def rename(ledger: Ledger, search: SearchRecord, name: str) -> None:
    """Give a search another name. Its trials, weights and checkpoints stay as they are.

    Args:
        ledger: The ledger.
        search: The search.
        name: The new name.

    Raises:
        SettingsError: No search can have this name.
        LedgerError: Another search has this name, or a process runs or confirms the search.

    Example:
        >>> rename(ledger, ledger.search("digits"), "digits-first")
    """
    name = search_name(name)
    with _leased(ledger, search):
        ledger.write(rename_search, search.id, name)


@contextmanager
def _leased(ledger: Ledger, search: SearchRecord) -> Iterator[None]:
    """Hold the lease of a search while the block runs; after it, release the lease if the search still exists."""
    process = ProcessIdentity()
    other = ledger.acquire_lease(
        search.id, str(process), LEASE_SECONDS, process.has_ended, lambda lease: _is_alive(process, lease)
    )
    if other is not None:
        raise _is_run(search, other)
    try:
        yield
    finally:
        if any(each.id == search.id for each in ledger.searches()):
            ledger.release_lease(search.id)


def _is_alive(process: ProcessIdentity, lease: Lease) -> bool:
    return lease.expires is not None and process.is_alive(lease.holder or "")


def _is_run(search: SearchRecord, lease: Lease) -> LedgerError:
    return LedgerError(
        f"a search that is deleted or renamed must not be running; {search.name!r} is being run by "
        f"{host_and_pid(lease.holder)}. Stop that process first."
    )


def _checkpoints(ledger: Ledger, search: SearchRecord, given: str | None) -> SearchCheckpoints | None:
    """Return the checkpoints of a search; None if there can be none."""
    if given == NONE or not search.uid:
        return None
    if given is not None:
        return SearchCheckpoints(check_writable(given), search.uid)
    beside = path_beside(ledger.url, ".checkpoints")
    return SearchCheckpoints(str(beside.resolve()), search.uid) if beside.is_dir() else None


def _remove(folder: Path) -> bool:
    """Delete a folder without following links; return whether it is gone."""
    try:
        if folder.is_symlink():
            folder.unlink()
        elif folder.exists():
            shutil.rmtree(folder)
    except OSError:
        return False
    return not os.path.lexists(folder)
