"""The panel of one selected trial, or of two compared: architecture, numbers, stages, charts, export command."""

from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from hybrid_search.charts import Chart, Design, Theme, diagram_svg, differences
from hybrid_search.charts.design import design_or_outline
from hybrid_search.dashboard.chart_cards import charts_of_trials, picture
from hybrid_search.dashboard.layout import attributes
from hybrid_search.dashboard.numbers_table import facts_table
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.dashboard.stage_table import stage_table
from hybrid_search.dashboard.trial_end import trial_end
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import SearchRecord, TrialRecord

HINT = "Click a point or a row of the table to see its architecture. Click a second one to compare the two."


def trial_panel(
    snapshot: Snapshot, search: SearchRecord | None, pinned: Sequence[int], theme: Theme, charts: Sequence[Chart]
) -> list[Any]:
    """Return the panel below the front.

    Args:
        snapshot: the copy of the ledger.
        search: the search, None if there is none.
        pinned: the numbers of the selected trials.
        theme: the look of the charts.
        charts: every chart of the page.
    """
    if search is None or not pinned:
        return [html.H2("Selection"), html.P(HINT, className="note")]
    records = snapshot.read(lambda ledger: _read_trials(ledger, search, pinned))
    trials = [records[number] for number in pinned if number in records]
    if not trials:
        return [html.H2("Selection"), html.P(f"This search has no trial {pinned[0]}.", className="note")]
    designs = {t.number: design_or_outline(t.architecture, search.input_size, search.classes) for t in trials}
    pair = tuple(designs.values())
    marks = differences(pair[0], pair[1]) if len(pair) == 2 else frozenset[int]()
    ends = snapshot.read(lambda ledger: [trial_end(ledger, search, trial) for trial in trials])
    facts = facts_table(search, trials, snapshot.view(search).standings)
    pictures = [_architecture(trial, designs[trial.number], marks, theme) for trial in trials]
    numbers = tuple(trial.number for trial in trials)
    return [
        html.Div([html.H2(_heading(numbers)), _clear_button()], className="bar"),
        html.Div(
            [
                html.Div([*pictures, stage_table(_readable(designs), marks)], className="drawings"),
                html.Div([facts, *ends], className="side"),
            ],
            className="halves",
        ),
        html.Div(charts_of_trials(snapshot, search, numbers, theme, charts), className="pair"),
    ]


def _read_trials(ledger: Ledger, search: SearchRecord, numbers: Sequence[int]) -> dict[int, TrialRecord]:
    return {trial.number: trial for trial in ledger.read(reads.trials, search.id, numbers)}


def _readable(designs: Mapping[int, Design]) -> dict[int, Design]:
    return {number: design for number, design in designs.items() if design.unreadable is None}


def _heading(numbers: Sequence[int]) -> str:
    return f"Trial {numbers[0]}" if len(numbers) == 1 else f"Trials {' and '.join(map(str, numbers))}"


def _clear_button() -> html.Button:
    return html.Button("Clear selection", id="clear-selection", className="quiet", n_clicks=0)


def _architecture(trial: TrialRecord, design: Design, marks: frozenset[int], theme: Theme) -> html.Figure:
    """Return the picture of one architecture, and why its costs are unknown if they are."""
    caption = html.Figcaption([html.B(f"trial {trial.number}"), f" · {trial.digest}"])
    alternative = f"Architecture of trial {trial.number}: {design.text}"
    shown = [caption, picture(diagram_svg(design, theme, marks), alternative)]
    if design.unreadable is not None:
        shown.append(html.Pre(f"The costs are unknown here: {design.unreadable}", className="failure"))
    return html.Figure(shown, **attributes(data_diagram=str(trial.number)))
