"""Everything that a report shows, read from a ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybrid_search.analysis.effects import SearchEffects, search_effects
from hybrid_search.analysis.front_result import FrontResult, read_front_result
from hybrid_search.analysis.picks.pick import Pick, pick_trial
from hybrid_search.analysis.status import SearchStatus, status_of
from hybrid_search.charts.curve import CurveNumbers, read_curves
from hybrid_search.charts.design import Design, design_or_outline
from hybrid_search.charts.front import FrontNumbers, read_panels
from hybrid_search.charts.hypervolume import HypervolumeNumbers, read_hypervolume
from hybrid_search.charts.training_curves import TrainingCurve, read_trainings
from hybrid_search.errors import UnknownName
from hybrid_search.ledger import Ledger, SplitUse, reads
from hybrid_search.records import SearchRecord, TrialRecord

DEFAULT_PICKS = ("knee", "best")


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        search: the search.
        status: its status.
        front: its front.
        retrained: every trial with fresh seeds; its measurements are means over them.
        panels: the front on each pair of axes that a reader needs.
        effects: where attention helps; None if the search has costs only.
        picks: the chosen designs, each once.
        designs: their parts, by trial number.
        curves: their learning curves in the search.
        trainings: the curves of the newest full trainings.
        hypervolume: the hypervolume over trials.
        facts: name of a fact -> its value -> number of completed trials.
        openings: the uses of the test split.
        failures: the last line of each failed attempt of a trial that failed, by kind.
    """

    search: SearchRecord
    status: SearchStatus
    front: FrontResult
    retrained: Mapping[int, TrialRecord]
    panels: Sequence[FrontNumbers]
    effects: SearchEffects | None
    picks: Sequence[Pick]
    designs: Mapping[int, Design]
    curves: CurveNumbers
    trainings: Sequence[TrainingCurve]
    hypervolume: HypervolumeNumbers
    facts: Mapping[str, Mapping[str, int]]
    openings: Sequence[SplitUse]
    failures: Mapping[str, str]


def read_report(ledger: Ledger, record: SearchRecord, picks: Sequence[str] | None = None) -> ReportData:
    """Read everything that a report shows.

    Args:
        ledger: the ledger.
        record: the search.
        picks: the designs to draw, as `pick_trial` takes them; None: the knee and the best one, if there are any.

    Raises:
        UserError: a pick is unknown, or no completed trial fulfils it.
    """
    front = read_front_result(ledger, record)
    chosen: dict[int, Pick] = {}
    for text in (DEFAULT_PICKS if front.numbers else ()) if picks is None else picks:
        pick = pick_trial(ledger, record, text)
        chosen.setdefault(pick.trial.number, pick)
    numbers = [number for number, each in front.confidences.items() if each.seeds]
    return ReportData(
        record,
        status_of(ledger, record),
        front,
        {trial.number: trial for trial in ledger.read(reads.trials, record.id, numbers)},
        read_panels(ledger, record),
        _effects(ledger, record),
        tuple(chosen.values()),
        {
            number: design_or_outline(pick.trial.architecture, record.input_size, record.classes)
            for number, pick in chosen.items()
        },
        read_curves(ledger, record, tuple(chosen)),
        read_trainings(ledger, record, ()),
        read_hypervolume(ledger, record),
        ledger.read(reads.fact_counts, record.id),
        ledger.read(reads.openings, record.id),
        {failed.kind: _last_line(failed.text) for failed in ledger.read(reads.failures, record.id)},
    )


def _effects(ledger: Ledger, record: SearchRecord) -> SearchEffects | None:
    try:
        return search_effects(ledger, record)
    except UnknownName:  # it has costs only
        return None


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no error text"
