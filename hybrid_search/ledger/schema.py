"""The schema's revisions: which one a database holds, and bringing it to this version's."""

import zlib
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL

from hybrid_search.errors import LedgerError
from hybrid_search.ledger.sqlite import backup
from hybrid_search.ledger.tables import HEAD

__all__ = ["HEAD", "MIGRATIONS", "read_revision", "upgrade"]

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = zlib.crc32(b"hybrid-search schema")  # PostgreSQL's advisory locks go by number


def read_revision(engine: Engine) -> str | None:
    """The revision a database holds; None where it holds no ledger."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def upgrade(engine: Engine, url: URL, revision: str | None, shown: str, notice: Callable[[str], None]) -> Path | None:
    """Bring the schema to HEAD with Alembic; an unknown revision was written by a newer version and is refused.

    A file that holds an older ledger is copied first; the copy is returned, and `notice` told of both. Processes
    that come together take turns.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and not (revision.isdecimal() and len(revision) == len(HEAD)):
        raise LedgerError(f"--db must name a ledger or an empty database; {shown} is of another program ({revision}).")
    if revision is not None and revision not in known:
        raise LedgerError(
            f"--db must name a ledger of this version or an older one; {shown} holds revision {revision}, newer than "
            f"{HEAD}. Upgrade hybrid-search."
        )
    copied = None
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        # Looked at again under the write lock: another process may have made or upgraded the same ledger.
        revision = _revision(connection)
        if revision is None and inspect(connection).get_table_names():
            raise LedgerError(f"--db must name a ledger or an empty database; {shown} holds other tables.")
        if revision not in (None, HEAD) and engine.dialect.name == "sqlite":
            copied = backup(Path(str(url.database)), str(revision))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if revision not in (None, HEAD):
        kept = f"; as it was: {copied}" if copied else ""
        notice(f"the ledger {shown} was brought from revision {revision} to {HEAD}{kept}")
    return copied
