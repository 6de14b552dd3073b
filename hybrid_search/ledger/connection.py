"""Open a database by its URL, and check or upgrade its schema."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchModuleError

from hybrid_search._internal.cache_folder import why_not_writable
from hybrid_search._internal.event_log import print_notice
from hybrid_search.errors import HybridSearchError, LedgerError
from hybrid_search.ledger.postgres import is_starting, postgres_engine
from hybrid_search.ledger.retry import RetryPolicy, default_retry_policy, first_line
from hybrid_search.ledger.schema import HEAD, read_revision, upgrade
from hybrid_search.ledger.sqlite import network_file_system, sqlite_engine
from hybrid_search.ledger.urls import database_url, display_url, redact_url_secrets


def retry_policy_for(url: URL, *, read_only: bool = False) -> RetryPolicy:
    """Return the default retry policy of a database; its messages contain no secret of the URL."""
    return replace(default_retry_policy(read_only), redact=partial(redact_url_secrets, url=url))


def open_engine(url: URL, *, read_only: bool = False, notice: Callable[[str], None] = print_notice) -> Engine:
    """Open a database whose schema is that of this version.

    A missing SQLite file is created, and an older schema is upgraded, unless `read_only`. A server that is starting is
    retried.

    Args:
        url: URL of the database.
        read_only: Create and change nothing.
        notice: Called with a line about an upgrade, or about a network file system.

    Returns:
        The SQLAlchemy engine.

    Raises:
        LedgerError: The database cannot be opened, or it is not a ledger of this version.
    """
    with _connected(url, read_only) as (engine, revision):
        if revision != HEAD and read_only:
            raise _wrong_revision(url, revision)
        file_system = network_file_system(Path(str(url.database))) if url.get_backend_name() == "sqlite" else None
        if file_system and not read_only:
            notice(
                f"{display_url(url)} is on a network file system ({file_system}). SQLite is safe there for one machine "
                "at a time: run status, dashboard and a second command on this machine, or use PostgreSQL"
            )
        if revision != HEAD:
            upgrade(engine, url, revision, display_url(url), notice)
        return engine


def stored_revision(url: str | None = None) -> str:
    """Return the schema revision of a ledger.

    Args:
        url: URL of the database; None for the default.

    Returns:
        The Alembic revision, such as `0004`.

    Raises:
        LedgerError: The database cannot be opened, or it is not a ledger.
    """
    parsed = database_url(url)
    with _connected(parsed, read_only=True) as (engine, revision):
        engine.dispose()
        if revision is None:
            raise LedgerError(f"the database URL must name a ledger; {display_url(parsed)} holds no ledger.")
        return revision


def _wrong_revision(url: URL, revision: str | None) -> LedgerError:
    if revision is None:
        return LedgerError(f"the database URL must name a ledger; {display_url(url)} holds no ledger.")
    law = f"the database URL must name a ledger of this version; {display_url(url)} holds revision {revision}"
    if revision.isdecimal() and int(revision) > int(HEAD):
        return LedgerError(f"{law}, newer than {HEAD}. Upgrade hybrid-search.")
    return LedgerError(f"{law}. `hybrid-search db upgrade` upgrades an older ledger.")


@contextmanager
def _connected(url: URL, read_only: bool) -> Iterator[tuple[Engine, str | None]]:
    """Yield an engine and the schema revision; turn every error of the database driver into a LedgerError."""
    try:
        engine = (sqlite_engine if url.get_backend_name() == "sqlite" else postgres_engine)(url, read_only)
    except (NoSuchModuleError, ImportError) as error:
        raise LedgerError(
            f"database {display_url(url)} needs a database driver that is not installed: {error}. Install it: pip "
            "install 'psycopg[binary]'"
        ) from None
    except OSError as error:
        raise _cannot_open(url, error) from None
    try:
        policy = retry_policy_for(url, read_only=read_only)
        yield engine, policy.call(lambda: read_revision(engine), is_starting, display_url(url))
    except (DBAPIError, sqlite3.Error, OSError) as error:
        engine.dispose()
        raise _cannot_open(url, error) from None
    except HybridSearchError:
        engine.dispose()
        raise


def _cannot_open(url: URL, error: Exception) -> LedgerError:
    reason = _folder_problem(url) or redact_url_secrets(first_line(error), url)
    return LedgerError(
        f"the database URL must name a database that can be opened; {display_url(url)} cannot be opened: {reason}."
    )


def _folder_problem(url: URL) -> str | None:
    """Return why the file of an SQLite database cannot be opened; None if its folder is not the reason."""
    path = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    if path is None or not os.path.isdir(path.parent):
        return None
    try:
        return "it is a folder" if stat.S_ISDIR(path.stat().st_mode) else None
    except FileNotFoundError:
        reason = why_not_writable(path.parent)
        return reason and f"{path.parent} cannot be written ({reason})"
    except OSError as error:
        return error.strerror
