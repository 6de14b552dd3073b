"""The log of a search: a file beside the database with one JSON object per event.

Every package logs to the logger `hybrid_search`, with the details of the event as fields:

    LOG.info("trial complete", extra=event_fields(search="digits", trial=3))

`log_file` writes these events to a file. A command decides where the file is.
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

from hybrid_search._internal.redaction import redact
from hybrid_search.errors import SettingsError, one_of

LOG = logging.getLogger("hybrid_search")
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LOG.addHandler(logging.NullHandler())  # a library prints nothing unless the program configures logging
FIELDS = "hybrid_search_fields"  # the attribute of a log record with the fields of its event
NOT_WRITTEN = "the log of this search is not written: {}: {}"


def print_notice(line: str) -> None:
    """Print a line that the user should read, on stderr."""
    print(line, file=sys.stderr)


def event_fields(**fields: Any) -> dict[str, Mapping[str, Any]]:
    """Return the fields of an event as the `extra` argument of a logging call.

    Args:
        fields: Plain values, by name.

    Returns:
        The value for `extra`.
    """
    return {FIELDS: fields}


def last_line(text: str | None) -> str:
    """Return the last line of a traceback, which has the class and the message of the exception."""
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else ""


def log_failure(what: str, event: str, fields: dict[str, Mapping[str, Any]]) -> None:
    """Log that a trial failed or is retried, with the reason in the message, at level warning.

    Args:
        what: What failed, such as "trial 3".
        event: Name of the event in the log file.
        fields: The fields of the event, with `kind` and `text`.
    """
    details = {**fields[FIELDS], "event": event}
    done = event.rpartition(" ")[2]
    LOG.warning("%s %s (%s): %s", what, done, details["kind"], last_line(details["text"]), extra={FIELDS: details})


@contextmanager
def failures_shown(shown: bool = True) -> Iterator[None]:
    """Print warnings on stderr inside the `with` block, unless the program has configured logging itself.

    Args:
        shown: Whether to print them at all.
    """
    handlers = [*LOG.handlers, *(logging.getLogger().handlers if LOG.propagate else [])]
    if not shown or any(not isinstance(one, logging.NullHandler) for one in handlers):
        yield
        return
    handler = logging.StreamHandler()  # stderr
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_AsMessage())
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)


class _AsMessage(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(record.getMessage())


def fields_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return the fields of an event; empty for a record of other code."""
    fields: Mapping[str, Any] = record.__dict__.get(FIELDS, {})
    return fields


def level_of(name: str) -> int:
    """Return the logging level of this name.

    Raises:
        SettingsError: The name is unknown.
    """
    one_of("log-level", name, LEVELS, SettingsError)
    return LEVELS[name]


class AsJson(logging.Formatter):
    """Format an event as one line of JSON: time (UTC), level, event, fields. Secrets are removed."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname.lower(), "event": record.getMessage(), **fields_of(record)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: _plain(value) for name, value in line.items()}, ensure_ascii=False, allow_nan=False)


class AsText(logging.Formatter):
    """Format an event for people: the event, then its fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        pairs = [
            f"{name}={_plain(value)}"
            for name, value in fields_of(record).items()
            if name != "event" and value not in (None, "")
        ]
        return " ".join([redact(record.getMessage()), *pairs])


def _plain(value: Any) -> Any:
    """Return a value that JSON can represent, without secrets."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    plain = isinstance(value, int | bool | None) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else redact(str(value))  # JSON has no nan


class _LogFile(logging.FileHandler):
    """A log file. The first line that cannot be written is reported; later ones are dropped without a notice."""

    def __init__(self, path: Path, notice: Callable[[str], None]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace", delay=False)
        self._notice: Callable[[str], None] | None = notice

    def handleError(self, record: logging.LogRecord) -> None:  # a name of the logging module
        """Report the error, the first time."""
        error, notice = sys.exc_info()[1], self._notice
        self._notice = None
        if notice is not None:
            notice(NOT_WRITTEN.format(self.baseFilename, getattr(error, "strerror", None) or error))

    def close(self) -> None:
        """Close the file. Lines that it could not write are lost."""
        with suppress(OSError):
            super().close()


@contextmanager
def log_file(path: Path, notice: Callable[[str], None], level: str = "info") -> Iterator[None]:
    """Append the events of this level and above to a file, inside the `with` block.

    Args:
        path: The file. Its folder is created.
        notice: Called once with a line if the file cannot be written. The search continues without the log.
        level: debug, info, warning or error.
    """
    before = LOG.level
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _LogFile(path, notice)
    except OSError as error:
        notice(NOT_WRITTEN.format(path, error.strerror or error))
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
