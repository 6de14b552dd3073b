"""The tree of errors, and the helpers that word them.

    HybridSearchError                 everything this package raises on purpose
    +-- UserError (ValueError)        the user's mistake: one line, exit code 2, nothing written
    |   +-- ArchitectureError         a design that breaks a law (heads that do not divide the width, ...)
    |   +-- SpaceError                a space file that cannot be read or offers an illegal design
    |   +-- SettingsError             a training or search setting out of range
    |   +-- DataError                 a data set that is missing, empty or hopeless
    |   +-- LedgerError               a database that cannot be opened or belongs to something else
    |   +-- UnknownName               a name that no table holds
    |   +-- PluginError               an installed plugin that cannot be imported or breaks its contract
    +-- LedgerAway                    a database that was there, and did not answer for as long as one waits for it
    +-- LostLease                     another driver, or a later attempt, holds what was to be written
    +-- TrialError                    one trial went wrong; the search goes on
        +-- NotFinite                 a loss or measurement that is NaN or infinite
        +-- CheckpointError           a checkpoint that cannot be kept, or is not of the trial that is to go on from it
            +-- OtherData             a checkpoint of a trial that was trained on other data

Messages state the law, then what came, then what is possible:
`extent must be an odd number from 1 up; got 4.`
"""

import difflib
from collections.abc import Iterable


class HybridSearchError(Exception):
    """Everything this package raises on purpose."""


class UserError(HybridSearchError, ValueError):
    """The user's mistake; the command line prints it as one line and exits with 2."""


class ArchitectureError(UserError):
    """A design that breaks a law of its operator, stem or stages."""


class SpaceError(UserError):
    """A space file that cannot be read, or that offers an illegal design."""


class SettingsError(UserError):
    """A training or search setting out of range."""


class DataError(UserError):
    """A data set that is missing, empty, or too small to learn from."""


class LedgerError(UserError):
    """A database that cannot be opened, or a search in it that does not fit the request."""


class UnknownName(UserError):
    """A name that the table it was looked up in does not hold."""


class PluginError(UserError):
    """An installed plugin that cannot be imported, or that breaks the contract of its table."""


class LedgerAway(HybridSearchError):
    """A database that was there, and has not answered for as long as one waits: nobody's mistake, exit code 1."""


class LostLease(HybridSearchError):
    """A write by a driver that lost its search to another, or by an attempt that is over; nothing was written."""


class TrialError(HybridSearchError):
    """One trial went wrong; the search records it and goes on."""


class NotFinite(TrialError):
    """A loss or measurement that is NaN or infinite."""


class CheckpointError(TrialError):
    """A checkpoint that cannot be kept or read, or that is not of the trial which is to go on from it."""


class OtherData(CheckpointError):
    """A checkpoint of a trial that was trained on other data than those that are there now."""


def nearest(value: object, choices: Iterable[object]) -> str:
    """` Did you mean 'conv'?` when a choice is close to what came, else an empty string."""
    close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def one_of(what: str, value: object, choices: Iterable[object], error: type[UserError] = UnknownName) -> None:
    """Raise `error` naming the choices unless `value` is one of them."""
    names = list(choices)
    if value not in names:
        listed = ", ".join(str(name) for name in names)
        raise error(f"{what} must be one of {listed}; got {value!r}.{nearest(value, names)}")


def whole(what: str, value: object, least: int = 1, error: type[UserError] = ArchitectureError) -> int:
    """`value` as an int, or `error` unless it is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(f"{what} must be a whole number from {least} up; got {value!r}.")
    return value


def odd(what: str, value: object) -> int:
    """`value` as an int, or ArchitectureError unless it is an odd number from 1 up."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise ArchitectureError(f"{what} must be an odd number from 1 up; got {value!r}.")
    return value


def yes_or_no(what: str, value: object) -> bool:
    """`value`, or ArchitectureError unless it is true or false."""
    if not isinstance(value, bool):
        raise ArchitectureError(f"{what} must be true or false; got {value!r}.")
    return value
