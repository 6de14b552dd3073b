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
    """Return ` Did you mean 'conv'?` if a choice is similar to the value, otherwise an empty string."""
    close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


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
        listed = ", ".join(str(name) for name in names)
        raise error(f"{what} must be one of {listed}; got {value!r}.{nearest(value, names)}")


def whole(what: str, value: object, least: int = 1, error: type[UserError] = ArchitectureError) -> int:
    """Return the value as an int. Raise `error` unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(f"{what} must be a whole number from {least} up; got {value!r}.")
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Return whether the value is a real number. True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def odd(what: str, value: object) -> int:
    """Return the value as an int. Raise ArchitectureError unless it is an odd number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ArchitectureError(f"{what} must be an odd number from 1 up; got {value!r}.")
    return value


def yes_or_no(what: str, value: object) -> bool:
    """Return the value. Raise ArchitectureError unless it is true or false."""
    if not isinstance(value, bool):
        raise ArchitectureError(f"{what} must be true or false; got {value!r}.")
    return value
