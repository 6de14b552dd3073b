"""The sections of a report about networks: the chosen designs, their cost and latency, and their training."""

from functools import partial

from hybrid_search.charts.design import Design
from hybrid_search.charts.diagram import diagram_svg, percent_text
from hybrid_search.charts.svg import curve_svg, hypervolume_svg, trainings_svg
from hybrid_search.charts.theme import Theme
from hybrid_search.objectives import BUILT_IN, scaled
from hybrid_search.records import TRAINED, TrialRecord
from hybrid_search.report.blocks import Block, Cell, Column, DataTable, Paragraph, Picture, Section
from hybrid_search.report.cells import count_cell, seconds_cell, value_cell
from hybrid_search.report.report_data import ReportData


def designs_section(data: ReportData) -> Section:
    """Return the section of the chosen designs: why, a drawing, and each part with its cost."""
    if not data.picks:
        return Section("Chosen designs", "designs", (Paragraph("No trial is complete yet, so none can be chosen."),))
    found: list[Block] = []
    for index, pick in enumerate(data.picks, start=1):
        design = data.designs[pick.trial.number]
        found += [
            Paragraph(f"Trial {pick.trial.number} ({pick.numbers}): {pick.why}."),
            Picture(
                f"design-{index}",
                f"Trial {pick.trial.number}, architecture {pick.trial.digest}.",
                partial(_drawing, design),
                resizes=False,
            ),
        ]
        if design.unreadable is None:
            title = f"Trial {pick.trial.number}, part by part"
            found.append(parts_table(f"parts-{index}", title, design))
        else:
            found.append(Paragraph(f"The costs of its parts are unknown here: {design.unreadable}"))
    return Section("Chosen designs", "designs", tuple(found))


def _drawing(design: Design, theme: Theme, _width: float) -> str:
    return diagram_svg(design, theme)


def parts_table(name: str, title: str, design: Design) -> DataTable:
    """Return the table of the parts of a design: operator, map, options and cost.

    Args:
        name: the name of the table.
        title: the line above it.
        design: the design; its costs are known.
    """
    columns = [Column("part", False), Column("operator", False), Column("blocks"), Column("map"), Column("channels")]
    columns += [Column("options", False), Column("FLOPs"), Column("parameters")]
    rows = tuple(
        (
            Cell(part.name),
            Cell(part.label),
            count_cell(part.depth),
            Cell(f"{part.rows} x {part.cols}"),
            count_cell(part.channels),
            Cell(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in part.options) or "-"),
            Cell(f"{scaled(part.flops).strip()} ({percent_text(part.flops_share)})", part.flops),
            Cell(f"{scaled(part.params).strip()} ({percent_text(part.params_share)})", part.params),
        )
        for part in design.parts
    )
    return DataTable(name, title, tuple(columns), rows)


def cost_section(data: ReportData) -> Section | None:
    """Return the section of cost and latency of the front and of the chosen designs; None without a trial."""
    front = {number: data.front.trials[number] for number in data.front.numbers}
    trials = {**front, **{pick.trial.number: pick.trial for pick in data.picks}}
    if not trials:
        return None
    names = ("flops", "params", "latency_ms", "train_seconds")
    present = [name for name in names if any(name in trial.measurements for trial in trials.values())]
    columns = [Column("trial"), *(Column(BUILT_IN[name].label) for name in present), Column("time of the whole trial")]
    columns.append(Column("measured on", False))
    rows = tuple(
        (
            Cell(str(number), number),
            *(value_cell(BUILT_IN[name], trial.measurements.get(name)) for name in present),
            seconds_cell(trial.seconds),
            Cell(_device(trial)),
        )
        for number, trial in trials.items()
    )
    words = "FLOPs are 2 x MACs of one image. FLOPs and parameters are exact."
    if "latency_ms" in present:
        words += (
            " Latency is that of one image in PyTorch, measured at the end of the training on the device of the last "
            "column, beside whatever else ran there: it ranks designs of one device only."
        )
    else:
        words += " Latency was not measured."
    title = "Cost of the front and of the chosen designs"
    blocks = (Paragraph(words), DataTable("cost", title, tuple(columns), rows))
    return Section("Cost and latency", "cost", blocks)


def _device(trial: TrialRecord) -> str:
    facts = trial.facts
    words = [facts.get("gpu") or facts.get("device", ""), facts.get("cpu", "")]
    return ", ".join(dict.fromkeys(word for word in words if word)) or "-"


def training_section(data: ReportData) -> Section | None:
    """Return the section of training curves and of the progress of the search; None before the first trial."""
    found: list[Block] = []
    if any(epochs for epochs, _ in data.curves.curves.values()):
        trials = ", ".join(f"trial {number}" for number in data.curves.curves)
        found.append(
            Picture(
                "curves",
                f"The chosen designs in the search: {trials}.",
                lambda theme, width: curve_svg(data.curves, theme, width=width),
            )
        )
    if data.front.trainings:
        found += [_trainings_table(data)]
        if any(each.epochs for each in data.trainings):
            found.append(
                Picture(
                    "trainings",
                    "Full trainings: validation accuracy after each epoch.",
                    lambda theme, width: trainings_svg(data.trainings, theme, width=width),
                )
            )
    elif found:
        trained = data.search.evaluation == TRAINED
        found.append(
            Paragraph(
                "No design was trained in full yet: `hybrid-search train` does it."
                if trained
                else "The values are those of an evaluation of its own."
            )
        )
    if data.hypervolume.values:
        reference = data.hypervolume.reference_text
        estimated = "" if data.hypervolume.exact else " It is estimated from random points."
        found.append(
            Picture(
                "hypervolume",
                f"Hypervolume of the front, from the reference point {reference}.{estimated}",
                lambda theme, width: hypervolume_svg(data.hypervolume, theme, width=width),
            )
        )
    return Section("Training", "training", tuple(found)) if found else None


def _trainings_table(data: ReportData) -> DataTable:
    accuracy = BUILT_IN["accuracy"]
    names = ("design", "recipe")
    columns = [Column("training"), *(Column(name, False) for name in names), Column("seed"), Column("epochs")]
    columns += [Column("validation accuracy"), Column("test accuracy"), Column("time"), Column("failure", False)]
    rows = tuple(
        (
            Cell(str(each.number), each.number),
            Cell(each.design),
            Cell(each.recipe),
            Cell(str(each.seed), each.seed),
            count_cell(each.settings["epochs"]),
            value_cell(accuracy, each.measurements.get("accuracy")),
            value_cell(accuracy, each.measurements.get("test_accuracy")),
            seconds_cell(each.measurements.get("train_seconds")),
            Cell(each.failure_kind or "-"),
        )
        for each in data.front.trainings
    )
    return DataTable("trainings", "Full trainings", tuple(columns), rows)
