"""Opening a database: URLs, pragmas, schema. Passwords never leave this file."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, QueuePool, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.tables import HEAD

DEFAULT_URL = "sqlite:///results/hybrid-search.db"
MIGRATIONS = Path(__file__).parent / "migrations"


def database_url(url: str | None = None) -> URL:
    """The URL asked for, else HYBRID_SEARCH_DB, else the default; LedgerError where it is no database URL."""
    given = url or os.environ.get("HYBRID_SEARCH_DB") or DEFAULT_URL
    try:
        parsed = make_url(given)
    except ArgumentError:
        raise LedgerError(
            f"--db must be a database URL such as {DEFAULT_URL}; a file is sqlite:///PATH. Got one that does not parse "
            "(not shown: it may hold a password)."
        ) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise LedgerError(
            f"--db must be a sqlite or postgresql URL; got {parsed.render_as_string(hide_password=True)}."
        )
    return parsed


def beside(url: URL, ending: str) -> Path:
    """What lies beside a database: `<file><ending>` for SQLite, `results/<database><ending>` for a server."""
    local = url.get_backend_name() == "sqlite" and url.database
    return Path(f"{url.database}{ending}") if local else Path("results") / f"{url.database}{ending}"


def open_engine(url: URL, *, read_only: bool = False) -> Engine:
    """An engine whose database answers and has the schema of this version; LedgerError in one line otherwise.

    A database that does not exist yet is created, except when it is opened read-only.
    """
    shown = url.render_as_string(hide_password=True)
    try:
        engine = (
            _sqlite(url, read_only) if url.get_backend_name() == "sqlite" else create_engine(url, pool_pre_ping=True)
        )
        revision = _revision(engine)
        if revision != HEAD:
            if read_only:
                law = "--db must name a ledger of this version"
                holds = "no ledger" if revision is None else f"revision {revision}"
                raise LedgerError(f"{law}; {shown} holds {holds}. hybrid-search run brings an older one up to date.")
            _upgrade(engine, revision, shown)
    except (DBAPIError, sqlite3.Error, OSError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise LedgerError(f"--db must name a database that can be opened; {shown} cannot: {reason}.") from None
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise LedgerError(f"--db {shown} needs a driver that is not installed: {error}.") from None
    return engine


def _sqlite(url: URL, read_only: bool) -> Engine:
    path = url.database
    if not path or path == ":memory:":
        raise LedgerError("--db must name a file: a ledger in memory would be lost; got sqlite without a path.")
    if read_only:
        if not Path(path).exists():
            raise LedgerError(f"--db must name a ledger that exists; got {path}, which does not. Start a search first.")
        uri = f"file:{quote(Path(path).resolve().as_posix())}?mode=ro"
        engine = create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(uri, uri=True, timeout=30.0, check_same_thread=False),
            poolclass=QueuePool,  # a URL without a path would get a pool that closes other threads' connections
        )
    else:
        Path(path).parent.mkdir(exist_ok=True)  # one folder, such as results/; a longer missing path is a typing error
        engine = create_engine(url, connect_args={"timeout": 30.0})

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


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)


def _upgrade(engine: Engine, revision: str | None, shown: str) -> None:
    """Bring the schema to HEAD with Alembic; an unknown revision was written by a newer version and is refused."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise LedgerError(
            f"--db must name a ledger of this version or an older one; {shown} holds revision {revision}, newer than "
            f"{HEAD}. Upgrade hybrid-search."
        )
    with engine.begin() as connection:
        # Looked at again under the write lock: another process may be making the same ledger.
        tables = inspect(connection).get_table_names()
        if tables and "alembic_version" not in tables:
            raise LedgerError(f"--db must name a ledger or an empty database; {shown} holds other tables.")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
