"""SQLite: a file beside the results, one writer at a time, readers that take no lock."""

import os
import random
import sqlite3
import time
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
    path = os.path.abspath(path)  # wherever this process goes meanwhile
    if read_only:
        if not Path(path).exists():
            raise LedgerError(
                f"--db must name a ledger that exists; got {url.database}, which does not. Start a search first."
            )
        uri = f"file:{quote(Path(path).resolve().as_posix())}?mode=ro"
        # Readers write where they read, into a file beside the log; not where nobody can write, and nobody does.
        if not os.access(Path(path).parent, os.W_OK) and not Path(f"{path}-wal").exists():
            uri += "&immutable=1"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False),
            poolclass=QueuePool,  # a URL without a path would get a pool that closes other threads' connections
        )
    else:
        Path(path).parent.mkdir(exist_ok=True)  # one folder, such as results/; a longer missing path is a typing error
        engine = create_engine(url.set(database=path), connect_args={"timeout": BUSY_SECONDS})

    opened: list[tuple[int, int]] = []  # which file it is, once it was opened

    def same_file() -> None:
        """LedgerError where the file went away under those who write it: what they wrote would go with it."""
        try:
            gone = bool(opened) and _identity(path) != opened[0]
        except OSError:  # what cannot be asked now SQLite will say, and it may pass
            gone = False
        if gone:
            raise LedgerError(
                f"a ledger's file must stay where it is while a search writes it; {path} was moved, removed or "
                "replaced. Nothing more was written. Bring it back, and the same command goes on."
            )

    if not read_only:
        event.listen(engine, "do_connect", lambda *_: same_file())  # which would make an empty file

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        if not read_only:
            if not opened:
                opened.append(_identity(path))
            _keep_a_log(connection)
            connection.execute("PRAGMA synchronous=FULL")  # a committed trial survives a power cut
            connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer takes its lock at once: upgrading a reader's lock later fails instead of waiting.
        if not read_only:
            same_file()
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _identity(path: str) -> tuple[int, int]:
    """Which file lies there, whatever its name; (0, 0) where there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Have the file written by a log, so that readers take no lock. While others do the same to a new file SQLite does
    not wait for them by itself."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.01, 0.05))


NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs", "afs")


def network_file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
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
