"""A finished search as a table: every design with its choices and its measured numbers.

A number may be measured under several seeds and after several rungs; the last rung is the end of training. A simulated
sampler receives the final number of one seed. It is scored by the mean over all seeds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_search.errors import DataError
from hybrid_search.objectives import Direction

Array = NDArray[np.float64]
Params = Mapping[str, Any]


def column_name(name: str, seed: str = "", rung: int | None = None) -> str:
    """Return the column of a number in a CSV file: `flops`, `accuracy@0`, `accuracy@0#3`."""
    return name + (f"@{seed}" if seed else "") + ("" if rung is None else f"#{rung}")


@dataclass(frozen=True, eq=False)
class Result:
    """One number of every design.

    Args:
        name: its name, such as "accuracy".
        direction: "maximize" or "minimize".
        known: whether it is known before training.
        values: (designs, seeds, rungs).
        seeds: names of the seeds; `("",)` for a single seed without a name.
        rungs: epochs; empty if only the final number is known.
    """

    name: str
    direction: Direction
    known: bool
    values: Array
    seeds: tuple[str, ...] = ("",)
    rungs: tuple[int, ...] = ()

    @property
    def finals(self) -> Array:
        """The final numbers, (designs, seeds)."""
        return np.asarray(self.values[:, :, -1])

    @property
    def means(self) -> Array:
        """The means of the final numbers over the seeds, (designs,)."""
        return np.asarray(self.finals.mean(axis=1))

    @property
    def columns(self) -> list[str]:
        """The names of its columns in a CSV file, one seed after the other."""
        return [column_name(self.name, seed, rung) for seed in self.seeds for rung in self.rungs or (None,)]


@dataclass(frozen=True, eq=False)
class ResultsTable:
    """Designs and their numbers.

    Args:
        name: name of the table.
        parameters: names of the parameters, in the order in which they are chosen.
        designs: for each design, parameter name -> choice; inactive parameters are missing.
        rows: where each design was read, for error messages.
        objectives: the objectives.
        features: numbers known before training that are not objectives.
        digests: identity of each architecture, or empty.
        indicators: numbers of each rung that help to predict the final value.

    Raises:
        DataError: there are fewer than two designs or a repeated one, a number is not finite, or numbers were measured
            under different seeds.
    """

    name: str
    parameters: tuple[str, ...]
    designs: tuple[Params, ...]
    rows: tuple[str, ...]
    objectives: tuple[Result, ...]
    features: tuple[Result, ...] = ()
    digests: tuple[str, ...] = ()
    indicators: tuple[Result, ...] = ()

    def __post_init__(self) -> None:
        if not self.parameters:
            raise DataError(f"a table must have a column of a parameter; {self.name} has none.")
        if len(self.designs) < 2:
            raise DataError(f"a table must have at least two designs; {self.name} has {len(self.designs)}.")
        first: dict[frozenset[tuple[str, Any]], int] = {}
        for i, design in enumerate(self.designs):
            before = first.setdefault(frozenset(design.items()), i)
            if before != i:
                raise DataError(
                    f"a table must contain each design once; in {self.name}, {self.rows[i]} is the design of "
                    f"{self.rows[before]}. Numbers of several seeds are columns: accuracy@0, accuracy@1."
                )
        for result in (*self.objectives, *self.features, *self.indicators):
            flat = result.values.reshape(len(self.designs), -1)
            for i, j in np.argwhere(~np.isfinite(flat)):
                raise DataError(
                    f"every number of a table must be finite; in {self.name}, {self.rows[i]} has {flat[i, j]} as "
                    f"{result.columns[j]}."
                )
        several = {result.seeds for result in (*self.objectives, *self.indicators) if len(result.seeds) > 1}
        if len(several) > 1:
            listed = " and ".join(", ".join(seeds) for seeds in sorted(several))
            raise DataError(
                f"objectives of a table must have the same seeds, or one; in {self.name} they have {listed}."
            )

    @property
    def n_seeds(self) -> int:
        """The number of seeds of the objectives."""
        return max(len(result.seeds) for result in self.objectives)

    @property
    def means(self) -> Array:
        """The means over seeds, (designs, objectives)."""
        return np.column_stack([result.means for result in self.objectives])

    @property
    def directions(self) -> tuple[Direction, ...]:
        """The direction of each objective."""
        return tuple(result.direction for result in self.objectives)

    def random_seeds(self, seed: int) -> NDArray[np.intp]:
        """Return for each design the index of the seed whose numbers a simulated run receives, (designs,)."""
        return np.random.default_rng(seed).integers(self.n_seeds, size=len(self.designs), dtype=np.intp)

    def sample(self, seed: int) -> Array:
        """Return final numbers, (designs, objectives), of the `random_seeds` of a simulated run."""
        picked, at = self.random_seeds(seed), np.arange(len(self.designs))
        return np.column_stack([r.finals[at, picked if len(r.seeds) > 1 else 0] for r in self.objectives])


def choices_of(designs: tuple[Params, ...], name: str) -> tuple[Any, ...]:
    """Return every choice of a parameter that some design has: numbers in order, then words."""
    return tuple(sorted({design[name] for design in designs if name in design}, key=_sort_key))


def _sort_key(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float) and math.isfinite(value)
    return not number, float(value) if number else 0.0, str(value)
