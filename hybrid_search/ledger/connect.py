"""Opening a database by its URL, and what may be said of it. Passwords never leave this file."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

from sqlalchemy import Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hybrid_search._internal.event_log import print_notice
from hybrid_search.errors import HybridSearchError, LedgerError
from hybrid_search.ledger.postgres import is_starting, postgres_engine
from hybrid_search.ledger.retry import Patience, first_line, usual_patience
from hybrid_search.ledger.schema import HEAD, revision_of, upgrade
from hybrid_search.ledger.sqlite import network_of, sqlite_engine

DEFAULT_URL = "sqlite:///results/hybrid-search.db"
POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")  # one driver under the names that people write
SECRETS = ("password", "sslpassword", "passfile")  # of a URL's query


def database_url(url: str | None = None) -> URL:
    """The URL asked for, else HYBRID_SEARCH_DB, else the default; LedgerError where it is no database URL."""
    given = url or os.environ.get("HYBRID_SEARCH_DB") or DEFAULT_URL
    try:
        parsed = make_url(given)
    except (ArgumentError, ValueError):
        raise LedgerError(
            f"--db must be a database URL such as {DEFAULT_URL}; a file is sqlite:///PATH. Got one that does not parse "
            "(not shown: it may hold a password)."
        ) from None
    if parsed.get_backend_name() not in ("sqlite", *POSTGRES):
        raise LedgerError(f"--db must be a sqlite or postgresql URL; got {shown(parsed)}.")
    return parsed if parsed.get_backend_name() == "sqlite" else _postgres_url(parsed)


def _postgres_url(url: URL) -> URL:
    if url.drivername not in POSTGRES:
        raise LedgerError(f"--db reaches PostgreSQL by postgresql://..., with psycopg; got {url.drivername}.")
    if url.host and "@" in url.host:
        raise LedgerError("--db must be a URL whose user and password write @ as %40; got one with a second @.")
    if not url.database:
        raise LedgerError(f"--db must name a database, as in postgresql://USER@HOST/DATABASE; got {shown(url)}.")
    # A password may stand in the query or the environment as well: it is taken to where it is hidden.
    given = url.query.get("password")
    password = url.password or (given[-1] if isinstance(given, tuple) else given) or os.environ.get("PGPASSWORD")
    return url.difference_update_query(["password"]).set(drivername="postgresql+psycopg", password=password)


def shown(url: URL) -> str:
    """The URL as it may be printed: without what is secret in it."""
    query = {name: "***" if name in SECRETS else value for name, value in url.query.items()}
    plain = url.set(drivername=url.get_backend_name(), query=query)
    return plain.render_as_string(hide_password=True)


def without_password(url: URL) -> URL:
    """The URL of the same database, to be opened with a password from elsewhere."""
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)


def without_secrets(text: str, url: URL) -> str:
    """A driver's message with the URL's secrets struck out, as they stand there or as a URL writes them."""
    secrets = [url.password, *(url.query.get(name) for name in SECRETS)]
    for secret in {str(secret) for secret in secrets if secret}:
        for written in (secret, quote(secret, safe=""), quote_plus(secret)):
            text = text.replace(written, "***")
    return text


def patience_with(url: URL, *, read_only: bool = False) -> Patience:
    """How long a ledger at this URL bears an outage; what it says of it holds no secret."""
    return replace(usual_patience(read_only), hide=partial(without_secrets, url=url))


def beside(url: URL, ending: str) -> Path:
    """What lies beside a database: `<file><ending>`, or `results/<host>-<port>-<database><ending>` for a server's."""
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}{ending}")
    query = url.query  # where the folder of a server's socket stands
    socket = [
        each if isinstance(each, str) else "-".join(each) for each in (query.get("host", ""), query.get("port", ""))
    ]
    host, port = url.host or socket[0] or "local", url.port or socket[1]
    served = "-".join(str(part).strip("/") for part in (host, port, url.database) if part)
    found = Path("results") / f"{served.replace('/', '_')}{ending}"
    before = Path("results") / f"local-{url.database}{ending}"  # where it lay when sockets were not told apart
    return before if url.host is None and not found.exists() and before.exists() else found


def open_engine(url: URL, *, read_only: bool = False, notice: Callable[[str], None] = print_notice) -> Engine:
    """An engine whose database answers and has the schema of this version; LedgerError in one line otherwise.

    A database that does not exist yet is created where it is a file, except when it is opened read-only. A server that
    is just starting is waited for, as long as patience lasts. `notice` is told of an older ledger that was upgraded.
    """
    with _opening(url, read_only) as (engine, revision):
        if revision != HEAD and read_only:
            holds = "no ledger" if revision is None else f"revision {revision}"
            if revision is not None and revision.isdecimal() and int(revision) > int(HEAD):
                advice = f"newer than {HEAD}. Upgrade hybrid-search."
                raise LedgerError(f"--db must name a ledger of this version; {shown(url)} holds {holds}, {advice}")
            advice = "hybrid-search db upgrade brings an older one up to date."
            raise LedgerError(f"--db must name a ledger of this version; {shown(url)} holds {holds}. {advice}")
        if url.get_backend_name() == "sqlite" and not read_only and (kind := network_of(Path(str(url.database)))):
            notice(
                f"{shown(url)} lies on a network file system ({kind}), where SQLite is safe for one machine at a time: "
                "use status, dashboard and a second command on this machine alone, or PostgreSQL"
            )
        if revision != HEAD:
            upgrade(engine, url, revision, shown(url), notice)
        return engine


def held_revision(url: str | None = None) -> str:
    """The revision that the ledger at a URL has; LedgerError where there is no ledger."""
    parsed = database_url(url)
    with _opening(parsed, read_only=True) as (engine, revision):
        engine.dispose()
        if revision is None:
            raise LedgerError(f"--db must name a ledger; {shown(parsed)} holds none.")
        return revision


@contextmanager
def _opening(url: URL, read_only: bool) -> Iterator[tuple[Engine, str | None]]:
    """An engine and the revision its database holds; whatever a driver raises meanwhile is a LedgerError."""
    try:
        engine = (sqlite_engine if url.get_backend_name() == "sqlite" else postgres_engine)(url, read_only)
    except (NoSuchModuleError, ImportError) as error:
        install = "pip install 'psycopg[binary]'"
        raise LedgerError(
            f"--db {shown(url)} needs a driver that is not there: {error}. Install it: {install}"
        ) from None
    except OSError as error:
        raise _closed(url, error) from None
    try:
        waiting = patience_with(url, read_only=read_only)
        yield engine, waiting.wait_for(lambda: revision_of(engine), is_starting, shown(url))
    except (DBAPIError, sqlite3.Error, OSError) as error:
        engine.dispose()
        raise _closed(url, error) from None
    except HybridSearchError:
        engine.dispose()
        raise


def _closed(url: URL, error: Exception) -> LedgerError:
    reason = without_secrets(first_line(error), url)
    return LedgerError(f"--db must name a database that can be opened; {shown(url)} cannot: {reason}.")
