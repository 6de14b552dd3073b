"""SQLite: a file beside the results, one writer at a time, readers that take no lock."""

import os
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, QueuePool, create_engine, event
from sqlalchemy.engine import URL

from hybrid_search.errors import LedgerError

BUSY_SECONDS = 30.0  # how long a connection waits for another writer


def sqlite_engine(url: URL, read_only: bool) -> Engine:
    """An engine over the file; one folder for it is made, and nothing where it is read-only."""
    path = url.database
    if not path or path == ":memory:":
        raise LedgerError("--db must name a file: a ledger in memory would be lost; got sqlite without a path.")
    if read_only:
        if not Path(path).exists():
            raise LedgerError(f"--db must name a ledger that exists; got {path}, which does not. Start a search first.")
        uri = f"file:{quote(Path(path).resolve().as_posix())}?mode=ro"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False),
            poolclass=QueuePool,  # a URL without a path would get a pool that closes other threads' connections
        )
    else:
        Path(path).parent.mkdir(exist_ok=True)  # one folder, such as results/; a longer missing path is a typing error
        engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")  # a committed trial survives a power cut
            connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes its lock at once: upgrading a reader's lock later fails instead of waiting.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "afs")


def network_of(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The kind of network file system that a path lies on; None where it lies on none, or that cannot be told."""
    found: tuple[int, str] = (0, "")
    with suppress(OSError):
        where = path.resolve()
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            _, folder, kind, *_ = line.split(" ")
            folder = folder.replace("\\040", " ")
            if where.is_relative_to(folder):
                found = max(found, (len(folder), kind))
    return found[1] if found[1] in NETWORK else None


def backup(path: Path, revision: str) -> Path:
    """A whole copy of the ledger's file beside it, named with its revision and the time; written, then renamed.

    A folder that cannot hold it raises LedgerError, and nothing of the copy is left.
    """
    made = path.with_name(f"{path.name}.{revision}.{datetime.now(UTC):%Y%m%dT%H%M%S}.backup")
    half = made.with_name(f"{made.name}.part")
    try:
        source = sqlite3.connect(f"file:{quote(path.resolve().as_posix())}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        target = sqlite3.connect(half)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, not three
        finally:
            source.close()
            target.close()
        with half.open("rb") as file:
            os.fsync(file.fileno())
        half.replace(made)
    except (sqlite3.Error, OSError) as error:
        half.unlink(missing_ok=True)
        raise LedgerError(
            f"an older ledger is copied before it is changed; {made} cannot be written: {error}."
        ) from None
    return made
