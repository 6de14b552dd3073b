"""Waiting for a database that has gone away: the same work is tried again until it answers, or patience ends.

A commit whose answer was lost may have been made. Work that is tried again is therefore told so (`repeated`), and
writes nothing twice.
"""

import math
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from hybrid_search._internal.event_log import print_notice
from hybrid_search.errors import LedgerAway, LedgerError

T = TypeVar("T")

SECONDS = 300.0  # a writer's
READER_SECONDS = 5.0  # somebody is looking at the screen meanwhile
LEAST, MOST = 0.05, 5.0  # seconds between two tries
SLICE = 0.25  # seconds within which a wait notices that it was given up

# What PostgreSQL says of itself, by SQLSTATE: connection lost, shut down or starting, too many connections, no room,
# transactions that stood in each other's way, and a standby that is not promoted yet.
PASSING = ("08", "57P01", "57P02", "57P03", "53300", "53100", "40001", "40P01", "25006")
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
# SQLite's extended result codes: no room on the disk, and another process that holds the file.
PASSING_SQLITE = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")


class Outage:
    """When the database went away, as all threads of a ledger see it: they wait for one time, and it is told once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.began: float | None = None

    def begin(self) -> bool:
        """Whether this is the first that is seen of it."""
        with self._lock:
            first = self.began is None
            if first:
                self.began = time.monotonic()
        return first

    def lasted(self) -> float:
        """Seconds so far."""
        began = self.began
        return 0.0 if began is None else time.monotonic() - began

    def end(self) -> float | None:
        """Seconds it lasted; None where there was none, or another thread saw its end."""
        with self._lock:
            began, self.began = self.began, None
        return None if began is None else time.monotonic() - began


@dataclass(frozen=True)
class Patience:
    """How long an outage is borne, who is told of its begin and end, and who may say that it is enough."""

    seconds: float = SECONDS
    notice: Callable[[str], None] = print_notice
    given_up: Callable[[], bool] = lambda: False
    hide: Callable[[str], str] = str  # strikes secrets out of a driver's message
    outage: Outage = field(default_factory=Outage)

    def wait_for(self, work: Callable[[], T], is_passing: Callable[[Exception], bool], shown: str) -> T:
        """The answer of `work`, which is called again while it raises what passes; else what it raised.

        LedgerAway, in one line, where patience ends first.
        """
        tries = 0
        began: float | None = None
        while True:
            try:
                answer = work()
            except DBAPIError as error:
                if not is_passing(error):
                    raise
                reason = self.hide(first_line(error))
            else:
                if self.outage.began is not None and (lasted := self.outage.end()) is not None:
                    self.notice(f"{shown} answers again after {lasted:.1f} s")
                return answer
            if self.outage.begin():
                self.notice(f"{shown} does not answer ({reason}); trying again for up to {self.seconds:g} s")
            # What others can do meanwhile, such as a smaller write, ends the outage and not this wait.
            began = began or time.monotonic()
            lasted = max(self.outage.lasted(), time.monotonic() - began)
            if lasted >= self.seconds or self.given_up():
                raise LedgerAway(
                    f"the database must answer; {shown} has not for {lasted:.0f} s: {reason}. What it acknowledged is "
                    "kept, and the same command goes on."
                )
            tries += 1
            self._sleep(min(self.seconds - lasted, MOST, LEAST * 2.0 ** min(tries, 16)) * random.uniform(0.5, 1.0))

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.given_up():
            time.sleep(min(left, SLICE))


def usual_patience(read_only: bool = False) -> Patience:
    """The patience of a ledger: HYBRID_SEARCH_DB_PATIENCE in seconds, where it is set; LedgerError where it is odd."""
    given = os.environ.get("HYBRID_SEARCH_DB_PATIENCE")
    if not given or read_only:
        return Patience(READER_SECONDS if read_only else SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise LedgerError(f"HYBRID_SEARCH_DB_PATIENCE must be a number of seconds from 0 up; got {given!r}.")
    return Patience(seconds)


def patiently(engine: Engine, work: Callable[[Connection], T], patience: Patience, shown: str) -> T:
    """What `work` returns of one transaction, committed; tried again from its begin where the database went away.

    `work` must change nothing but the database, and must bear being repeated: see `repeated`. LedgerError where a file
    turns out to be damaged.
    """
    tries = 0

    def once() -> T:
        nonlocal tries
        tries += 1
        with engine.connect() as connection:
            if tries > 1:
                connection = connection.execution_options(repeated=True)
            with connection.begin():
                return work(connection)

    try:
        return patience.wait_for(once, is_outage, shown)
    except DBAPIError as error:
        if not is_damage(error):
            raise
        raise LedgerError(
            f"a ledger's file must be whole; {shown} is not: {patience.hide(first_line(error))}. hybrid-search db "
            "check says what is left of it; bring back a copy."
        ) from error


def is_damage(error: DBAPIError) -> bool:
    """Whether SQLite found its file spoilt."""
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith(DAMAGED)


def repeated(connection: Connection) -> bool:
    """Whether this work was tried before, so that it may be done already."""
    return bool(connection.get_execution_options().get("repeated"))


def is_outage(error: Exception) -> bool:
    """Whether an error of the database passes when it is waited for."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return bool(name.startswith(PASSING_SQLITE))
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # psycopg knows no state where it got no connection
        return isinstance(error, OperationalError | InterfaceError) and error.orig.__class__.__module__ != "sqlite3"
    return bool(state.startswith(PASSING))


def first_line(error: BaseException) -> str:
    """What a driver says, in one line: SQLAlchemy would add the statement and its parameters."""
    lines = str(getattr(error, "orig", None) or error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
