"""SQLite: one file, one writer at a time, readers without locks (write-ahead log)."""

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
SYNCHRONOUS = "FULL"  # a committed trial survives a power failure


def sqlite_engine(url: URL, read_only: bool) -> Engine:
    """Return an engine for a SQLite file.

    Args:
        url: URL with the path of the file.
        read_only: Create nothing. Otherwise the file and its folder (one level) are created.

    Returns:
        The engine.

    Raises:
        LedgerError: The URL has no path, or `read_only` and the file does not exist.
    """
    path = url.database
    if not path or path == ":memory:":
        raise LedgerError(
            "the database URL must name a file, because a ledger in memory is lost; got a sqlite URL without a path."
        )
    path = os.path.abspath(path)  # the working directory may change
    if read_only:
        if not Path(path).exists():
            raise LedgerError(f"ledger {url.database} does not exist. Start a search first: hybrid-search run")
        uri = f"file:{quote(Path(path).resolve().as_posix())}?mode=ro"
        # A reader writes an index of the log next to the file. In a folder without write access there is no log either.
        if not os.access(Path(path).parent, os.W_OK) and not Path(f"{path}-wal").exists():
            uri += "&immutable=1"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False),
            poolclass=QueuePool,  # without a path SQLAlchemy selects a pool that is not safe for threads
        )
    else:
        Path(path).parent.mkdir(
            exist_ok=True
        )  # one level, such as results/; a longer missing path is probably a typing error
        engine = create_engine(url.set(database=path), connect_args={"timeout": BUSY_SECONDS})

    opened: list[tuple[int, int]] = []  # device and inode of the file, once it is open

    def check_same_file() -> None:
        """Raise LedgerError if the file was moved, removed or replaced, because further writes would be lost."""
        try:
            replaced = bool(opened) and _device_and_inode(path) != opened[0]
        except OSError:  # perhaps temporary; SQLite reports an error that lasts
            replaced = False
        if replaced:
            raise LedgerError(
                f"a ledger's file must stay in place while a search runs; {path} was moved, removed or replaced. "
                "Nothing more was written. Move it back and run the same command to continue."
            )

    if not read_only:
        event.listen(engine, "do_connect", lambda *_: check_same_file())  # SQLite would create an empty file

    @event.listens_for(engine, "connect")
    def pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not implicitly
        if not read_only:
            if not opened:
                opened.append(_device_and_inode(path))
            _enable_write_ahead_log(connection)
            connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
            connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # A writer locks at once: upgrading a read lock later fails instead of waiting.
        if not read_only:
            check_same_file()
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _device_and_inode(path: str) -> tuple[int, int]:
    """Return device and inode of a file; (0, 0) if it does not exist."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_dev, found.st_ino


def _enable_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging, so that readers take no lock.

    SQLite does not wait for other processes that do the same with a new file, so this function retries.
    """
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
    """Return the kind of network file system of a path; None if it is local or unknown."""
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
    """Back up a ledger's file next to it; the backup appears complete or not at all.

    Args:
        path: Path of the file.
        revision: Schema revision, which becomes part of the name.

    Returns:
        Path of the backup.

    Raises:
        LedgerError: The backup cannot be written.
    """
    target_path = path.with_name(f"{path.name}.{revision}.{datetime.now(UTC):%Y%m%dT%H%M%S}.backup")
    part = target_path.with_name(f"{target_path.name}.part")
    try:
        source = sqlite3.connect(f"file:{quote(path.resolve().as_posix())}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        target = sqlite3.connect(part)
        try:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file, not three
        finally:
            source.close()
            target.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target_path)
    except (sqlite3.Error, OSError) as error:
        part.unlink(missing_ok=True)
        raise LedgerError(
            f"an older ledger is backed up before an upgrade; {target_path} cannot be written: {error}."
        ) from None
    return target_path
