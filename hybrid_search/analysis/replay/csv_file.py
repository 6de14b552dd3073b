"""Results tables as CSV files: one row for each design.

    stage1.operator, stage1.conv.kernel_size, ...   a parameter; an empty cell: the parameter is inactive
    flops, params                                   a number
    accuracy@0, accuracy@1                          a number under several seeds
    accuracy@0#1, accuracy@0#2, ...                 and after several rungs (epochs); the last rung is the end
    train_loss@0#1, ...                             an indicator, which helps a pruner to predict the final value
    digest, trial, seed, _anything                  ignored

A column is a number if it is requested as an objective, or if the table of objectives has its name. A number that is
known before training and not requested is a feature; other such numbers are ignored. Every other column is a parameter.
"""

import csv
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_search._internal.output_file import written_file
from hybrid_search.analysis.replay.results_table import Result, ResultsTable, column_name
from hybrid_search.errors import DataError, SettingsError, nearest
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pruners import INDICATORS

IGNORED = ("digest", "trial", "seed")
NUMBER = re.compile(r"(?P<name>[^@#]+)(@(?P<seed>[^@#]+))?(#(?P<rung>[1-9][0-9]*))?")
Columns = dict[tuple[str, int], int]  # (seed, rung; 0: no rung is named) -> index of the column


def parse_objectives(text: str) -> dict[str, Direction]:
    """Parse objectives with their directions. A name of the table of objectives needs no direction.

    Args:
        text: names separated by commas, such as `accuracy,flops,error:minimize`.

    Returns:
        Name -> direction.

    Raises:
        SettingsError: a name is repeated, or is unknown and has no direction.

    Example:
        >>> parse_objectives("accuracy,error:minimize")
        {'accuracy': 'maximize', 'error': 'minimize'}
    """
    objectives: dict[str, Direction] = {}
    for part in text.split(","):
        name, colon, direction = part.strip().partition(":")
        if not colon and name in OBJECTIVES:
            direction = OBJECTIVES[name].direction
        if not name or name in objectives or direction not in ("maximize", "minimize"):
            known = ", ".join(OBJECTIVES)
            raise SettingsError(
                f"objectives must be different names, each one of {known}, or with a direction, such as "
                f"error:minimize; got {part.strip()!r}.{'' if colon else nearest(name, OBJECTIVES)}"
            )
        objectives[name] = "maximize" if direction == "maximize" else "minimize"
    return objectives


def known_objectives(objectives: Iterable[str], named: Collection[str] | None = None) -> set[str]:
    """Return the objectives that are known before training.

    Args:
        objectives: names of the objectives.
        named: which of them are known; by default those that the table of objectives declares as known.

    Raises:
        SettingsError: `named` contains a name that is not an objective.
    """
    names = list(objectives)
    if named is None:
        return {name for name in names if name in OBJECTIVES and OBJECTIVES[name].known}
    for name in named:
        if name not in names:
            raise SettingsError(f"known must name objectives, here {', '.join(names)}; got {name!r}.")
    return set(named)


def read_table(path: Path, objectives: Mapping[str, Direction], known: Collection[str] | None = None) -> ResultsTable:
    """Read a table from a CSV file.

    Args:
        path: the file.
        objectives: name -> direction.
        known: which objectives are known before training; default: see `known_objectives`.

    Raises:
        DataError: the file is not a table. The message names the row (1 is the header) and the column.
    """
    header, rows = _lines(path)
    numbers, parameters = _classify(header, objectives, path.name)
    designs = [{header[i]: _value(cells[i]) for i in parameters if cells[i].strip()} for _, cells in rows]
    exact = known_objectives(objectives, known)
    results = {}
    for name, columns in numbers.items():
        direction = objectives.get(name) or (OBJECTIVES[name].direction if name in OBJECTIVES else "minimize")
        is_known = name in exact or (name not in objectives and name not in INDICATORS)
        results[name] = _result(name, direction, is_known, columns, rows, path.name)
    digest = header.index("digest") if "digest" in header else None
    return ResultsTable(
        name=path.stem,
        parameters=tuple(header[i] for i in parameters),
        designs=tuple(designs),
        rows=tuple(f"row {line}" for line, _ in rows),
        objectives=tuple(results[name] for name in objectives),
        features=tuple(result for name, result in results.items() if name not in objectives and result.known),
        indicators=tuple(result for name, result in results.items() if name not in objectives and not result.known),
        digests=() if digest is None else tuple(cells[digest] for _, cells in rows),
    )


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header, and every other row with its line number."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"a table must be a CSV file that can be read; got {path}: {reason}.") from None
    if not lines:
        raise DataError(f"a table must have a header and at least two designs; {path.name} is empty.")
    header = [name.strip() for name in lines[0][1]]
    for name in header:
        if not name or header.count(name) > 1:
            raise DataError(f"every column of a table must have its own name; {path.name} has two named {name!r}.")
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"every row of a table must have as many cells as its header, {len(header)}; in {path.name}, row "
                f"{line} has {len(cells)}."
            )
    return header, lines[1:]


def _classify(
    header: Sequence[str], objectives: Mapping[str, Direction], table: str
) -> tuple[dict[str, Columns], list[int]]:
    """Return the columns of each number, and the columns of parameters."""
    numbers: dict[str, Columns] = {name: {} for name in objectives}
    parameters = []
    for i, column in enumerate(header):
        match = NUMBER.fullmatch(column)
        name = match["name"] if match else ""
        if match and (name in objectives or name in INDICATORS or (name in OBJECTIVES and OBJECTIVES[name].known)):
            numbers.setdefault(name, {})[match["seed"] or "", int(match["rung"] or 0)] = i
        elif name not in OBJECTIVES and column not in IGNORED and not column.startswith("_"):
            parameters.append(i)
            if column.endswith("#"):
                raise DataError(f"the name of a parameter must not end in #; {table} has {column!r}.")
    for name, columns in numbers.items():
        if not columns:
            raise DataError(
                f"a table must have a column for each objective, {', '.join(objectives)}; {table} lacks {name!r}."
            )
        seeds, rungs = {seed for seed, _ in columns}, {rung for _, rung in columns}
        if (len(seeds) > 1 and "" in seeds) or (len(rungs) > 1 and 0 in rungs):
            raise DataError(
                f"either all columns of a number must name their seed and rung, or none; {table} has "
                f"{', '.join(header[i] for i in columns.values())}. The last rung is the end."
            )
        for seed in seeds:
            for rung in rungs:
                if (seed, rung) not in columns:
                    raise DataError(
                        f"a table must have every rung of every seed; {table} lacks {column_name(name, seed, rung)!r}."
                    )
    return numbers, parameters


def _result(
    name: str,
    direction: Direction,
    known: bool,
    columns: Columns,
    rows: Sequence[tuple[int, list[str]]],
    table: str,
) -> Result:
    seeds, rungs = list(dict.fromkeys(seed for seed, _ in columns)), sorted({rung for _, rung in columns})
    values = np.empty((len(rows), len(seeds), len(rungs)))
    for i, (line, cells) in enumerate(rows):
        for j, seed in enumerate(seeds):
            for k, rung in enumerate(rungs):
                cell = cells[columns[seed, rung]]
                try:
                    values[i, j, k] = float(cell)
                except ValueError:
                    column = column_name(name, seed, rung or None)
                    raise DataError(
                        f"every number of a table must be finite; in {table}, row {line} has {cell!r} as {column}."
                    ) from None
    return Result(name, direction, known, values, tuple(seeds), () if rungs == [0] else tuple(rungs))


def _value(cell: str) -> Any:
    """Return a choice: an integer, a number, or a word."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return cell.strip()
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def write_table(table: ResultsTable, path: Path) -> None:
    """Write a table as a CSV file that `read_table` reads: parameters, digests, known numbers, measured numbers."""
    results = [*sorted((*table.features, *table.objectives), key=lambda result: not result.known), *table.indicators]
    header = [*table.parameters, *(["digest"] if table.digests else []), *(c for r in results for c in r.columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for i, design in enumerate(table.designs):
            numbers = [_format(value) for result in results for value in result.values[i].ravel()]
            digest = [table.digests[i]] if table.digests else []
            writer.writerow([*(design.get(name, "") for name in table.parameters), *digest, *numbers])


def _format(value: float) -> str:
    """Return six digits, or all digits of an integer."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else f"{value:.6g}"
