"""PostgreSQL by psycopg: a small pool of connections that detect a lost server."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

# Parameters of libpq; the URL may override them. A server that is silent for 30 s counts as lost.
CONNECT = {
    "application_name": "hybrid-search",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
# Session settings. A process that freezes in a transaction, or whose machine loses power, keeps the row of its search
# locked. The server then ends the session, so that the next process can continue.
SESSION = {
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
}
STARTING = ("starting up", "shutting down", "not yet accepting connections", "recovery mode")


def postgres_engine(url: URL, read_only: bool) -> Engine:
    """Return an engine for a PostgreSQL server.

    Writers of a search lock its row, so the default isolation level READ COMMITTED is enough for them.

    Args:
        url: URL of the database.
        read_only: Forbid writes, and read each transaction from one snapshot (REPEATABLE READ).

    Returns:
        The engine.
    """
    engine = create_engine(
        url,
        connect_args={name: value for name, value in CONNECT.items() if name not in url.query},
        pool_pre_ping=True,  # replaces a connection that was lost while idle
        pool_size=4,
        max_overflow=4,
        pool_timeout=30,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, _dumper())
        for name, value in SESSION.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.commit()

    if read_only:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine


def is_starting(error: Exception) -> bool:
    """Return whether the server refuses a connection because it is starting or stopping."""
    return isinstance(error, DBAPIError) and any(words in str(error.orig) for words in STARTING)


def _dumper() -> type:
    """Return a psycopg dumper that replaces NUL and lone surrogates, which PostgreSQL does not store."""
    from psycopg.types.string import StrDumper

    class Text(StrDumper):
        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")

    return Text
