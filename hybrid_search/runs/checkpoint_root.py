"""Choose where a search writes its checkpoints, and remove those of ended trials. The driver does both."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hybrid_search.errors import CheckpointError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.urls import database_url
from hybrid_search.records import SearchRecord
from hybrid_search.training.checkpoints import CheckpointStore, SearchCheckpoints, check_writable

NONE = "none"
# Printed if no place is given, and no folder is known that all workers can reach.
NO_CHECKPOINTS = (
    "no checkpoints: an interrupted trial starts again; checkpoints (--checkpoints) names a folder or URL that all "
    "workers can reach"
)


def checkpoint_root(
    given: str | Path | CheckpointStore | None, ledger: Ledger | str | Path | None, engine: object, address: str | None
) -> str | CheckpointStore | None:
    """Return the place of the checkpoints as workers get it; None if there are to be none.

    Args:
        given: A folder, a URL, a checkpoint store, or "none". None: `<database file>.checkpoints` beside an SQLite
            database. With another database, or on an existing cluster, there are no checkpoints then: its machines may
            not reach that folder.
        ledger: The ledger, or its URL.
        engine: The engine of the run.
        address: The address of the cluster.

    Returns:
        The place; None for no checkpoints.

    Raises:
        SettingsError: The place cannot be written. No file is left there.
    """
    if given is None:
        url = ledger.url if isinstance(ledger, Ledger) else database_url(ledger)
        cluster = engine != "local" and (address or os.environ.get("RAY_ADDRESS"))
        if url.get_backend_name() != "sqlite" or not url.database or cluster:
            return None
        given = f"{url.database}.checkpoints"
        if not Path(url.database).exists():
            return str(Path(given).resolve())  # creating the database shows whether the folder can be written
    if isinstance(given, Path):
        return check_writable(str(given))
    return None if given == NONE else check_writable(given)


@contextmanager
def search_checkpoints(
    root: str | CheckpointStore | None, record: SearchRecord, ledger: Ledger
) -> Iterator[SearchCheckpoints | None]:
    """Provide the checkpoints of a search inside the `with` block. Those of ended trials are removed first.

    Args:
        root: The place, as `checkpoint_root` returns it.
        record: The search.
        ledger: Its ledger.

    Yields:
        The checkpoints; None if `root` is None.
    """
    if root is None:
        yield None
        return
    checkpoints = SearchCheckpoints(root, record.uid)
    checkpoints.create_root()
    with suppress(CheckpointError):  # remaining files do no harm
        for number, seed in _finished(checkpoints.trials(), record, ledger):
            checkpoints.drop(number, seed)
    try:
        yield checkpoints
    finally:
        checkpoints.remove_empty_folder()


@contextmanager
def baseline_checkpoints(
    root: str | CheckpointStore | None, record: SearchRecord
) -> Iterator[SearchCheckpoints | None]:
    """Provide the checkpoints of the baselines of a search inside the `with` block.

    Args:
        root: The place, as `checkpoint_root` returns it.
        record: The search.

    Yields:
        The checkpoints; None if `root` is None.
    """
    if root is None:
        yield None
        return
    checkpoints = SearchCheckpoints(root, baseline_key(record))
    checkpoints.create_root()
    try:
        yield checkpoints
    finally:
        checkpoints.remove_empty_folder()


def baseline_key(record: SearchRecord) -> str:
    """Return the key of the checkpoints of the baselines of a search."""
    return f"{record.uid}-baselines"


def _finished(stored: set[tuple[int, int]], record: SearchRecord, ledger: Ledger) -> Iterator[tuple[int, int]]:
    """Yield those (trial number, seed) of checkpoints that no trial needs any more.

    A retraining is in the ledger only when it is complete. Until then it may be resumed.
    """
    if not stored:
        return
    rows = ledger.read(reads.trials, record.id, {number for number, _ in stored})
    trials = {trial.number: trial for trial in rows}
    retrained = {(number, seed) for number, seed in stored if number in trials and seed != trials[number].seed}
    repeats = ledger.read(reads.repeats, record.id, confirmed=True) if retrained else {}
    for number, seed in stored - retrained:
        if number not in trials or trials[number].state != "running":
            yield number, seed
    for number, seed in retrained:
        if number in repeats and seed in repeats[number].fresh:
            yield number, seed
