"""Database URLs: which database is meant, and how a message or a command line names it without secrets."""

import os
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hybrid_search._internal.paths import absolute_path
from hybrid_search._internal.redaction import redact, register_secret, register_url
from hybrid_search._internal.url_secrets import ENCODE, HIDDEN
from hybrid_search._internal.written_forms import hide
from hybrid_search.errors import LedgerError, SettingsError

DEFAULT_URL = "sqlite:///results/hybrid-search.db"
# A text that is the path of an SQLite file. None of its letters could be part of a URL with a password.
FILE = re.compile(r"(?i)[^:@=?;&]+\.(?:db|sqlite|sqlite3)")
POSTGRES_NAMES = ("postgres", "postgresql", "postgresql+psycopg")  # all mean PostgreSQL by psycopg
# Query parameters of libpq.
SECRET_PARAMETERS = (
    *("password", "sslpassword", "passfile", "oauth_client_secret", "scram_client_key", "scram_server_key"),
)


def database_url(url: str | Path | None = None) -> URL:
    """Parse the URL of a ledger.

    Args:
        url: The URL, or the path of an SQLite file: a `Path`, or text that ends in .db, .sqlite or .sqlite3. None for
            the environment variable HYBRID_SEARCH_DB, otherwise the default SQLite file.

    Returns:
        The parsed URL. The path of an SQLite file is absolute. A password from the query or from PGPASSWORD is moved
        to `URL.password`.

    Raises:
        LedgerError: This is neither a SQLite or PostgreSQL URL nor the path of a file.
    """
    if isinstance(url, Path):
        if ":/" in str(url):
            raise LedgerError("a path must name an SQLite file; got a Path that looks like a URL. Use text, not Path.")
        return URL.create("sqlite", database=_absolute(str(url)))
    if url is not None and not isinstance(url, str):
        raise LedgerError(
            f"a ledger must be a Ledger, a database URL or the path of an SQLite file; got {redact(repr(url))}."
        )
    text = url or os.environ.get("HYBRID_SEARCH_DB") or DEFAULT_URL
    if FILE.fullmatch(text):
        return URL.create("sqlite", database=_absolute(text))
    register_url(text)  # from now on, its secrets are hidden in every text that this process shows or stores
    try:
        parsed = make_url(text)
    except (ArgumentError, ValueError):
        raise LedgerError(
            f"the database URL must be a URL such as {DEFAULT_URL}; got text that does not parse (hidden, because it "
            "may contain a password). A file is sqlite:///PATH, or a path that ends in .db."
            f"{f' {ENCODE}' if '@' in text else ''}"
        ) from None
    if parsed.get_backend_name() == "sqlite":
        return parsed.set(database=_absolute(parsed.database)) if parsed.database else parsed
    if text.count("@") > 1 or "@" in f"{parsed.host}{parsed.database}":
        shown = f"{parsed.drivername}://{HIDDEN}@{text.rpartition('@')[2]}"
        raise LedgerError(f"the database URL must have one @, between password and host; got {redact(shown)}. {ENCODE}")
    if parsed.get_backend_name() not in POSTGRES_NAMES:
        raise LedgerError(f"the database URL must be a sqlite or postgresql URL; got {display_url(parsed)}.")
    return _postgres_url(parsed)


def _absolute(path: str) -> str:
    """Return the path of an SQLite file as an absolute one, because the current folder may change."""
    if path == ":memory:" or path.startswith("file:"):
        return path
    if any("\ud800" <= letter <= "\udfff" for letter in path):  # bytes that are not UTF-8
        raise LedgerError(f"the database URL must name a file with a name in UTF-8; got {path!r}.")
    try:
        return str(absolute_path("database URL (--db)", path))
    except SettingsError as error:
        raise LedgerError(str(error)) from None


def _postgres_url(url: URL) -> URL:
    if url.drivername not in POSTGRES_NAMES:
        raise LedgerError(
            f"the database URL must use psycopg for PostgreSQL; got {url.drivername}. Write postgresql://..."
        )
    if not url.database:
        raise LedgerError(
            f"the database URL must name a database, as in postgresql://USER@HOST/DATABASE; got {display_url(url)}."
        )
    in_query = url.query.get("password")
    password = url.password or (in_query[-1] if isinstance(in_query, tuple) else in_query)
    password = password or os.environ.get("PGPASSWORD")
    for secret in {password, *(_password_file_secrets(url) if not password else ())}:
        register_secret(secret or "")
    return url.difference_update_query(["password"]).set(drivername="postgresql+psycopg", password=password)


def display_url(url: URL) -> str:
    """Return the URL for a message: secrets are replaced by ***."""
    query = {name: HIDDEN if name in SECRET_PARAMETERS else value for name, value in url.query.items()}
    return url.set(drivername=url.get_backend_name(), query=query).render_as_string(hide_password=True)


def has_password(url: str) -> bool:
    """Return whether the text of a URL has a password, after the user or in the query, as SQLAlchemy reads it.

    Args:
        url: The text; one that does not parse opens no database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return bool(parsed.password) or any("password" in key.lower() for key in parsed.query)


def url_without_password(url: URL) -> URL:
    """Return the URL of the same database without the password."""
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query)


def redact_url_secrets(text: str, url: URL) -> str:
    """Replace the secrets of a URL in a message, plain or percent-encoded, by ***."""
    values = [url.password, *(url.query.get(name) for name in SECRET_PARAMETERS)]
    return hide(redact(text), {secret for value in values if value for secret in _texts(value)})


def _texts(value: object) -> tuple[str, ...]:
    """Return the values of a query parameter, which may be given several times."""
    return tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def _password_file_secrets(url: URL) -> set[str]:
    """Return every password of libpq's password file, because the driver may use one of them."""
    given = url.query.get("passfile") or os.environ.get("PGPASSFILE") or os.path.expanduser("~/.pgpass")
    try:
        lines = Path(_texts(given)[-1]).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except (OSError, ValueError):
        return set()
    fields = [re.split(r"(?<!\\):", line, maxsplit=4) for line in lines if not line.startswith("#")]
    written = {parts[4] for parts in fields if len(parts) == 5}
    return {form for secret in written for form in (secret, re.sub(r"\\(.)", r"\1", secret))}


def path_beside(url: URL, ending: str) -> Path:
    """Return the path of a file or folder that belongs to a database.

    Args:
        url: URL of the database.
        ending: Ending of the name, such as `.weights`.

    Returns:
        `<file><ending>` for SQLite, `results/<host>-<port>-<database><ending>` for a server.
    """
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(f"{url.database}{ending}")
    query = url.query  # the folder of a Unix socket is in the query
    socket = [
        each if isinstance(each, str) else "-".join(each) for each in (query.get("host", ""), query.get("port", ""))
    ]
    host, port = url.host or socket[0] or "local", url.port or socket[1]
    name = "-".join(str(part).strip("/") for part in (host, port, url.database) if part)
    path = Path("results") / f"{name.replace('/', '_')}{ending}"
    old_path = Path("results") / f"local-{url.database}{ending}"  # of versions that did not distinguish sockets
    return old_path if url.host is None and not path.exists() and old_path.exists() else path
