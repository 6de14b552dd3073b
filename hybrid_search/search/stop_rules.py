"""The rule by which a search stops before its number of trials: after some hours, or when its front has settled."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_search.errors import SettingsError, is_number

LOOK_AHEAD = 8  # trials that count as recent, and as next
MIN_TRIALS = 24  # completed trials before which no front counts as settled
DEFAULT_SHARE = 0.01  # of the present hypervolume


@dataclass
class StopRule:
    """The stop rule of one run.

    A front has settled when neither the last 8 trials raised its hypervolume by the share `until_settled`, nor the best
    8 open designs are expected to, and at least 24 trials have completed. Once the rule has stopped the search, it
    stays stopped; running trials finish.

    Args:
        hours: Wall-clock hours after the first trial was requested; None: no limit.
        until_settled: Share of the hypervolume below which a front has settled; None: it never has.
        why: Why the search stopped, in words; None until it does.

    Raises:
        SettingsError: A value is out of range.

    Example:
        >>> open_search(spec, ledger, StopRule(hours=2.0))
    """

    hours: float | None = None
    until_settled: float | None = None
    why: str | None = None
    _began: float | None = None  # when the first trial was requested
    _evaluated: int = 0  # completed trials when the gains were last computed

    def __post_init__(self) -> None:
        if self.hours is not None and not (is_number(self.hours) and 0 < self.hours < float("inf")):
            raise SettingsError(f"hours must be a number above 0; got {self.hours!r}.")
        if self.until_settled is not None and not (is_number(self.until_settled) and 0 < self.until_settled < 1):
            raise SettingsError(
                f"until_settled (--settled-share) must be a share of the hypervolume between 0 and 1; got "
                f"{self.until_settled!r}."
            )

    def out_of_time(self) -> bool:
        """Return whether the hours are over. They start with the first call, before the first trial."""
        self._began = time.monotonic() if self._began is None else self._began
        if self.why is None and self.hours is not None and time.monotonic() - self._began >= 3600 * self.hours:
            self.why = f"its {self.hours:g} hours are over"
        return self.why is not None

    def settled(self, completed: int, gains: Callable[[], tuple[float, float]]) -> bool:
        """Return whether the front has settled.

        Args:
            completed: Number of completed trials.
            gains: Function that returns what the last trials added to the hypervolume and what the next ones are
                expected to add, as shares of it. It takes as long as several proposals, so it is called once for each
                number of completed trials.
        """
        if self.why is None and self.until_settled is not None and completed >= max(MIN_TRIALS, self._evaluated + 1):
            self._evaluated = completed
            past, coming = gains()
            if max(past, coming) < self.until_settled:
                self.why = (
                    f"its front has settled: the last {LOOK_AHEAD} trials added {past:.2%} to the hypervolume between "
                    f"its ends, and the next {LOOK_AHEAD} are expected to add {coming:.2%}, less than "
                    f"{self.until_settled:.2%}"
                )
        return self.why is not None
