"""Tables of finished searches: one search, or several that trained the same designs under different seeds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hybrid_search.analysis.replay.csv_file import known_of
from hybrid_search.analysis.replay.table import Result, Table
from hybrid_search.errors import DataError, LedgerError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import OBJECTIVES, Direction
from hybrid_search.pruners import INDICATORS
from hybrid_search.records import SearchRecord, Settings, TrialRecord

ALIKE = ("space", "input_size", "classes", "evaluation")  # what searches of one table agree in


def table_of_searches(
    ledger: Ledger,
    names: Sequence[str],
    objectives: Mapping[str, Direction] | None = None,
    known: Collection[str] | None = None,
    *,
    curves: bool = False,
) -> Table:
    """The completed trials of a search as a table, by default of its own objectives.

    With `curves` it has every rung, of signs too. Of several searches, which differ in their seed alone, it has the
    designs that all of them trained: what is not known before training then has a column a seed. UnknownName for a
    search that is not there, LedgerError where they do not belong together, DataError where they give no table.
    """
    searches = [ledger.search(name) for name in names]
    _belong(searches)
    directions = objectives or {name: OBJECTIVES[name].direction for name in searches[0].objectives}
    exact = known_of(directions, known)
    done = [{_design(t): t for t in _as_searched(ledger, s) if t.state == "complete"} for s in searches]
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
            _same(name, values, trials[0])
            return Result(name, direction, True, values[:, :1])
        rungs = sorted(shown[0][0])
        if rungs and all(sorted(c) == rungs and all(name in c[r] for r in rungs) for row in shown for c in row):
            whole = np.array([[[c[r][name] for r in rungs] for c in row] for row in shown]).swapaxes(0, 1)
            if np.allclose(whole[:, :, -1], values[:, :, 0]):  # else the end was measured again, and the curve is old
                return Result(name, direction, False, whole, seeds, tuple(rungs))
        return Result(name, direction, False, values, seeds)

    more = [name for name, o in OBJECTIVES.items() if o.known and name not in directions]
    more = [name for name in more if all(name in t.measurements for row in trials for t in row)]
    names = [name for name in INDICATORS if curves and all(name in t.measurements for row in trials for t in row)]
    signs = [result(name, "minimize", False) for name in names]
    return Table(
        name=title,
        parameters=_in_order([t.choices for t in trials[0]]),
        designs=tuple(dict(t.choices) for t in trials[0]),
        rows=tuple(f"trial {t.number}" for t in trials[0]),
        objectives=tuple(result(name, direction, name in exact) for name, direction in directions.items()),
        features=tuple(result(name, OBJECTIVES[name].direction, True) for name in more),
        digests=tuple(digest for digest, _ in shared),
        indicators=tuple(signs) if all(sign.rungs for sign in signs) else (),
    )


def _as_searched(ledger: Ledger, search: SearchRecord) -> list[TrialRecord]:
    """The trials with what they measured in the search itself: a confirmation's means over other seeds left out."""
    own = {number: found.own for number, found in ledger.read(reads.repeats, search.id, confirmed=True).items()}
    return [replace(t, measurements=own.get(t.number, t.measurements)) for t in ledger.read(reads.trials, search.id)]


def _design(trial: TrialRecord) -> tuple[str, str]:
    """What was trained, but for the seed: the architecture and its recipe."""
    return trial.digest, Settings.from_dict(trial.settings).with_(seed=0).digest


def _belong(searches: Sequence[SearchRecord]) -> None:
    """LedgerError unless the searches differ in nothing but their seed."""
    first = searches[0]
    for other in searches[1:]:
        wrong = [name for name in ALIKE if getattr(first, name) != getattr(other, name)]
        if first.settings.with_(seed=0).digest != other.settings.with_(seed=0).digest:
            wrong.append("settings")
        if wrong:
            raise LedgerError(
                f"searches of one table must differ in their seed alone; {first.name!r} and {other.name!r} differ in "
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
            f"a table must have each objective of every design; trial {trial.number} of {title} has no {name}, only "
            f"{', '.join(sorted(trial.measurements))}."
        )
    return float(trial.measurements[name])


def _same(name: str, values: Any, trials: Sequence[TrialRecord]) -> None:
    apart = np.flatnonzero(np.ptp(values[:, :, 0], axis=1) > 0)
    if len(apart):
        i = int(apart[0])
        raise DataError(
            f"{name} is known before training and must be the same in every search; trial {trials[i].number} has "
            f"{', '.join(f'{value:g}' for value in values[i, :, 0])}."
        )


def _in_order(designs: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The questions in the order in which they are asked, those of other branches after what comes before them."""
    names: list[str] = []
    for design in designs:
        after = 0
        for name in design:
            if name not in names:
                names.insert(after, name)
            after = max(after, names.index(name) + 1)
    return tuple(names)
