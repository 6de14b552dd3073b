"""A finished search as a table: every design with its answers and its numbers.

A number of a design may have been measured under several seeds, and after several rungs; the last rung is the end.
What is told to a sampler is the end of one seed, what is scored the mean of all seeds.
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


def column_of(name: str, seed: str = "", rung: int | None = None) -> str:
    """The column of a number in a CSV file: `flops`, `accuracy@0`, `accuracy@0#3`."""
    return name + (f"@{seed}" if seed else "") + ("" if rung is None else f"#{rung}")


@dataclass(frozen=True, eq=False)
class Result:
    """One number of every design: `values` is (designs, seeds, rungs).

    `seeds` are their names, `("",)` where there is one without a name; `rungs` are epochs, empty where only the end is
    known. `known` says whether it is known before training.
    """

    name: str
    direction: Direction
    known: bool
    values: Array
    seeds: tuple[str, ...] = ("",)
    rungs: tuple[int, ...] = ()

    @property
    def ends(self) -> Array:
        """(designs, seeds): the number at the end."""
        return np.asarray(self.values[:, :, -1])

    @property
    def scored(self) -> Array:
        """(designs,): the mean over seeds at the end."""
        return np.asarray(self.ends.mean(axis=1))

    @property
    def columns(self) -> list[str]:
        """The names of its columns in a CSV file, seed by seed."""
        return [column_of(self.name, seed, rung) for seed in self.seeds for rung in self.rungs or (None,)]


@dataclass(frozen=True, eq=False)
class Table:
    """Designs and their numbers. `designs[i]` are the answers of design i; a question it was not asked is absent.

    `rows` say where each design was found, for errors; `features` are numbers known before training that are no
    objectives, `indicators` numbers of a rung that may foretell the end. DataError for fewer than two designs, a
    repeated one, a number that is not finite, or numbers that were measured under different seeds.
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
                    f"every design of a table must stand in it once; in {self.name}, {self.rows[i]} is the design of "
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
            ways = " and ".join(", ".join(seeds) for seeds in sorted(several))
            raise DataError(f"objectives of a table must have the same seeds, or one; in {self.name} they have {ways}.")

    @property
    def seeds(self) -> int:
        """How many seeds the objectives were measured under."""
        return max(len(result.seeds) for result in self.objectives)

    @property
    def scored(self) -> Array:
        """(designs, objectives): the means over seeds."""
        return np.column_stack([result.scored for result in self.objectives])

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which way each objective is better."""
        return tuple(result.direction for result in self.objectives)

    def picked(self, seed: int) -> NDArray[np.intp]:
        """(designs,): which of its seeds each design is trained under in a run, drawn by the run's `seed`."""
        return np.random.default_rng(seed).integers(self.seeds, size=len(self.designs), dtype=np.intp)

    def told(self, seed: int) -> Array:
        """(designs, objectives): the numbers at the end, of the picked seed of each design."""
        picked, at = self.picked(seed), np.arange(len(self.designs))
        return np.column_stack([r.ends[at, picked if len(r.seeds) > 1 else 0] for r in self.objectives])


def choices_of(designs: tuple[Params, ...], name: str) -> tuple[Any, ...]:
    """Every answer that some design gives to a question: numbers in order, then words."""
    return tuple(sorted({design[name] for design in designs if name in design}, key=_place))


def _place(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float) and math.isfinite(value)
    return not number, float(value) if number else 0.0, str(value)
