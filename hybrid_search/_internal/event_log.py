"""The log of a search: one line an event, as JSON in a file beside the database, for people on a terminal.

Rooms say what happens through the logger `hybrid_search`, as any library does:

    LOG.info("trial complete", extra=about(search="digits", trial=3))

and who runs a search decides where that goes: `kept` writes the file for as long as it lasts.
"""

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hybrid_search._internal.redaction import redacted
from hybrid_search.errors import SettingsError, one_of

LOG = logging.getLogger("hybrid_search")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LOG.addHandler(logging.NullHandler())  # a library's events are nobody's news unless asked for
FIELDS = "hybrid_search_fields"  # under which a record carries what it is about


UNWRITTEN = "the log of this search is not written: {}: {}"


def tell(line: str) -> None:
    """A line that the user should read, where nobody asked for it elsewhere: on stderr."""
    print(line, file=sys.stderr)


def about(**fields: Any) -> dict[str, Mapping[str, Any]]:
    """What an event is about, as the `extra` of a logging call: plain values by name."""
    return {FIELDS: fields}


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """What an event is about; empty for a line that some other code logged."""
    found: Mapping[str, Any] = record.__dict__.get(FIELDS, {})
    return found


def level_of(name: str) -> int:
    """The level of this name; SettingsError names those there are."""
    one_of("log-level", name, LEVELS, SettingsError)
    return LEVELS[name]


class AsJson(logging.Formatter):
    """One line of JSON an event: time (UTC), level, event, what it is about; no secret in any of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": record.getMessage(), **fields_of(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: _plain(value) for name, value in line.items()}, ensure_ascii=False, allow_nan=False)


class AsText(logging.Formatter):
    """An event as a person reads it: what happened, then what it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = [f"{name}={_plain(value)}" for name, value in fields_of(record).items() if value not in (None, "")]
        return " ".join([redacted(record.getMessage()), *told])


def _plain(value: Any) -> Any:
    """A value that JSON has, without secrets."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    plain = isinstance(value, int | bool | None) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else redacted(str(value))  # JSON has no nan


class _File(logging.FileHandler):
    """A log file whose first line that cannot be written is told; later ones are tried, and lost in silence."""

    def __init__(self, path: Path, notice: Callable[[str], None]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=False)
        self._notice: Callable[[str], None] | None = notice

    def handleError(self, record: logging.LogRecord) -> None:  # logging's name
        """Tell the first time why."""
        error, notice = sys.exc_info()[1], self._notice
        self._notice = None
        if notice is not None:
            notice(UNWRITTEN.format(self.baseFilename, getattr(error, "strerror", None) or error))

    def close(self) -> None:
        """Close the file; what it could not hold is lost."""
        with suppress(OSError):
            super().close()


@contextmanager
def kept(path: Path, notice: Callable[[str], None], level: str = "info") -> Iterator[None]:
    """Write the events of this level and above into a file for as long as this lasts; the file grows.

    A file that cannot be written is told to `notice`, once, and loses nothing but the log.
    """
    before = LOG.level
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _File(path, notice)
    except OSError as error:
        notice(UNWRITTEN.format(path, error.strerror or error))
        yield
        return
    file.setFormatter(AsJson())
    file.setLevel(level_of(level))
    LOG.addHandler(file)
    LOG.setLevel(min(file.level, before or logging.WARNING))
    try:
        yield
    finally:
        LOG.removeHandler(file)
        LOG.setLevel(before)
        file.close()
