"""The time that is left to a running command, estimated from the rungs of its trials.

The seconds of a rung grow with the cost of the network, so they are fitted as a line over the cost: the known designs,
which come first, are often larger than the designs that follow.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

RECENT = 12  # trials that the estimate uses: the load of a machine changes
MIN_FITTED = 4  # with fewer trials, half of the seconds of a rung are taken as proportional to the cost


@dataclass
class _Timed:
    """The times of one trial: when it started, when each rung ended, and when the trial ended."""

    number: int
    rungs: int
    cost: float
    started: float
    ends: list[float] = field(default_factory=list)
    ended: float | None = None

    @property
    def seconds_per_rung(self) -> float | None:
        """Seconds of one rung. The first rung may include the start of a worker, so it is left out if possible."""
        if len(self.ends) > 1:
            return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)
        return self.ends[0] - self.started if self.ends and self.ended is not None else None


class TimeLeft:
    """Estimate the time that is left from the start, the rungs and the end of each trial.

    Args:
        clock: Function that returns the time in seconds.

    Example:
        >>> times = TimeLeft()
        >>> times.start(0, rungs=8, cost=1.2e6)
        >>> times.rung(0)
        >>> times.seconds(remaining=31)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running: list[_Timed] = []  # in the order of their last event
        self._ended: list[_Timed] = []
        self._slots = 1
        self._last_end: float | None = None
        self._gaps: list[float] = []  # seconds from the end of a trial to the start of the next one

    def start(self, number: int, rungs: int, cost: float) -> None:
        """Note that a trial starts.

        Args:
            number: Number of the trial.
            rungs: Number of rungs it will train.
            cost: Cost of its network in any unit, such as FLOPs.
        """
        now = self._clock()
        if self._last_end is not None:
            self._gaps = [*self._gaps[1 - RECENT :], now - self._last_end]
            self._last_end = None
        self._running.append(_Timed(number, max(1, rungs), cost, now))
        self._slots = len(self._running)

    def rung(self, number: int) -> None:
        """Note that a rung of a trial ends."""
        if (timed := self._take(number)) is not None:
            timed.ends.append(self._clock())
            self._running.append(timed)

    def end(self, number: int, *, failed: bool = False) -> None:
        """Note that a trial ends. A failed trial is not used, because it may have trained nothing."""
        timed = self._take(number)
        self._last_end = self._clock()
        if timed is None or failed:
            return
        timed.ended = self._last_end
        timed.ends.append(timed.ended)
        self._ended = [*self._ended[1 - RECENT :], timed]

    def _take(self, number: int) -> _Timed | None:
        """Remove and return a running trial. A confirmation may train one trial under several seeds at a time."""
        timed = next((t for t in self._running if t.number == number), None)
        if timed is not None:
            self._running.remove(timed)
        return timed

    def running(self) -> list[tuple[int, int, int, float]]:
        """Return the running trials by number: number, complete rungs, rungs in all, seconds since the start."""
        now = self._clock()
        return sorted((t.number, len(t.ends), t.rungs, now - t.started) for t in list(self._running))

    def seconds(self, remaining: int, future_cost: float | None = None) -> float | None:
        """Return the seconds that are left; None while no rung has been timed.

        Args:
            remaining: Number of trials that have not started.
            future_cost: Mean cost of these trials; default: that of the trials so far.
        """
        running = list(self._running)
        rate = self._rate(running)
        if rate is None:
            return None
        share = fmean(min(1.0, len(t.ends) / t.rungs) for t in self._ended) if self._ended else 1.0
        rungs = fmean(t.rungs for t in (*self._ended, *running))
        costs = [t.cost for t in (*self._ended, *running)]
        future = share * rungs * rate(fmean(costs) if future_cost is None else future_cost) + self._overhead(rate)
        future += median(self._gaps) if self._gaps else 0.0
        now = self._clock()
        rests = [max(0.0, share * t.rungs * rate(t.cost) - self._trained(t, now)) for t in running]
        slots = max(1, self._slots)
        tail = future * (slots - 1) / (2 * slots) if remaining else 0.0  # at the end, some workers have no trial left
        return max([(sum(rests) + remaining * future) / slots + tail, *rests])

    def _trained(self, timed: _Timed, now: float) -> float:
        """Return the seconds of training that a running trial has behind it, without the start of its worker."""
        per_rung = timed.seconds_per_rung
        if per_rung is None:
            return min(now - timed.started, 0.0 if not timed.ends else now - timed.ends[-1])
        return len(timed.ends) * per_rung + now - timed.ends[-1]

    def _rate(self, running: list[_Timed]) -> Callable[[float], float] | None:
        """Return the function from cost to seconds of a rung; None while no rung has been timed."""
        timed = [(t.cost, t.seconds_per_rung) for t in (*self._ended, *running)]
        rows = np.array([(cost, seconds) for cost, seconds in timed if seconds is not None], float).reshape(-1, 2)
        if not len(rows):
            return None
        cost, seconds = rows.mean(axis=0)
        proportional = seconds / cost if cost > 0 else 0.0
        spread = float(((rows[:, 0] - cost) ** 2).sum())
        if len(rows) < MIN_FITTED or spread == 0:
            slope = proportional / 2
        else:
            slope = float(((rows[:, 0] - cost) * (rows[:, 1] - seconds)).sum()) / spread
        slope = min(max(slope, 0.0), proportional)
        return lambda at: float(seconds + slope * (at - cost))

    def _overhead(self, rate: Callable[[float], float]) -> float:
        """Return the seconds of a trial besides its rungs, without the trials that waited for a worker to start."""
        beside = sorted(max(0.0, (t.ended or 0.0) - t.started - len(t.ends) * rate(t.cost)) for t in self._ended)
        without_starts = beside[: max(0, len(beside) - self._slots)]
        return median(without_starts) if without_starts else 0.0
