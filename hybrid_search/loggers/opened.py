"""ChosenLoggers and OpenedLoggers: the loggers that the user names, checked first and then opened for one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from hybrid_search._internal.redaction import redact
from hybrid_search.errors import SettingsError, UserError
from hybrid_search.loggers.table import LOGGERS, LoggedRun, Logger

CALLS = ("trial", "epoch", "close")


@dataclass(frozen=True)
class ChosenLoggers:
    """The loggers of a run before it starts.

    Attributes:
        named: Names of the table with their places.
        objects: Loggers that are objects already, with their names.
    """

    named: tuple[tuple[str, str], ...] = ()
    objects: tuple[tuple[str, Logger], ...] = ()

    @classmethod
    def of(cls, given: Sequence[object]) -> "ChosenLoggers":
        """Return checked loggers.

        Args:
            given: Each is NAME or NAME:PLACE with a name in LOGGERS, or an object with the methods of a `Logger`.

        Raises:
            UserError: No logger has this name, its package is not installed, or an object is no logger.

        Example:
            >>> ChosenLoggers.of(["tensorboard:runs"])
        """
        if isinstance(given, str):
            raise SettingsError(f"loggers must be a list; got {given!r}. Use loggers=[{given!r}].")
        named: list[tuple[str, str]] = []
        objects: list[tuple[str, Logger]] = []
        for each in given:
            if isinstance(each, str):
                name, _, place = (part.strip() for part in each.partition(":"))
                _check(name, place)
                if (name, place) in named:
                    raise SettingsError(f"loggers (--log) must be given once each; got {each} twice.")
                named.append((name, place))
                continue
            missing = [call for call in CALLS if isinstance(each, type) or not callable(getattr(each, call, None))]
            if missing:
                raise SettingsError(
                    f"loggers (--log) must be names ({', '.join(LOGGERS)}) or objects with {', '.join(CALLS)}; got "
                    f"{each!r}."
                )
            objects.append((type(each).__name__, cast("Logger", each)))
        return cls(tuple(named), tuple(objects))

    @contextmanager
    def opened(self, run: LoggedRun, notice: Callable[[str], None]) -> Iterator["OpenedLoggers"]:
        """Open the loggers for a run, and close them at the end of the block.

        Args:
            run: The run.
            notice: Called with a line about a logger that fails.

        Raises:
            SettingsError: A logger cannot start.
        """
        loggers = OpenedLoggers(list(self.objects), notice)
        try:
            for name, place in self.named:
                loggers.add(name, place, run)
            yield loggers
        finally:
            loggers.close()


class OpenedLoggers:
    """The loggers of one run. One that fails is switched off; the run continues.

    Args:
        loggers: The loggers with their names.
        notice: Called with a line about a logger that fails.
    """

    def __init__(self, loggers: list[tuple[str, Logger]], notice: Callable[[str], None]) -> None:
        self._loggers, self._notice = loggers, notice

    def __bool__(self) -> bool:
        return bool(self._loggers)

    def add(self, name: str, place: str, run: LoggedRun) -> None:
        """Open a logger of the table.

        Args:
            name: Its name.
            place: Its place; "" for its default.
            run: The run.

        Raises:
            SettingsError: It cannot start.
        """
        try:
            self._loggers.append((name, LOGGERS[name](place, run)))
        except UserError:
            raise
        except Exception as error:  # of any class: it comes from another package
            raise SettingsError(f"logger {name} (--log) must be able to start; {_reason(error)}.") from error

    def trial(self, fields: Mapping[str, Any]) -> None:
        """Show a trial that has ended; see `Logger.trial`.

        Args:
            fields: Its fields.
        """
        self._call("trial", fields)

    def epoch(self, epoch: int, measurements: Mapping[str, float]) -> None:
        """Show an epoch of a full training; see `Logger.epoch`.

        Args:
            epoch: Its number, from 1.
            measurements: Its numbers by name.
        """
        self._call("epoch", epoch, measurements)

    def close(self) -> None:
        """Close every logger."""
        self._call("close")
        self._loggers.clear()

    def _call(self, method: str, *arguments: Any) -> None:
        for name, logger in list(self._loggers):
            try:
                getattr(logger, method)(*arguments)
            except Exception as error:  # of any class: it comes from another package, or from its server
                self._loggers.remove((name, logger))
                self._notice(
                    f"logger {name} is switched off: {_reason(error)}. All results are in the ledger; the run continues"
                )


def _check(name: str, place: str) -> None:
    """Call `check` of a logger of the table; the logger of another package may raise anything."""
    logger = LOGGERS[name]
    try:
        logger.check(place)
    except UserError:
        raise
    except Exception as error:
        raise SettingsError(f"logger {name} (--log) must be able to check its place; {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Return class and first line of an error, without secrets."""
    line = next(iter(str(error).strip().splitlines()), "")
    return redact(f"{type(error).__name__}: {line}" if line else type(error).__name__).rstrip(".")
