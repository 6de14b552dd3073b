"""Where a search keeps its checkpoints, and when they go: the driver's side of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hybrid_search.errors import CheckpointError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.urls import database_url
from hybrid_search.records import SearchRecord
from hybrid_search.training.checkpoints import Checkpoints, check_writable

NONE = "none"
# What is said where nothing was asked for, and there is no folder that all workers are known to see.
UNKEPT = "no checkpoints: trials that are cut off start again; --checkpoints names a folder or URL that all workers see"


def root_of(given: str | None, ledger: Ledger | str | None, engine: str, address: str | None) -> str | None:
    """The root of checkpoints as workers are given it; None where there are to be none.

    None given: `<database file>.checkpoints` beside a database of SQLite; nothing for one on a server, and nothing on
    a cluster that was there before, whose machines may not see that folder. "none": nothing. Raises SettingsError where
    it cannot be written; nothing is left behind.
    """
    if given is None:
        url = ledger.url if isinstance(ledger, Ledger) else database_url(ledger)
        joined = engine != "local" and (address or os.environ.get("RAY_ADDRESS"))
        if url.get_backend_name() != "sqlite" or not url.database or joined:
            return None
        given = f"{url.database}.checkpoints"
        if not Path(url.database).exists():
            return str(Path(given).resolve())  # the database that is made beside it is the better witness
    return None if given == NONE else check_writable(given)


@contextmanager
def checkpoints_of(root: str | None, record: SearchRecord, ledger: Ledger) -> Iterator[Checkpoints | None]:
    """The checkpoints of a search for as long as it is driven. Those of trials that have ended are removed first."""
    if root is None:
        yield None
        return
    kept = Checkpoints(root, record.uid)
    kept.begin()
    with suppress(CheckpointError):  # a leftover does no harm
        for number, seed in _over(kept.held(), record, ledger):
            kept.drop(number, seed)
    try:
        yield kept
    finally:
        kept.end()


def _over(held: set[tuple[int, int]], record: SearchRecord, ledger: Ledger) -> Iterator[tuple[int, int]]:
    """Those of these (trial number, seed) whose numbers the ledger holds, or that have ended in another way.

    A retraining leaves a trace in the ledger only when it is done: until then it may be gone on with.
    """
    trials = (
        {trial.number: trial for trial in ledger.read(reads.trials, record.id, {number for number, _ in held})}
        if held
        else {}
    )
    retrained = {(number, seed) for number, seed in held if number in trials and seed != trials[number].seed}
    repeats = ledger.read(reads.repeats, record.id, confirmed=True) if retrained else {}
    for number, seed in held - retrained:
        if number not in trials or trials[number].state != "running":
            yield number, seed
    for number, seed in retrained:
        if number in repeats and seed in repeats[number].fresh:
            yield number, seed
