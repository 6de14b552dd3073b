"""PostgreSQL by psycopg: a small pool of connections that notice when the server has gone away."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

# What libpq is told unless the URL says otherwise. A peer that is silent for half a minute is taken for gone.
CONNECT = {
    "application_name": "hybrid-search",
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}
# What the server is told of each connection. A driver that froze in a transaction, or whose machine lost its power,
# holds the row of its search locked: the server ends its session then, and the next driver waits no longer.
SESSION = {
    "idle_in_transaction_session_timeout": "30s",
    "tcp_keepalives_idle": "15s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
}
STARTING = ("starting up", "shutting down", "not yet accepting connections", "recovery mode")


def postgres_engine(url: URL, read_only: bool) -> Engine:
    """An engine over the server; a read-only one reads each transaction's rows as of one moment, and cannot write.

    Writers of one search wait for each other at its row, so that READ COMMITTED, the server's usual level, is enough.
    """
    engine = create_engine(
        url,
        connect_args={name: value for name, value in CONNECT.items() if name not in url.query},
        pool_pre_ping=True,  # a connection that died while it was idle is replaced without a word
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
    """Whether a server that was asked for a connection is there, and will soon give one."""
    return isinstance(error, DBAPIError) and any(words in str(error.orig) for words in STARTING)


def _dumper() -> type:
    """Text as PostgreSQL takes it: a traceback may hold what its text cannot, NUL and halves of a character."""
    from psycopg.types.string import StrDumper

    class Text(StrDumper):
        def dump(self, obj: str) -> bytes:
            return obj.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace")

    return Text
