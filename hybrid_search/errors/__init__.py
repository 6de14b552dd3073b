"""The tree of errors, and functions that check a value and word the message.

    HybridSearchError                 every error that this package raises on purpose
    +-- UserError (ValueError)        a mistake of the user: one line, exit code 2, nothing was written
    |   +-- ArchitectureError         an illegal architecture (heads that do not divide the width, ...)
    |   +-- SpaceError                a space file that cannot be read or contains an illegal architecture
    |   +-- SettingsError             a training or search setting that is out of range
    |   +-- DataError                 a data set that is missing, empty or too small
    |   +-- EvaluationError           a number that an evaluation of your own may not report
    |   +-- LedgerError               a database that cannot be opened or belongs to another program
    |   +-- UnknownName               a name that is not in its table
    |   +-- PluginError               an installed plugin that cannot be imported or breaks its contract
    +-- LedgerAway                    a database that stopped answering; the retries are used up
    +-- LostLease                     a write after another driver took the search, or after the attempt ended
    +-- TrialError                    a failure of one trial; the search continues
        +-- NotFinite                 a loss or measurement that is NaN or infinite
        +-- CheckpointError           a checkpoint that cannot be written or read, or belongs to another trial
            +-- OtherData             a checkpoint of a trial that was trained on other data

A message for a wrong value states the rule, the value, and what is possible:
`extent must be an odd number from 1 up; got 4.`
"""

import difflib
from collections.abc import Iterable
from numbers import Real
from typing import TypeGuard

from hybrid_search.errors.synonyms import DIFFERENCES, NO_SETTING, SYNONYMS

LONGEST = 60  # characters of a value in a message
MOST = 1_000_000  # the largest number of channels, blocks, pixels or heads


__all__ = [
    "ArchitectureError", "CheckpointError", "DataError", "EvaluationError", "HybridSearchError", "LedgerAway",
    "LedgerError", "LostLease", "NotFinite", "OtherData", "PluginError", "SettingsError", "SpaceError", "TrialError",
    "UnknownName", "UserError", "is_number", "nearest", "odd", "one_of", "shown", "whole", "yes_or_no",
]  # fmt: skip


class HybridSearchError(Exception):
    """Base class of every error that this package raises on purpose."""


class UserError(HybridSearchError, ValueError):
    """A mistake of the user. The command line prints the message as one line and exits with code 2."""


class ArchitectureError(UserError):
    """An architecture that breaks a rule of its operator, stem or stages."""


class SpaceError(UserError):
    """A space file that cannot be read, or that contains an illegal architecture."""


class SettingsError(UserError):
    """A training or search setting that is out of range."""


class DataError(UserError):
    """A data set that is missing, empty, or too small to learn from."""


class EvaluationError(UserError):
    """A number that an evaluation of your own may not report: an exact cost, or a value outside its range."""


class LedgerError(UserError):
    """A database that cannot be opened, or a search in it that does not fit the request."""


class UnknownName(UserError):
    """A name that is not in its table."""


class PluginError(UserError):
    """An installed plugin that cannot be imported, or that breaks the contract of its table."""


class LedgerAway(HybridSearchError):
    """A database that stopped answering for longer than the retry limit. No mistake of the user; exit code 1."""


class LostLease(HybridSearchError):
    """A write by a driver that lost the lease of its search, or by an attempt that has ended. Nothing was written."""


class TrialError(HybridSearchError):
    """A failure of one trial. The search records it and continues."""


class NotFinite(TrialError):
    """A loss or measurement that is NaN or infinite."""


class CheckpointError(TrialError):
    """A checkpoint that cannot be written or read, or that belongs to another trial."""


class OtherData(CheckpointError):
    """A checkpoint of a trial that was trained on other data than the current data."""


def nearest(value: object, choices: Iterable[object]) -> str:
    """Return ` Did you mean 'conv'?` if the value means one of the choices or is similar to one, otherwise "".

    `synonyms.py` lists words of the field for the names of this package, and what distinguishes close names.

    Args:
        value: the value that is not among the choices.
        choices: the possible values.

    Example:
        >>> nearest("lr", ("learning_rate", "epochs"))
        " Did you mean 'learning_rate'?"
    """
    names = [str(choice) for choice in choices]
    word = str(value)[:LONGEST].strip().lower().replace("-", "_").replace(" ", "_")
    if "learning_rate" in names and word in NO_SETTING:
        return f" {NO_SETTING[word]}"
    same = [name for name in names if name.lower().replace("-", "_") == word]
    meant = [name for name in SYNONYMS.get(word, ()) if name in names]
    close = same or meant or difflib.get_close_matches(str(value)[:LONGEST], names, n=1, cutoff=0.6)
    if not close:
        return ""
    difference = f" {DIFFERENCES[word]}" if meant and not same and word in DIFFERENCES else ""
    return f" Did you mean {close[0]!r}?{difference}"


def shown(value: object) -> str:
    """Return a wrong value as a message shows it: "nothing" for None, otherwise its `repr`, at most 60 characters.

    Args:
        value: any value.
    """
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except Exception:  # an object of the user, or a number with thousands of digits
        return f"a {type(value).__name__}"
    text = " ".join(text.split()) if "\n" in text or "\r" in text else text
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def listed(names: Iterable[object]) -> str:
    """Return the keys that were given as a message shows them: `depth, width`, or "nothing"; at most 100 characters."""
    text = "".join(letter if letter.isprintable() else "?" for letter in ", ".join(str(name)[:40] for name in names))
    return text if 0 < len(text) <= 100 else f"{text[:97]}..." if text else "nothing"


def one_of(what: str, value: object, choices: Iterable[object], error: type[UserError] = UnknownName) -> None:
    """Raise `error` unless the value is one of the choices.

    Args:
        what: name of the setting, the first words of the message.
        value: the value to check.
        choices: the possible values; the message lists them.
        error: class of the error.
    """
    names = list(choices)
    if value not in names:
        possible = ", ".join(str(name) for name in names)
        raise error(
            f"{what} must be one of {possible}; got {shown(value)}.{nearest(value, names) if value is not None else ''}"
        )


def whole(
    what: str, value: object, least: int = 1, error: type[UserError] = ArchitectureError, most: int | None = None
) -> int:
    """Return the value as an int. Raise `error` unless it is a whole number from `least` up, or up to `most`.

    Args:
        what: name of the setting, the first words of the message.
        value: the value to check.
        least: the smallest legal value.
        error: class of the error.
        most: the largest legal value.

    Raises:
        `error`: the value is no whole number, or outside these bounds; an ArchitectureError by default.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(f"{what} must be a whole number from {least} up; got {shown(value)}.")
    if most is not None and value > most:
        raise error(f"{what} must be a whole number from {least} to {most:,}; got {shown(value)}.")
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Return whether the value is a real number. True and False are not.

    Args:
        value: any value.
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def odd(what: str, value: object) -> int:
    """Return the value as an int. Raise ArchitectureError unless it is an odd number from 1 to a million.

    Args:
        what: name of the option, the first words of the message.
        value: the value to check.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ArchitectureError(f"{what} must be an odd number from 1 up; got {shown(value)}.")
    if value > MOST:
        raise ArchitectureError(f"{what} must be an odd number below {MOST:,}; got {shown(value)}.")
    return value


def yes_or_no(what: str, value: object) -> bool:
    """Return the value. Raise ArchitectureError unless it is true or false.

    Args:
        what: name of the option, the first words of the message.
        value: the value to check.
    """
    if not isinstance(value, bool):
        raise ArchitectureError(f"{what} must be true or false; got {shown(value)}.")
    return value
