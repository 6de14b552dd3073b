"""Make a results table from one finished search, or from several with the same designs and other seeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid_search.analysis.replay.csv_file import known_objectives
from hybrid_search.analysis.replay.results_table import Result, ResultsTable
from hybrid_search.errors import DataError, LedgerError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pruners import INDICATORS
from hybrid_search.records import SearchRecord, Settings, TrialRecord

SHARED = ("space", "input_size", "classes", "evaluation")  # fields that are equal in all searches of a table


def table_of_searches(
    ledger: Ledger,
    names: Sequence[str],
    objectives: Mapping[str, Direction] | None = None,
    known: Collection[str] | None = None,
    *,
    curves: bool = False,
) -> ResultsTable:
    """Return the completed trials of one or more searches as a table.

    Args:
        ledger: the ledger.
        names: names of the searches. Several must differ only in their seed; the table then contains the designs that
            all of them trained, and measured numbers have a column for each seed.
        objectives: name -> direction; default: the objectives of the first search.
        known: which objectives are known before training; default: see `known_objectives`.
        curves: whether to include every rung, and indicators.

    Raises:
        UnknownName: there is no search of this name.
        LedgerError: the searches differ in more than their seed.
        DataError: there are too few designs, or a number is missing.
    """
    searches = [ledger.search(name) for name in names]
    _check_comparable(searches)
    directions = objectives or {each.name: each.direction for each in searches[0].objective_list}
    exact = known_objectives(directions, known)
    done = [{_design(t): t for t in _search_trials(ledger, s) if t.state == "complete"} for s in searches]
    shared = [design for design in done[0] if all(design in trials for trials in done)]
    trials = [[found[design] for design in shared] for found in done]
    title = names[0] if len(names) == 1 else ", ".join(names)
    if len(shared) < 2:
        raise DataError(f"a table needs at least two designs with all their numbers; {title} has {len(shared)}.")
    shown = [[dict(ledger.read(reads.curve, t.id)) if curves else {} for t in row] for row in trials]
    seeds = tuple(str(search.settings.seed) for search in searches)

    def result(name: str, direction: Direction, is_known: bool) -> Result:
        values = np.array([[_measured(t, name, title) for t in row] for row in trials]).T[:, :, None]
        if is_known:
            _check_equal(name, values, trials[0])
            return Result(name, direction, True, values[:, :1])
        rungs = sorted(shown[0][0])
        if rungs and all(sorted(c) == rungs and all(name in c[r] for r in rungs) for row in shown for c in row):
            whole = np.array([[[c[r][name] for r in rungs] for c in row] for row in shown]).swapaxes(0, 1)
            if np.allclose(whole[:, :, -1], values[:, :, 0]):  # otherwise the curve is of an earlier measurement
                return Result(name, direction, False, whole, seeds, tuple(rungs))
        return Result(name, direction, False, values, seeds)

    more = [name for name, o in OBJECTIVES.usable().items() if o.known and name not in directions]
    more = [name for name in more if all(name in t.measurements for row in trials for t in row)]
    shown_indicators = [
        name for name in INDICATORS if curves and all(name in t.measurements for row in trials for t in row)
    ]
    indicators = [result(name, "minimize", False) for name in shown_indicators]
    return ResultsTable(
        name=title,
        parameters=_ordered_names([t.choices for t in trials[0]]),
        designs=tuple(dict(t.choices) for t in trials[0]),
        rows=tuple(f"trial {t.number}" for t in trials[0]),
        objectives=tuple(result(name, direction, name in exact) for name, direction in directions.items()),
        features=tuple(result(name, OBJECTIVES[name].direction, True) for name in more),
        digests=tuple(digest for digest, _ in shared),
        indicators=tuple(indicators) if all(each.rungs for each in indicators) else (),
    )


def _search_trials(ledger: Ledger, search: SearchRecord) -> list[TrialRecord]:
    """Return the trials with the measurements of the search itself, without the means of a confirmation."""
    own = {number: found.own for number, found in ledger.read(reads.repeats, search.id, confirmed=True).items()}
    return [replace(t, measurements=own.get(t.number, t.measurements)) for t in ledger.read(reads.trials, search.id)]


def _design(trial: TrialRecord) -> tuple[str, str]:
    """Return the identity of a design: the architecture and its settings without the seed."""
    return trial.digest, Settings.from_dict(trial.settings).with_(seed=0).digest


def _check_comparable(searches: Sequence[SearchRecord]) -> None:
    """Raise LedgerError unless the searches differ only in their seed."""
    first = searches[0]
    for other in searches[1:]:
        wrong = [name for name in SHARED if getattr(first, name) != getattr(other, name)]
        if first.settings.with_(seed=0).digest != other.settings.with_(seed=0).digest:
            wrong.append("settings")
        if wrong:
            raise LedgerError(
                f"searches of one table must differ only in their seed; {first.name!r} and {other.name!r} differ in "
                f"{', '.join(wrong)}."
            )
    seeds = [search.settings.seed for search in searches]
    if len(set(seeds)) < len(seeds):
        raise LedgerError(
            f"searches of one table must have different seeds; {', '.join(s.name for s in searches)} have "
            f"{', '.join(map(str, seeds))}."
        )


def _measured(trial: TrialRecord, name: str, title: str) -> float:
    if name not in trial.measurements:
        raise DataError(
            f"a table needs every objective of every design; trial {trial.number} of {title} has no {name}, only "
            f"{', '.join(sorted(trial.measurements))}."
        )
    return float(trial.measurements[name])


def _check_equal(name: str, values: Any, trials: Sequence[TrialRecord]) -> None:
    different = np.flatnonzero(np.ptp(values[:, :, 0], axis=1) > 0)
    if len(different):
        i = int(different[0])
        raise DataError(
            f"{name} is known before training and must be the same in every search; trial {trials[i].number} has "
            f"{', '.join(f'{value:g}' for value in values[i, :, 0])}."
        )


def _ordered_names(designs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of the parameters in the order in which they are chosen."""
    names: list[str] = []
    for design in designs:
        after = 0
        for name in design:
            if name not in names:
                names.insert(after, name)
            after = max(after, names.index(name) + 1)
    return tuple(names)
