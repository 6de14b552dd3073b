"""`hybrid-search front`: the Pareto front of a search, with intervals once trials were retrained."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.baseline_table import print_baselines
from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import OUTPUT, Database, FormatOption, SearchName
from hybrid_search.cli.output import Format, print_rows, say
from hybrid_search.cli.training_table import list_trainings

if TYPE_CHECKING:
    from hybrid_search.analysis.confidence import TrialConfidence
    from hybrid_search.ledger import Ledger
    from hybrid_search.objectives import Objective
    from hybrid_search.records import SearchRecord, TrialRecord


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(front)


def front(
    name: SearchName = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            rich_help_panel=OUTPUT,
            help="More columns of the table, separated by commas: seconds (training time of a trial), or the name of a "
            "measurement, such as latency or train_loss.",
        ),
    ] = None,
    db: Database = None,
    form: FormatOption = Format.table,
) -> None:
    """Print the Pareto front of a search, best accuracy first."""
    from hybrid_search.ledger import Ledger

    more = [part.strip() for part in columns.split(",")] if columns is not None else []
    with Ledger(db, read_only=True) as ledger:
        print_front(ledger, ledger.search(name), form, columns=more)


def print_front(
    ledger: "Ledger",
    record: "SearchRecord",
    form: Format,
    notice: Callable[[str], None] = say,
    columns: Sequence[str] = (),
) -> None:
    """Print the front of one search.

    Args:
        ledger: The ledger.
        record: The search.
        form: Table, JSON (objects with trial, objectives, digest and architecture) or CSV.
        notice: Called with a line for each known design that is not on the front, and for each baseline.
        columns: More columns: `seconds`, or names of measurements.

    Raises:
        UnknownName: No trial of the front has such a column.
    """
    from hybrid_search.analysis.front_result import front_rows, read_front_result, with_other_networks
    from hybrid_search.ledger import reads
    from hybrid_search.records import TRAINED

    objectives = record.all_objectives()
    result = read_front_result(ledger, record)
    names, numbers, knee, confidences = result.names, result.numbers, result.knee, result.confidences
    if result.not_retrained:
        notice(
            f"trials {', '.join(map(str, result.not_retrained))} were not retrained yet. With their single seed they "
            "would be on the front, but means are not compared with single seeds"
        )
    more = _more_columns(columns, list(result.trials.values()), objectives)
    further = {n: {column: value(result.trials[n]) for column, (value, _) in more.items()} for n in numbers}
    rows = front_rows(result, further, csv=form is Format.csv)
    if form is not Format.table:
        rows = with_other_networks(rows, result, csv=form is Format.csv)
    if form is Format.json:
        print_rows([{name: value for name, value in row.items() if name != "design"} for row in rows], form)
        return
    if form is Format.csv:
        print_rows(rows, form)
        return
    if not rows:
        say(f"search {record.name!r} has no complete trial yet, so its front is empty")
        return
    for row in rows:
        row["trial"] = f"{row['trial']}{'*' if row['knee'] else ''}"
        if row.get("known_as"):
            row["design"] = f"{row['known_as']}: {row['design']}"
    complete = ledger.read(reads.counts, record.id).get("complete", 0)
    made = "trained network" if record.evaluation == TRAINED else "evaluated network"
    title = f"Front of {record.name}: {len(rows)} of {counted(complete, made)}"
    title += ", * is the knee" if any(row["knee"] for row in rows) else ""
    present = [name for name in names if any(row[name] is not None for row in rows)]
    if confidences:
        shown = [
            objectives[name] for name in present if name != "params" or name in record.objectives
        ]  # a line has limited width
        lines = [
            _row_with_intervals(row, confidences.get(number), shown, record.tuned, more)
            for number, row in zip(numbers, rows, strict=True)
        ]
        intervals = any(confidence.intervals for confidence in confidences.values())
        note = "± is half the 95 % interval" if intervals else "intervals need two fresh seeds"
        print_rows(_right_aligned(lines), form, title=f"{title}; {note}")
    else:
        texts = {"trial": str, **{name: objectives[name].text for name in present}}
        texts |= {column: text for column, (_, text) in more.items()}
        texts |= {**dict.fromkeys(record.tuned, "{:.3g}".format), "design": str}
        print_rows(rows, form, title=title, columns=texts)
    if knee is not None:
        notice(
            f"trial {knee.number} is {knee.why}" if knee.exists else f"--pick knee is trial {knee.number}: {knee.why}"
        )
    _list_known_designs(ledger, record, result.known, numbers, notice)
    print_baselines(result.baselines, record, result.values, notice)
    list_trainings(result.trainings, notice)


def _more_columns(
    names: Sequence[str], trials: "Sequence[TrialRecord]", objectives: "Mapping[str, Objective]"
) -> "dict[str, tuple[Callable[[TrialRecord], float | None], Callable[[float | None], str]]]":
    """Return the further columns by name: each with its value for a trial, and the text of a value.

    Args:
        names: `seconds`, or names of measurements.
        trials: The trials of the front.
        objectives: The objectives of the table and of the search, which know their units.

    Raises:
        UnknownName: No trial has such a measurement.
    """
    from hybrid_search.errors import UnknownName, nearest

    possible = ["seconds", *sorted({name for trial in trials for name in trial.measurements})]
    found: dict[str, tuple[Callable[[TrialRecord], float | None], Callable[[float | None], str]]] = {}
    for name in names:
        if trials and name not in possible:
            raise UnknownName(f"--columns must be of {', '.join(possible)}; got {name!r}.{nearest(name, possible)}")
        if name == "seconds":
            found[name] = (lambda trial: trial.seconds), lambda value: "-" if value is None else f"{value:.1f} s"
        elif name in objectives:
            found[name] = partial(_measurement, name=name), objectives[name].text
        else:
            found[name] = partial(_measurement, name=name), lambda value: "-" if value is None else f"{value:.4g}"
    return found


def _measurement(trial: "TrialRecord", name: str) -> float | None:
    return trial.measurements.get(name)


def _list_known_designs(
    ledger: "Ledger",
    record: "SearchRecord",
    known: Mapping[str, str],
    front: Sequence[int],
    notice: Callable[[str], None],
) -> None:
    """Print the results of the known designs that are not on the front."""
    from hybrid_search.ledger import reads

    off = [number for number in range(4 * len(known)) if number not in front]  # known designs are the first trials
    for trial in ledger.read(reads.trials, record.id, off) if known else []:
        if trial.state == "complete" and trial.digest in known:
            values = ", ".join(kind.text(trial.measurements.get(kind.name)) for kind in record.objective_list)
            notice(f"not on the front: trial {trial.number}, {known[trial.digest]}: {values}")


def _row_with_intervals(
    row: Mapping[str, Any],
    confidence: "TrialConfidence | None",
    objectives: "Sequence[Objective]",
    tuned: Sequence[str],
    more: "Mapping[str, tuple[Any, Callable[[float | None], str]]]",
) -> dict[str, str]:
    """Return one line of the table with intervals; `tuned` names the settings that differ from trial to trial."""
    from hybrid_search.analysis.baseline_results import value_with_interval
    from hybrid_search.analysis.front_result import probability_text

    line = {"trial": row["trial"]}
    for objective in objectives:
        name = objective.name
        interval = confidence.intervals.get(name) if confidence else None
        line[name] = value_with_interval(objective, row[name], interval)
        if name == "accuracy":
            test = row["test_accuracy"]
            line |= {"test": objective.text(test), "seeds": str(row["seeds"] or "-")}
            line["on front"] = probability_text(row["front_probability"])
        elif (test := f"test_{name}") in row:
            line["test bal. acc." if name == "balanced_accuracy" else "test macro F1"] = objective.text(row[test])
    line |= {column: text(row[column]) for column, (_, text) in more.items()}
    return line | {name: f"{row[name]:.3g}" for name in tuned} | {"design": row["design"]}


def _right_aligned(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return the same lines with every column but the design padded on the left."""
    width = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    return [{name: text if name == "design" else text.rjust(width[name]) for name, text in row.items()} for row in rows]
