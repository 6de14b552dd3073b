"""One pinned trial, or two compared: the architecture drawn, its stages, its learning curve, how to take it home."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from dash import dcc, html

from hybrid_search.analysis.confidence import TEST, Standing
from hybrid_search.charts import (
    Design,
    Theme,
    cost_by_stage_figure,
    curve_figure,
    curve_numbers,
    design_numbers,
    diagram,
    differences,
)
from hybrid_search.charts.design import Part
from hybrid_search.charts.diagram import percent
from hybrid_search.dashboard.layout import attributes, graph
from hybrid_search.dashboard.snapshot import Watch
from hybrid_search.dashboard.summary import SYMBOLS
from hybrid_search.errors import UserError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.urls import database_url
from hybrid_search.objectives import OBJECTIVES, scaled
from hybrid_search.records import SearchRecord, TrialRecord
from hybrid_search.spaces.known_designs import known_names


def detail(watch: Watch, search: SearchRecord | None, pinned: Sequence[int], theme: Theme) -> list[Any]:
    """The panel below the charts."""
    if search is None or not pinned:
        hint = "Click a point, or a row of the table, to see its architecture. A second one is compared with it."
        return [html.H2("Selection"), html.P(hint, className="note")]
    found, curves = watch.ask(lambda ledger: _read(ledger, search, pinned))
    known = watch.view(search).standings
    trials = [found[number] for number in pinned if number in found]
    if not trials:
        return [html.H2("Selection"), html.P(f"This search has no trial {pinned[0]}.", className="note")]
    designs: dict[int, Design] = {}
    unreadable: dict[int, str] = {}
    for trial in trials:
        try:
            designs[trial.number] = design_numbers(trial.architecture, search.input_size, search.classes)
        except UserError as error:
            unreadable[trial.number] = str(error)
    two = tuple(designs.values())
    marks = differences(two[0], two[1]) if len(two) == 2 else frozenset()
    pictures = [
        _picture(trial, designs.get(trial.number), unreadable.get(trial.number), marks, theme) for trial in trials
    ]
    heading = (
        "Trial " + str(trials[0].number)
        if len(trials) == 1
        else "Trials " + " and ".join(str(t.number) for t in trials)
    )
    clear = html.Button("Clear selection", id="unpin", className="quiet", n_clicks=0)
    return [
        html.Div([html.H2(heading), clear], className="bar"),
        html.Div(
            [
                html.Div([*pictures, _stages(designs, marks)], className="drawings"),
                html.Div(
                    [_facts(search, trials, known), *(_taking(watch.ledger, search, trial) for trial in trials)],
                    className="side",
                ),
            ],
            className="halves",
        ),
        html.Div(
            [
                _graph("Learning curve", "curve", curve_figure(curve_numbers(curves), theme)),
                _graph("Cost by stage", "costs", cost_by_stage_figure(designs, theme)) if designs else html.Div(),
            ],
            className="pair",
        ),
    ]


def _read(
    ledger: Ledger, search: SearchRecord, numbers: Sequence[int]
) -> tuple[dict[int, TrialRecord], dict[int, Any]]:
    found = {trial.number: trial for trial in ledger.read(reads.trials, search.id, numbers)}
    return found, {number: ledger.read(reads.curve, found[number].id) for number in numbers if number in found}


def _graph(title: str, name: str, figure: Any) -> html.Div:
    return html.Div([html.H3(title), graph(f"{name}-graph", "low", figure, displayModeBar=False)], className="half")


def _picture(
    trial: TrialRecord, design: Design | None, unreadable: str | None, marks: frozenset[int], theme: Theme
) -> html.Figure:
    caption = html.Figcaption([html.B(f"trial {trial.number}"), f" · {trial.digest}"])
    if design is None:
        return html.Figure([caption, html.Pre(unreadable, className="failure")])
    svg = diagram(design, theme, marks)
    source = "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
    alternative = f"Architecture of trial {trial.number}: {design.text}"
    scroll = html.Div(
        html.Img(src=source, alt=alternative),
        className="scroll",
        tabIndex=0,
        role="group",
        **attributes(aria_label=alternative),
    )
    return html.Figure([caption, scroll], **attributes(data_diagram=str(trial.number)))


def _facts(search: SearchRecord, trials: Sequence[TrialRecord], known: Mapping[int, Standing]) -> html.Table:
    """Numbers of the trials side by side, with the difference where there are two."""
    names = list(dict.fromkeys([*search.objectives, *(n for n in OBJECTIVES for t in trials if n in t.measurements)]))
    two = len(trials) == 2
    head = [
        html.Th("", scope="col"),
        *(
            html.Th(f"{letter}: trial {t.number}" if two else f"trial {t.number}", scope="col")
            for letter, t in zip("AB", trials, strict=False)
        ),
    ]
    rows = [_fact_row("state", [f"{SYMBOLS[t.state]} {t.state}" for t in trials], two)]
    for name in names:
        values = [t.measurements.get(name) for t in trials]
        better = _better(name, values) if two else None
        texts = [
            OBJECTIVES[name].text(v) + _reach(name, known.get(t.number)) for t, v in zip(trials, values, strict=True)
        ]
        rows.append(_fact_row(OBJECTIVES[name].label, texts, two, better))
    rows += _confirmed_rows([known.get(t.number) for t in trials], two)
    rows.append(_fact_row("epochs", [f"{t.rung} of {t.settings.get('epochs', '?')}" for t in trials], two))
    rows.append(_fact_row("took", ["-" if t.seconds is None else f"{t.seconds:.3g} s" for t in trials], two))
    rows.append(_fact_row("seed", [str(t.seed) for t in trials], two))
    for name in search.tuned:
        rows.append(_fact_row(name.replace("_", " "), [f"{t.settings[name]:.3g}" for t in trials], two))
    names_of = known_names(search)
    if any(t.digest in names_of for t in trials):
        rows.append(_fact_row("known as", [names_of.get(t.digest, "-") for t in trials], two))
    rows.append(_fact_row("attempt", [str(t.attempt) for t in trials], two))
    rows.append(_fact_row("worker", [t.worker or "-" for t in trials], two))
    for name in dict.fromkeys(key for t in trials for key in t.facts if key != "worker"):
        rows.append(_fact_row(name, [str(t.facts.get(name, "-")) for t in trials], two))
    return html.Table([html.Thead(html.Tr(head)), html.Tbody(rows)], className="facts")


def _reach(name: str, standing: Standing | None) -> str:
    """A number's 95 % interval in brackets, empty where there is none."""
    interval = standing.intervals.get(name) if standing else None
    if interval is None:
        return ""
    low, high = (OBJECTIVES[name].text(end) for end in interval)
    return f" ({low.removesuffix(' %')} to {high})"


def _confirmed_rows(standings: Sequence[Standing | None], two: bool) -> list[html.Tr]:
    """What a confirmation adds: no row where none of these trials was retrained."""
    if not any(standing and standing.seeds for standing in standings):
        return []
    tests, seeds, chances = [], [], []
    for standing in standings:
        retrained = standing if standing and standing.seeds else None
        test = retrained.intervals.get(TEST) if retrained else None
        reach = "" if test is None else f" ({100 * test[0]:.2f} to {100 * test[1]:.2f} %)"
        tests.append(OBJECTIVES["accuracy"].text(retrained.test if retrained else None) + reach)
        seeds.append(f"mean over {retrained.seeds} fresh" if retrained else "that of the search")
        chance = standing.probability if standing else 0.0
        chances.append("-" if chance is None else f"{100 * chance:.0f} %")
    return [
        _fact_row("test accuracy", tests, two),
        _fact_row("probability of the front", chances, two),
        _fact_row("seeds", seeds, two),
    ]


def _better(name: str, values: Sequence[float | None]) -> int | None:
    one, other = values
    if one is None or other is None or one == other:
        return None
    return int((other > one) == (OBJECTIVES[name].direction == "maximize"))


def _fact_row(name: str, texts: Sequence[str], two: bool, better: int | None = None) -> html.Tr:
    cells = [
        html.Td([text, html.Span(" better", className="better") if better == i else None])
        for i, text in enumerate(texts)
    ]
    return html.Tr([html.Th(name, scope="row"), *cells], className="differs" if two and len(set(texts)) > 1 else "")


def _stages(designs: Mapping[int, Design], marks: frozenset[int]) -> Any:
    if not designs:
        return html.Div()
    two = len(designs) == 2
    longest = max(len(design.parts) for design in designs.values())
    rows = []
    for position in range(longest):
        parts = {n: d.parts[position] for n, d in designs.items() if position < len(d.parts)}
        differs = position in marks
        for number, part in parts.items():
            rows.append(_stage_row(number if two else None, part, differs))
    named = (["trial"] if two else []) + [
        "part",
        "operator",
        "blocks",
        "map",
        "channels",
        "options",
        "FLOPs",
        "parameters",
    ]
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in named]))
    table = html.Table([html.Caption("Stage by stage"), head, html.Tbody(rows)], className="stages")
    return html.Div(table, className="scroll", tabIndex=0, role="group", **attributes(aria_label="Stage by stage"))


def _stage_row(number: int | None, part: Part, differs: bool) -> html.Tr:
    glyph = {"conv": "■ ", "attention": "● "}.get(part.kind, "")
    options = ", ".join(f"{name} {value}" for name, value in part.options) or "-"
    cells: list[Any] = (
        [] if number is None else [html.Td([str(number), html.Span(" ≠", title="differs") if differs else None])]
    )
    cells += [
        html.Th(part.name, scope="row"),
        html.Td([html.Span(glyph, className=part.kind), part.operator]),
        html.Td(str(part.depth)),
        html.Td(f"{part.rows} x {part.cols}"),
        html.Td(str(part.channels)),
        html.Td(options, className="options"),
        html.Td(f"{scaled(part.flops).strip()} · {percent_text(part.flops_share)}", className="number"),
        html.Td(f"{scaled(part.params).strip()} · {percent_text(part.params_share)}", className="number"),
    ]
    return html.Tr(cells, className="differs" if differs else "")


def percent_text(share: float) -> str:
    """`percent` for text that is not markup."""
    return percent(share).replace("&lt;", "<")


def _taking(ledger: Ledger, search: SearchRecord, trial: TrialRecord) -> html.Div:
    """How to take the trial home, or why it failed; attempts at it that failed before, and failed retrainings."""
    shown: list[Any] = []
    failures = ledger.read(reads.failures, search.id, trial.number)
    before = [failed for failed in failures if failed.seed is None and failed.attempt < trial.attempt]
    again = [failed for failed in failures if failed.seed is not None]
    if before:
        shown.append(html.H3("Attempts that failed before"))
        for failed in before:
            where = f" on {failed.worker}" if failed.worker else ""
            when = f"{failed.failed:%Y-%m-%d %H:%M:%S} UTC"
            shown.append(html.P(f"Attempt {failed.attempt}: {failed.kind} after rung {failed.rung}{where}, {when}"))
            shown.append(html.Pre(failed.text or "no text was recorded", className="failure"))
    if again:
        shown.append(html.H3("Retrainings that failed"))
        for failed in again:
            shown.append(html.P(f"Seed {failed.seed}: {failed.kind}, {failed.failed:%Y-%m-%d %H:%M:%S} UTC"))
            shown.append(html.Pre(failed.text or "no text was recorded", className="failure"))
    if trial.state == "failed":
        shown.append(html.H3(f"Why trial {trial.number} failed: {trial.failure_kind or 'unknown'}"))
        shown.append(html.Pre(trial.failure_text or "no text was recorded", className="failure"))
    if trial.state == "complete":
        command = export_command(ledger, search, trial.number)
        shown.append(html.H3(f"Export trial {trial.number}"))
        copy = dcc.Clipboard(content=command, title="Copy the command", className="copy")
        shown.append(
            html.Div(
                [html.Code([part for word in command.split(" ") for part in (html.Span(word), " ")][:-1]), copy],
                className="command",
            )
        )
    return html.Div(shown)


def export_command(ledger: Ledger, search: SearchRecord, number: int) -> str:
    """The exact command that exports a trial; a database that is not the default is named, its password never."""
    folder = "".join(c if c.isascii() and c.isalnum() else "-" for c in search.name).strip("-") or "search"
    words = ["hybrid-search", "export", "--pick", str(number)]
    if ledger.url != database_url() and ledger.url.password is None:
        words += ["--db", ledger.display_url]
    if search.name.startswith("-"):
        words += ["--", search.name, f"{folder}-{number}"]
    else:
        words[2:2] = [search.name, f"{folder}-{number}"]
    return shlex.join(words)
