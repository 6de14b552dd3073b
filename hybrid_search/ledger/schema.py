"""Schema revisions: read the revision of a database, and upgrade it with Alembic."""

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
LOCK = zlib.crc32(b"hybrid-search schema")  # PostgreSQL identifies an advisory lock by a number


def read_revision(engine: Engine) -> str | None:
    """Return the schema revision of a database; None if it holds no ledger."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if found is None else str(found)


def upgrade(
    engine: Engine, url: URL, revision: str | None, display_url: str, notice: Callable[[str], None]
) -> Path | None:
    """Upgrade the schema to HEAD. A SQLite file with an older ledger is backed up first.

    Several processes may call this at the same time; a lock lets one of them upgrade.

    Args:
        engine: The engine of the database.
        url: URL of the database.
        revision: The present revision; None for an empty database.
        display_url: The URL without secrets.
        notice: Called with one line about an upgrade and its backup.

    Returns:
        Path of the backup; None if none was made.

    Raises:
        LedgerError: The revision is unknown, or the database belongs to another program.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and not (revision.isdecimal() and len(revision) == len(HEAD)):
        raise LedgerError(
            f"the database URL must name a ledger or an empty database; {display_url} belongs to another program "
            f"({revision})."
        )
    if revision is not None and revision not in known:
        raise LedgerError(
            f"the database URL must name a ledger of this version or an older one; {display_url} holds revision "
            f"{revision}, newer than {HEAD}. Upgrade hybrid-search."
        )
    backup_path = None
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        # Read again under the lock: another process may have created or upgraded the ledger.
        revision = _revision(connection)
        if revision is None and inspect(connection).get_table_names():
            raise LedgerError(
                f"the database URL must name a ledger or an empty database; {display_url} holds other tables."
            )
        if revision not in (None, HEAD) and engine.dialect.name == "sqlite":
            backup_path = backup(Path(str(url.database)), str(revision))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if revision not in (None, HEAD):
        saved = f"; the backup is {backup_path}" if backup_path else ""
        notice(f"ledger {display_url} was upgraded from revision {revision} to {HEAD}{saved}")
    return backup_path
