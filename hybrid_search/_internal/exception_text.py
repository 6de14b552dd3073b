"""Exceptions as text that every database can store: the message alone, or the traceback."""

import traceback

from hybrid_search._internal.redaction import redact

MESSAGE_LENGTH = 2_000  # characters of a message
TRACEBACK_LENGTH = 20_000  # characters of a traceback; the middle of a longer one is left out
FRAMES = 4  # frames of a traceback, the last ones


def message_of(error: BaseException) -> str:
    """Return the message of an exception on one line, or the name of its class if it has none or cannot print itself.

    Secrets, and characters that a database cannot store, are replaced.
    """
    try:
        text = str(error)
    except BaseException as failed:  # __str__ is code of the user
        return f"{type(error).__name__} (its message cannot be printed: {type(failed).__name__})"
    return " ".join(storable(text, MESSAGE_LENGTH).split()) or type(error).__name__


def traceback_of(error: BaseException) -> str:
    """Return an exception with its last four frames, and its causes with theirs.

    Secrets of this machine are removed here, because the driver may run on another machine.
    """
    try:
        text = "".join(traceback.format_exception(error, limit=-FRAMES)).strip()
    except BaseException as failed:
        text = f"{type(error).__name__} (its traceback cannot be printed: {type(failed).__name__})"
    return storable(text, TRACEBACK_LENGTH)


def storable(text: str, length: int) -> str:
    """Return a text of about `length` characters at most, without secrets, NUL and lone surrogates."""
    text = _cut(text, 10 * length)  # the search for secrets takes a second for ten megabytes
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return _cut(redact(text), length)


def _cut(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    half = length // 2
    return f"{text[:half]} [... {len(text) - 2 * half} characters left out ...] {text[-half:]}"
