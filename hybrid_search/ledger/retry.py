"""Retry a transaction while the database does not answer.

A commit may succeed although its acknowledgement is lost. Work that is retried is therefore called with `is_retry`,
and it stores nothing twice.
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
from hybrid_search._internal.number_text import read_number
from hybrid_search._internal.redaction import redact
from hybrid_search.errors import LedgerAway, LedgerError

T = TypeVar("T")

VARIABLE = "HYBRID_SEARCH_DB_RETRY_SECONDS"
RETRY_SECONDS = 300.0  # default retry limit of a ledger that writes
READER_RETRY_SECONDS = 5.0  # of a read-only ledger: a person waits for the answer
MIN_DELAY, MAX_DELAY = 0.05, 5.0  # seconds between two tries: exponential backoff with jitter
CANCEL_CHECK_SECONDS = 0.25  # a delay ends within this time after `cancelled` becomes true

# SQLSTATE classes and codes of PostgreSQL: connection lost, shutdown or start, too many connections, disk full,
# serialisation failure, deadlock, and a standby that is not promoted yet.
TRANSIENT_SQLSTATES = ("08", "57P01", "57P02", "57P03", "53300", "53100", "40001", "40P01", "25006")
# Extended result codes of SQLite: disk full, and a file that another process has locked.
TRANSIENT_SQLITE = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE")
DAMAGED_SQLITE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


class Outage:
    """The current outage, shared by all threads of a ledger: they share its start, and it is reported once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.began: float | None = None

    def begin(self) -> bool:
        """Record the start of an outage; return whether this call is the first to report it."""
        with self._lock:
            first = self.began is None
            if first:
                self.began = time.monotonic()
        return first

    def elapsed(self) -> float:
        """Return the seconds since the start of the outage; 0 without an outage."""
        began = self.began
        return 0.0 if began is None else time.monotonic() - began

    def end(self) -> float | None:
        """Record the end of the outage; return its seconds, or None if another thread recorded it."""
        with self._lock:
            began, self.began = self.began, None
        return None if began is None else time.monotonic() - began


@dataclass(frozen=True)
class RetryPolicy:
    """The retry limit of a ledger during an outage.

    Attributes:
        seconds: Retry limit.
        notice: Called with one line when an outage begins and one when it ends.
        cancelled: Whether to stop retrying before the limit.
        redact: Removes secrets from an error message of the database driver.
        outage: The current outage.
    """

    seconds: float = RETRY_SECONDS
    notice: Callable[[str], None] = print_notice
    cancelled: Callable[[], bool] = lambda: False
    redact: Callable[[str], str] = str
    outage: Outage = field(default_factory=Outage)

    def call(self, work: Callable[[], T], is_transient: Callable[[Exception], bool], display_url: str) -> T:
        """Call `work` again while it raises a transient database error.

        Args:
            work: The function to call.
            is_transient: Whether an error may disappear by itself.
            display_url: The database, as messages name it.

        Returns:
            The return value of `work`.

        Raises:
            LedgerAway: The retry limit was reached, or the retries were cancelled.
        """
        tries = 0
        began: float | None = None
        while True:
            try:
                result = work()
            except DBAPIError as error:
                if not is_transient(error):
                    raise
                reason = self.redact(first_line(error))
            else:
                if self.outage.began is not None and (elapsed := self.outage.end()) is not None:
                    self.notice(f"database {display_url} answers again after {elapsed:.1f} s")
                return result
            if self.outage.begin():
                self.notice(
                    f"database {display_url} does not answer ({reason}). Committed results are safe; retrying for up "
                    f"to {self.seconds:g} s"
                )
            # Another thread's success, such as a smaller write, ends the shared outage but not this wait.
            began = began or time.monotonic()
            elapsed = max(self.outage.elapsed(), time.monotonic() - began)
            if elapsed >= self.seconds or self.cancelled():
                raise LedgerAway(
                    f"database {display_url} did not answer for {elapsed:.0f} s ({reason}). All committed results are "
                    "safe. Run the same command to continue."
                )
            tries += 1
            backoff = MIN_DELAY * 2.0 ** min(tries, 16)
            self._sleep(min(self.seconds - elapsed, MAX_DELAY, backoff) * random.uniform(0.5, 1.0))

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.cancelled():
            time.sleep(min(left, CANCEL_CHECK_SECONDS))


def default_retry_policy(read_only: bool = False) -> RetryPolicy:
    """Return the retry policy of a ledger.

    Args:
        read_only: Whether the ledger is opened read-only. Its limit is 5 s.

    Returns:
        The policy. The environment variable HYBRID_SEARCH_DB_RETRY_SECONDS sets the limit of a ledger that writes.

    Raises:
        LedgerError: The variable is not a number of seconds.
    """
    if read_only:
        return RetryPolicy(READER_RETRY_SECONDS)
    text = os.environ.get(VARIABLE)
    if not text:
        return RetryPolicy()
    seconds = read_number(text)
    if seconds is None or not 0 <= seconds < math.inf:
        raise LedgerError(f"{VARIABLE} must be a number of seconds from 0 up; got {text!r}.")
    return RetryPolicy(float(seconds))


def run_transaction(engine: Engine, work: Callable[[Connection, bool], T], policy: RetryPolicy, display_url: str) -> T:
    """Run `work` in one transaction, commit it, and retry it from the start after a transient error.

    Args:
        engine: The SQLAlchemy engine of the database.
        work: Called with an open connection and whether this is a retry. It must change nothing but the database.
        policy: How long to retry.
        display_url: The database, as messages name it.

    Returns:
        The return value of `work`.

    Raises:
        LedgerAway: The retry limit was reached.
        LedgerError: The database file is damaged.
    """
    tries = 0

    def run_once() -> T:
        nonlocal tries
        tries += 1
        with engine.connect() as connection, connection.begin():
            return work(connection, tries > 1)

    try:
        return policy.call(run_once, is_outage, display_url)
    except DBAPIError as error:
        if not is_damage(error):
            raise
        raise LedgerError(
            f"database {display_url} is damaged ({policy.redact(first_line(error))}). Nothing was written. Run "
            "`hybrid-search db check` to see what is readable, then restore a backup."
        ) from error


def is_damage(error: DBAPIError) -> bool:
    """Return whether SQLite reports a damaged file."""
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith(DAMAGED_SQLITE)


def is_outage(error: Exception) -> bool:
    """Return whether an error of the database is transient: a retry may succeed."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return bool(name.startswith(TRANSIENT_SQLITE))
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # psycopg has no SQLSTATE if it got no connection
        return isinstance(error, OperationalError | InterfaceError) and error.orig.__class__.__module__ != "sqlite3"
    return bool(state.startswith(TRANSIENT_SQLSTATES))


def first_line(error: BaseException) -> str:
    """Return the first line of a database driver's message, without SQLAlchemy's statement and parameters."""
    lines = redact(str(getattr(error, "orig", None) or error)).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
