"""Tables as CSV files: a row a design.

    stage1.operator, stage1.conv.kernel_size, ...   a question; an empty cell was not asked
    flops, params                                   a number
    accuracy@0, accuracy@1                          a number under several seeds
    accuracy@0#1, accuracy@0#2, ...                 and after each of several rungs (epochs), the last of them the end
    train_loss@0#1, ...                             the same of a sign, which may foretell the end to a pruner
    digest, trial, seed, _anything                  left out

A column is a number when it is asked for as an objective, or when the table of objectives knows its name; what is known
before training and not asked for then serves as a feature, the rest is left out. Every other column is a question.
"""

import csv
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_search.analysis.replay.table import Result, Table, column_of
from hybrid_search.errors import DataError, SettingsError, nearest
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pruners import INDICATORS

LEFT_OUT = ("digest", "trial", "seed")
NUMBER = re.compile(r"(?P<name>[^@#]+)(@(?P<seed>[^@#]+))?(#(?P<rung>[1-9][0-9]*))?")
Places = dict[tuple[str, int], int]  # seed and rung (0: none is named) -> the column


def wanted(text: str) -> dict[str, Direction]:
    """`accuracy,flops,error:minimize` -> directions by name; a name that the table of objectives knows needs none."""
    found: dict[str, Direction] = {}
    for part in text.split(","):
        name, colon, direction = part.strip().partition(":")
        if not colon and name in OBJECTIVES:
            direction = OBJECTIVES[name].direction
        if not name or name in found or direction not in ("maximize", "minimize"):
            known = ", ".join(OBJECTIVES)
            raise SettingsError(
                f"objectives must be different names, each one of {known}, or with a direction, such as "
                f"error:minimize; got {part.strip()!r}.{'' if colon else nearest(name, OBJECTIVES)}"
            )
        found[name] = "maximize" if direction == "maximize" else "minimize"
    return found


def known_of(objectives: Iterable[str], named: Collection[str] | None = None) -> set[str]:
    """The objectives known before training: the `named` ones, or those of which the table of objectives says so."""
    among = list(objectives)
    if named is None:
        return {name for name in among if name in OBJECTIVES and OBJECTIVES[name].known}
    for name in named:
        if name not in among:
            raise SettingsError(f"known must name objectives, here {', '.join(among)}; got {name!r}.")
    return set(named)


def read_table(path: Path, objectives: Mapping[str, Direction], known: Collection[str] | None = None) -> Table:
    """The table of a CSV file. DataError, with the row (1 is the header) and the column where there is one."""
    header, rows = _lines(path)
    numbers, questions = _sorted_out(header, objectives, path.name)
    designs = [{header[i]: _value(cells[i]) for i in questions if cells[i].strip()} for _, cells in rows]
    exact = known_of(objectives, known)
    found = {}
    for name, places in numbers.items():
        direction = objectives.get(name) or (OBJECTIVES[name].direction if name in OBJECTIVES else "minimize")
        is_known = name in exact or (name not in objectives and name not in INDICATORS)
        found[name] = _result(name, direction, is_known, places, rows, path.name)
    digest = header.index("digest") if "digest" in header else None
    return Table(
        name=path.stem,
        parameters=tuple(header[i] for i in questions),
        designs=tuple(designs),
        rows=tuple(f"row {line}" for line, _ in rows),
        objectives=tuple(found[name] for name in objectives),
        features=tuple(result for name, result in found.items() if name not in objectives and result.known),
        indicators=tuple(result for name, result in found.items() if name not in objectives and not result.known),
        digests=() if digest is None else tuple(cells[digest] for _, cells in rows),
    )


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and every other row with its number in the file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if cells]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"a table must be a CSV file that can be read; got {path}: {why}.") from None
    if not lines:
        raise DataError(f"a table must have a header and at least two designs; {path.name} is empty.")
    header = [name.strip() for name in lines[0][1]]
    for name in header:
        if not name or header.count(name) > 1:
            raise DataError(f"every column of a table must have a name of its own; {path.name} has two named {name!r}.")
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise DataError(
                f"every row of a table must have as many cells as its header, {len(header)}; in {path.name}, row "
                f"{line} has {len(cells)}."
            )
    return header, lines[1:]


def _sorted_out(
    header: Sequence[str], objectives: Mapping[str, Direction], table: str
) -> tuple[dict[str, Places], list[int]]:
    """The columns of each objective and feature, and the columns of questions."""
    numbers: dict[str, Places] = {name: {} for name in objectives}
    questions = []
    for i, column in enumerate(header):
        match = NUMBER.fullmatch(column)
        name = match["name"] if match else ""
        if match and (name in objectives or name in INDICATORS or (name in OBJECTIVES and OBJECTIVES[name].known)):
            numbers.setdefault(name, {})[match["seed"] or "", int(match["rung"] or 0)] = i
        elif name not in OBJECTIVES and column not in LEFT_OUT and not column.startswith("_"):
            questions.append(i)
            if column.endswith("#"):
                raise DataError(f"the name of a question must not end in #; {table} has {column!r}.")
    for name, places in numbers.items():
        if not places:
            raise DataError(
                f"a table must have a column of each objective, {', '.join(objectives)}; {table} lacks {name!r}."
            )
        seeds, rungs = {seed for seed, _ in places}, {rung for _, rung in places}
        if (len(seeds) > 1 and "" in seeds) or (len(rungs) > 1 and 0 in rungs):
            raise DataError(
                f"columns of one number must all name their seed and rung, or none of them; {table} has "
                f"{', '.join(header[i] for i in places.values())}. The last rung is the end."
            )
        for seed in seeds:
            for rung in rungs:
                if (seed, rung) not in places:
                    raise DataError(
                        f"a table must have every rung of every seed; {table} lacks {column_of(name, seed, rung)!r}."
                    )
    return numbers, questions


def _result(
    name: str,
    direction: Direction,
    known: bool,
    places: Places,
    rows: Sequence[tuple[int, list[str]]],
    table: str,
) -> Result:
    seeds, rungs = list(dict.fromkeys(seed for seed, _ in places)), sorted({rung for _, rung in places})
    values = np.empty((len(rows), len(seeds), len(rungs)))
    for i, (line, cells) in enumerate(rows):
        for j, seed in enumerate(seeds):
            for k, rung in enumerate(rungs):
                cell = cells[places[seed, rung]]
                try:
                    values[i, j, k] = float(cell)
                except ValueError:
                    column = column_of(name, seed, rung or None)
                    raise DataError(
                        f"every number of a table must be finite; in {table}, row {line} has {cell!r} as {column}."
                    ) from None
    return Result(name, direction, known, values, tuple(seeds), () if rungs == [0] else tuple(rungs))


def _value(cell: str) -> Any:
    """An answer: a whole number, a number, or a word."""
    try:
        number = float(cell) if "_" not in cell else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        return cell.strip()
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def write_table(table: Table, path: Path) -> None:
    """Write a table as a CSV file that `read_table` reads: questions, digests, what is known, what was measured."""
    results = [*sorted((*table.features, *table.objectives), key=lambda result: not result.known), *table.indicators]
    header = [*table.parameters, *(["digest"] if table.digests else []), *(c for r in results for c in r.columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for i, design in enumerate(table.designs):
            numbers = [_written(value) for result in results for value in result.values[i].ravel()]
            digest = [table.digests[i]] if table.digests else []
            writer.writerow([*(design.get(name, "") for name in table.parameters), *digest, *numbers])


def _written(value: float) -> str:
    """Six digits, and a whole number in full."""
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else f"{value:.6g}"
