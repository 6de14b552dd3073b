"""What designs are worth by their answers and costs: the samplers' Gaussian process, over the ends of complete trials.

A design's worth is its end without the luck of one training, which is the process's noise.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from hybrid_search.gaussian_process import Array, Inputs, Process, distances, fit

DRAWS = 1000
ALIKE = 1e-9  # of the largest end: a spread below it is rounding


class Worths:
    """What complete trials, and others like them, are worth: `inputs` and `ends` of the complete ones."""

    def __init__(self, inputs: Inputs, ends: Array) -> None:
        self._level, spread = float(ends.mean()), float(ends.std())
        self._unit = spread if spread > ALIKE * float(np.abs(ends).max()) else 1.0
        targets, even = (ends - self._level) / self._unit, np.ones(len(ends))
        with threadpool_limits(1, "blas"):  # small ones: more threads only wait for each other
            shape = fit(inputs, distances(inputs), targets, even)
            self._process = Process(inputs, targets, even, shape)
            self.unseen = self._out(self._process.left_out(targets))  # of each complete trial, its own end not told
        self._luck = float(np.sqrt(self._process.variance * shape.noise))

    def expected(self, inputs: Inputs) -> Array:
        """What is expected of the designs of these rows."""
        return self._out(self._process.mean(inputs))

    def drawn(self, inputs: Inputs, last: Array | None = None, *, stream: int = 0) -> Array:
        """What these designs may be worth, all together, drawn (DRAWS, rows); the same for the same rows and stream.

        `last`: ends that the last row may have, drawn (DRAWS,): each draw is what the designs are worth if the last one
        ends so.
        """
        dice = np.random.default_rng((0, stream))
        with threadpool_limits(1, "blas"):
            mean, spread = self._process.together(inputs)
            root = np.linalg.cholesky(spread + 1e-8 * self._process.variance * np.eye(len(mean)))
            found = mean + dice.standard_normal((DRAWS, len(mean))) @ root.T
        if last is not None:
            luck = self._luck * dice.standard_normal(DRAWS)
            off = (last - self._level) / self._unit - (found[:, -1] + luck)
            found = found + np.outer(off, spread[:, -1] / (spread[-1, -1] + self._luck**2))
        return self._out(found)

    def _out(self, values: Array) -> Array:
        return np.asarray(self._level + self._unit * values)
