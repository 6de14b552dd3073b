"""`Ledger`: opens the results database, runs transactions, and finds or creates searches."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Concatenate, ParamSpec, Self, TypeVar
from uuid import uuid4
from weakref import finalize

from sqlalchemy import Connection

from hybrid_search._internal.event_log import print_notice
from hybrid_search._internal.search_names import can_be_stored
from hybrid_search.errors import UnknownName, nearest
from hybrid_search.ledger import leases, reads, writes
from hybrid_search.ledger.connection import open_engine, retry_policy_for
from hybrid_search.ledger.entries import Lease
from hybrid_search.ledger.process_identity import ProcessIdentity
from hybrid_search.ledger.retry import run_transaction
from hybrid_search.ledger.transaction import Transaction
from hybrid_search.ledger.urls import database_url, display_url, url_without_password
from hybrid_search.records import SearchRecord

LEASE_SECONDS = 30.0  # default length of the lease of a search and of a running trial

P = ParamSpec("P")
T = TypeVar("T")


class Ledger:
    """The results database of every search.

    Each read and each write is one transaction. It is committed before the call returns, and it is retried while the
    database does not answer. The functions in `hybrid_search.ledger.reads` and `hybrid_search.ledger.writes` do the
    work; `read` and `write` call them with a connection.

    Example:
        >>> from hybrid_search.ledger import Ledger, reads
        >>> with Ledger("sqlite:///results/hybrid-search.db", read_only=True) as ledger:
        ...     search = ledger.search("digits")
        ...     for trial in ledger.read(reads.trials, search.id):
        ...         print(trial.number, trial.state, trial.measurements)
    """

    def __init__(
        self, url: str | Path | None = None, *, read_only: bool = False, notice: Callable[[str], None] = print_notice
    ) -> None:
        """Open a database, create it, or upgrade its schema.

        Args:
            url: SQLAlchemy URL, or the path of an SQLite file: a `Path`, or text that ends in .db, .sqlite or
                .sqlite3. Default: the environment variable HYBRID_SEARCH_DB, otherwise
                `sqlite:///results/hybrid-search.db`.
            read_only: Take no lock, create no file and upgrade no schema.
            notice: Called with lines that a user should read, such as the begin and end of an outage.

        Raises:
            LedgerError: The database cannot be opened, or it is not a ledger of this version.

        Example:
            >>> ledger = Ledger("postgresql://me@host/results", read_only=True)
        """
        self.url = database_url(url)
        self.read_only = read_only
        self.retry_policy = replace(retry_policy_for(self.url, read_only=read_only), notice=notice)
        self.lease_seconds = LEASE_SECONDS
        self._engine = open_engine(self.url, read_only=read_only, notice=notice)
        # Close the connections of a ledger that is garbage collected. Not at exit: forked children share them then.
        finalize(self, self._engine.dispose).atexit = False
        self._held_leases: dict[int, str] = {}  # search id -> the name under which this ledger holds its lease

    @property
    def display_url(self) -> str:
        """The URL with its password hidden, for messages."""
        return display_url(self.url)

    @property
    def command_url(self) -> str:
        """The URL without its password, for a command line. PGPASSWORD or ~/.pgpass supply the password."""
        return display_url(url_without_password(self.url))

    def close(self) -> None:
        """Close the connections. A later call opens new ones.

        Example:
            >>> ledger.close()
        """
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- transactions --

    def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a read function in one transaction.

        Args:
            function: A function of `hybrid_search.ledger.reads`, or any function of a SQLAlchemy connection that
                changes nothing.
            *args: Further positional arguments of `function`.
            **kwargs: Keyword arguments of `function`.

        Returns:
            The return value of `function`.

        Raises:
            LedgerAway: The database did not answer within the retry limit.
            LedgerError: The database file is damaged, moved or removed.

        Example:
            >>> counts = ledger.read(reads.counts, search.id)
        """
        return run_transaction(
            self._engine,
            lambda connection, _is_retry: function(connection, *args, **kwargs),
            self.retry_policy,
            self.display_url,
        )

    def write(self, function: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a write function in one transaction and commit it.

        Args:
            function: A function of `hybrid_search.ledger.writes`, or any function of a `Transaction` that changes
                nothing but the database and that may run twice.
            *args: Further positional arguments of `function`.
            **kwargs: Keyword arguments of `function`.

        Returns:
            The return value of `function`, after the commit.

        Raises:
            LostLease: Another process holds the lease of the search, or a later attempt runs the trial.
            LedgerAway: The database did not answer within the retry limit.
            LedgerError: The write does not fit the stored state.

        Example:
            >>> ledger.write(writes.set_target, search.id, 100)
        """
        requested = datetime.now(UTC)

        def work(connection: Connection, is_retry: bool) -> T:
            transaction = Transaction(connection, self.held_leases, self.lease_seconds, requested, is_retry)
            return function(transaction, *args, **kwargs)

        return run_transaction(self._engine, work, self.retry_policy, self.display_url)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open one transaction without retries and commit it at the end.

        Returns:
            A context manager that yields the connection.

        Example:
            >>> with ledger.transaction() as connection:
            ...     connection.exec_driver_sql("SELECT 1")
        """
        with self._engine.connect() as connection, connection.begin():
            yield connection

    # -- searches --

    def searches(self) -> list[SearchRecord]:
        """Return every search, newest first.

        Returns:
            One record per search.

        Example:
            >>> names = [search.name for search in ledger.searches()]
        """
        return self.read(reads.searches)

    def search(self, name: str | None = None) -> SearchRecord:
        """Return one search.

        Args:
            name: Name of the search; None for the newest search.

        Returns:
            The record of the search.

        Raises:
            UnknownName: No search has this name. The message lists the names that exist.

        Example:
            >>> newest = ledger.search()
        """
        found = self.read(reads.newest_search) if name is None else self.find_search(name)
        if found is not None:
            return found
        names = [search.name for search in reversed(self.searches())]
        if not names:
            raise UnknownName(f"{self.display_url} holds no search yet. Start one with: hybrid-search run")
        raise UnknownName(f"search must be one of {', '.join(names)}; got {name!r}.{nearest(str(name), names)}")

    def find_search(self, name: str) -> SearchRecord | None:
        """Return the search of a name, if it exists.

        Args:
            name: Name of the search.

        Returns:
            Its record, or None.

        Example:
            >>> exists = ledger.find_search("digits") is not None
        """
        return self.read(reads.find_search, name) if can_be_stored(name) else None

    def create_search(self, search: SearchRecord, objects: Mapping[str, str] | None = None) -> SearchRecord:
        """Write a new search.

        Args:
            search: The record to write; its `id`, `uid` and `created` are ignored.
            objects: The registered objects that it uses, with their identities.

        Returns:
            The stored record, with its `id`, `uid` and `created`.

        Raises:
            LedgerError: The name is taken.

        Example:
            >>> record = SearchRecord(0, "mine", space, ("accuracy", "flops"), settings, "tpe", 0, 50)
            >>> search = ledger.create_search(record)
        """
        self.write(writes.create_search, search, uuid4().hex, objects)
        return self.search(search.name)

    # -- leases --

    @property
    def held_leases(self) -> Mapping[int, str]:
        """The leases that this ledger holds: search id -> name of the lease holder."""
        return MappingProxyType(self._held_leases)

    def lease(self, search_id: int) -> Lease:
        """Return the write lease of a search.

        Args:
            search_id: Row id of the search.

        Returns:
            The lease. It is not active if its holder was a process of this machine that has ended.

        Example:
            >>> running = ledger.lease(search.id).active
        """
        lease = self.read(leases.read_lease, search_id)
        ended = lease.active and ProcessIdentity().has_ended(lease.holder or "")
        return lease._replace(expires=None) if ended else lease

    def acquire_lease(
        self,
        search_id: int,
        holder: str,
        seconds: float,
        has_ended: Callable[[str], bool] = lambda holder: False,
        is_alive: Callable[[Lease], bool] = lambda lease: False,
    ) -> Lease | None:
        """Try to acquire the write lease of a search.

        Args:
            search_id: Row id of the search.
            holder: Name of the process that wants the lease, `str(ProcessIdentity())`.
            seconds: Time until the lease expires unless it is renewed.
            has_ended: Whether the process of this name has ended. Its lease is replaced although it has not expired.
            is_alive: Whether the holder of an expired lease still runs. Its lease is respected.

        Returns:
            None on success, otherwise the lease of the current holder.

        Example:
            >>> if ledger.acquire_lease(search.id, str(ProcessIdentity()), seconds=30) is None:
            ...     ledger.write(writes.set_target, search.id, 100)
        """
        other = self.write(leases.acquire, search_id, holder, seconds, has_ended, is_alive)
        if other is None:
            self._held_leases[search_id] = holder
        return other

    def renew_lease(self, search_id: int, seconds: float, silent: Iterable[int] = ()) -> None:
        """Extend the lease of a search and the leases of its running trials.

        Args:
            search_id: Row id of a search whose lease this ledger holds.
            seconds: Time from now until the leases expire.
            silent: Row ids of trials whose workers sent no heartbeat; their leases are not extended.

        Raises:
            LostLease: Another process holds the lease.

        Example:
            >>> ledger.renew_lease(search.id, 30)
        """
        self.write(leases.renew, search_id, self._held_leases[search_id], seconds, set(silent))

    def release_lease(self, search_id: int, *, clean_shutdown: bool = True) -> None:
        """Release the lease of a search; do nothing if another process has acquired it.

        Args:
            search_id: Row id of the search.
            clean_shutdown: False keeps the holder's name in the database. The next holder then knows that this
                process crashed.

        Example:
            >>> ledger.release_lease(search.id)
        """
        holder = self._held_leases.pop(search_id, None)
        if holder is not None:
            self.write(leases.release, search_id, holder, clean_shutdown)
