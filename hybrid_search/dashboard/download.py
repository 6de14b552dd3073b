"""The trials of the table as CSV or JSON. The browser names trials by number, never by path."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.analysis.confidence import TrialConfidence
from hybrid_search.charts.axes import objectives_of
from hybrid_search.records import SearchRecord, TrialRecord

FORMULA = ("=", "+", "-", "@", "\t", "\r")


def file_name(name: str) -> str:
    """Return the name of a search as the name of a file: what a file name cannot have becomes `-`."""
    kept = "".join("-" if c in '<>:"/\\|?*' or not c.isprintable() else c for c in name)
    return kept.strip(" .-")[:100] or "search"


def spreadsheet_safe(cell: object) -> object:
    """Return a cell that a spreadsheet does not execute: text that starts like a formula gets an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _names(search: SearchRecord, trials: Sequence[TrialRecord]) -> list[str]:
    return list(dict.fromkeys([*objectives_of(search), *sorted(n for t in trials for n in t.measurements)]))


def confidence_of(
    standings: Mapping[int, TrialConfidence], objectives: Sequence[str], number: int
) -> dict[str, float | int | None]:
    """Return what retraining says of a trial: the bounds of its 95 % intervals, seeds, and probability of the front.

    Args:
        standings: the confidence of the retrained trials by number; empty before the first retraining.
        objectives: names of the objectives.
        number: number of the trial.

    Returns:
        Columns by name; none before the first retraining of the search.
    """
    if not standings:
        return {}
    known = {name for each in standings.values() for name in each.intervals}
    own = standings.get(number)
    columns: dict[str, float | int | None] = {}
    for name in (name for name in objectives if name in known):
        low, high = (own.intervals.get(name) if own else None) or (None, None)
        columns |= {f"{name}_low": low, f"{name}_high": high}
    return columns | {"seeds": own.seeds if own else 0, "front_probability": own.probability if own else None}


def as_csv(search: SearchRecord, trials: Sequence[TrialRecord], standings: Mapping[int, TrialConfidence]) -> str:
    """Return one CSV line a trial, in the order given; the last column holds the architecture as JSON.

    Args:
        search: the search.
        trials: the trials.
        standings: what retraining says of them; see `confidence_of`.
    """
    names = _names(search, trials)
    confidence = {trial.number: confidence_of(standings, search.objectives, trial.number) for trial in trials}
    more = list(next(iter(confidence.values()), {}))
    out = io.StringIO()
    write = csv.writer(out, lineterminator="\n").writerow
    write(
        [
            spreadsheet_safe(c)
            for c in ["trial", "state", *names, *more, "seconds", "seed", "digest", "failure", "architecture"]
        ]
    )
    for trial in trials:
        values = [trial.measurements.get(name) for name in names]
        design = json.dumps(trial.architecture)
        values += confidence[trial.number].values()
        row = [trial.number, trial.state, *values, trial.seconds, trial.seed, trial.digest, trial.failure_kind, design]
        write([spreadsheet_safe("" if cell is None else cell) for cell in row])
    return out.getvalue()


def as_json(search: SearchRecord, trials: Sequence[TrialRecord], standings: Mapping[int, TrialConfidence]) -> str:
    """Return the search and its trials as JSON; numbers that are not finite are null.

    Args:
        search: the search.
        trials: the trials.
        standings: what retraining says of them; see `confidence_of`.
    """

    def plain(trial: TrialRecord) -> dict[str, Any]:
        return {
            "trial": trial.number,
            "state": trial.state,
            **{name: value if math.isfinite(value) else None for name, value in trial.measurements.items()},
            **confidence_of(standings, search.objectives, trial.number),
            "seconds": trial.seconds,
            "seed": trial.seed,
            "digest": trial.digest,
            "failure": trial.failure_kind,
            "architecture": trial.architecture,
        }

    head = {"search": search.name, "objectives": list(search.objectives), "settings": search.settings.to_dict()}
    return json.dumps({**head, "trials": [plain(trial) for trial in trials]}, indent=1)
