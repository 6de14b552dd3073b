"""When a search stops before its target: at the end of its hours, or when its front has settled."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from hybrid_search.errors import SettingsError

NEXT = 8  # trials that are looked ahead, and back
LEAST = 24  # completed trials before which no front counts as settled
SHARE = 0.01  # of the present hypervolume: the default


@dataclass
class Stopping:
    """The stop rule of one call: `hours` of wall clock from its first trial on, and the share `until_settled`.

    A front has settled when neither the last NEXT trials raised its hypervolume by that share nor the best NEXT still
    open are expected to, and at least LEAST have completed. `why` says what ended the search, None while nothing did;
    once ended it stays ended, though running trials finish. SettingsError for a value out of range.
    """

    hours: float | None = None
    until_settled: float | None = None
    why: str | None = None
    _began: float | None = None  # when the first trial was asked for
    _looked: int = 0  # completed trials when the gain was last asked for

    def __post_init__(self) -> None:
        if self.hours is not None and not 0 < self.hours < float("inf"):
            raise SettingsError(f"hours must be a number above 0; got {self.hours:g}.")
        if self.until_settled is not None and not 0 < self.until_settled < 1:
            raise SettingsError(
                f"settled-share must be a share of the hypervolume between 0 and 1; got {self.until_settled:g}."
            )

    def out_of_time(self) -> bool:
        """Whether the hours are over. They begin when this is first asked, before the first trial."""
        self._began = time.monotonic() if self._began is None else self._began
        if self.why is None and self.hours is not None and time.monotonic() - self._began >= 3600 * self.hours:
            self.why = f"its {self.hours:g} hours are over"
        return self.why is not None

    def settled(self, completed: int, gains: Callable[[], tuple[float, float]]) -> bool:
        """Whether the front has settled, given how many trials completed.

        `gains()` is what the last NEXT trials added and what the next are expected to add, as shares of the
        hypervolume. It is asked once for each number of completed trials, for it takes as long as NEXT proposals.
        """
        if self.why is None and self.until_settled is not None and completed >= max(LEAST, self._looked + 1):
            self._looked = completed
            past, coming = gains()
            if max(past, coming) < self.until_settled:
                self.why = (
                    f"its front has settled: the last {NEXT} trials added {past:.2%} to the hypervolume between its "
                    f"ends, and the next {NEXT} are expected to add {coming:.2%}, less than {self.until_settled:.2%}"
                )
        return self.why is not None
