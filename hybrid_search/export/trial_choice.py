"""Choose one trial of a search: the best, the knee of the front, or a number."""

import math
from typing import TYPE_CHECKING

from hybrid_search.analysis.confidence import confirmed_front
from hybrid_search.errors import SettingsError, UnknownName, nearest
from hybrid_search.ledger import reads
from hybrid_search.objectives import Objective
from hybrid_search.pareto import knee
from hybrid_search.records import SearchRecord, TrialRecord

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger


def choose_trial(ledger: "Ledger", record: SearchRecord, pick: str) -> TrialRecord:
    """Return one completed trial of a search.

    Args:
        ledger: the ledger of the search.
        record: the search.
        pick: "best" (by the first objective), "knee" (of the front), or the number of a trial.

    Raises:
        UnknownName: `pick` is none of these.
        SettingsError: the trial, or every trial, is not complete.

    Example:
        >>> with Ledger(read_only=True) as ledger:
        ...     trial = choose_trial(ledger, ledger.search("digits"), "knee")
    """
    if pick not in ("best", "knee"):
        return _by_number(ledger, record, pick)
    points, _ = ledger.read(reads.points, record.id, record.objectives)
    rows = {p.number: dict(p.values) for p in points if p.state == "complete"}
    retrained = ledger.read(reads.repeats, record.id, confirmed=True)
    numbers = confirmed_front(rows, retrained, record.objective_list).members
    if not numbers:
        raise SettingsError(f"pick {pick!r} (--pick) needs a completed trial; search {record.name!r} has none yet.")
    if pick == "best":
        return ledger.read(reads.trial, record.id, numbers[0])
    directions = [objective.direction for objective in record.objective_list]
    points_on_axes = [[_axis(each, rows[n][each.name]) for each in record.objective_list] for n in numbers]
    index = knee(points_on_axes, directions)
    return ledger.read(reads.trial, record.id, numbers[index])


def _by_number(ledger: "Ledger", record: SearchRecord, pick: str) -> TrialRecord:
    if not (pick.isascii() and pick.isdecimal() and len(pick) < 10):
        raise UnknownName(
            f"pick (--pick) must be best, knee or the number of a trial; got {pick!r}.{nearest(pick, ('best', 'knee'))}"
        )
    trial = ledger.read(reads.trial, record.id, int(pick))
    if trial.state != "complete":
        raise SettingsError(f"pick (--pick) must be a completed trial; trial {pick} of {record.name} is {trial.state}.")
    return trial


def _axis(objective: Objective, value: float) -> float:
    """Return the value on its axis; costs span decades, so the knee is found on their logarithm."""
    return math.log(value) if objective.known and value > 0 else value
