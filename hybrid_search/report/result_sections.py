"""The sections of a report about results: the front, the confirmation, and where attention helps."""

from functools import partial

from hybrid_search._internal.counted import counted
from hybrid_search.analysis.baseline_results import compare_with_front, value_with_interval
from hybrid_search.analysis.effects.effects_document import difference_text, effect_rows
from hybrid_search.analysis.effects.matched_pairs import SIGNIFICANT
from hybrid_search.analysis.effects.model_effects import MOST_TRIALS as MODELLED
from hybrid_search.analysis.front_result import front_rows, probability_text
from hybrid_search.charts.axes import TRIAL
from hybrid_search.charts.effects_figure import effect_numbers
from hybrid_search.charts.families import family_of
from hybrid_search.charts.svg import effects_svg, front_svg
from hybrid_search.charts.theme import Theme
from hybrid_search.report.blocks import Block, Bullets, Cell, Column, DataTable, Paragraph, Picture, Section
from hybrid_search.report.cells import count_cell, interval_cell, value_cell
from hybrid_search.report.report_data import ReportData

SHOWN_PARAMETERS = 6


def front_section(data: ReportData) -> Section:
    """Return the section of the Pareto front."""
    found: list[Block] = []
    if not data.front.numbers:
        found.append(Paragraph("No trial is complete yet, so the front is empty."))
    else:
        for index, panel in enumerate(data.panels):
            found.append(Picture(f"front-{index + 1}", _front_caption(data, index), partial(_front, panel)))
        found += [_front_table(data), *_front_notes(data)]
    return Section("Pareto front", "front", tuple(found))


def _front(panel: object, theme: Theme, width: float) -> str:
    return front_svg(panel, theme, width=width)  # type: ignore[arg-type]


def _front_caption(data: ReportData, index: int) -> str:
    panel = data.panels[index]
    words = ["Large markers with the number of their trial: on the front. Pale markers: all other completed trials."]
    words += ["Error bars: 95 % intervals of the mean over fresh seeds."] if panel.bars else []
    words += ["Stars: baselines, which were never proposed."] if panel.baselines else []
    if panel.missing:
        words.append(f"{counted(panel.missing, 'completed trial')} without a finite number on an axis not drawn.")
    if not set(data.search.objectives) <= {panel.x.name, panel.y.name} and panel.x.name != TRIAL.name:
        words.append("The front is of all objectives, the line of these two axes.")
    return " ".join(words)


def _front_table(data: ReportData) -> DataTable:
    """Return the table of the front: the rows of `front --format json`."""
    result, search = data.front, data.search
    objectives = search.all_objectives()
    rows = front_rows(result)
    names = [name for name in result.names if any(row[name] is not None for row in rows)]
    columns = [Column("trial"), *(Column(objectives[name].label) for name in names)]
    columns += [Column(name.replace("_", " ")) for name in search.tuned]
    columns += [Column("known as", False)] if any(row.get("known_as") for row in rows) else []
    cells = []
    for row in rows:
        line = [Cell(f"{row['trial']}{' (knee)' if row['knee'] else ''}", row["trial"])]
        line += [value_cell(objectives[name], row[name]) for name in names]
        line += [Cell(f"{row[name]:.3g}", row[name]) for name in search.tuned]
        line += [Cell(row.get("known_as") or "-")] if columns[-1].name == "known as" else []
        cells.append((*line, Cell(row["design"])))
    title = f"The front: {len(rows):,} of {counted(data.status.counts['complete'], 'completed trial')}"
    return DataTable("front", title, (*columns, Column("design", False)), tuple(cells))


def _front_notes(data: ReportData) -> list[Block]:
    """Return what a reader must know before believing the front."""
    result = data.front
    found: list[Block] = []
    if result.knee is not None:
        knee, words = result.knee, "is" if result.knee.exists else "stands for the knee:"
        found.append(Paragraph(f"Trial {knee.number} {words} {knee.why}."))
    if not result.confidences:
        found.append(
            Paragraph(
                "The front was not confirmed. Each value is the result of one training, and the best of many results "
                "is on average too high. `hybrid-search confirm` trains the front again with fresh seeds."
            )
        )
    elif result.not_retrained:
        numbers = ", ".join(map(str, result.not_retrained))
        found.append(
            Paragraph(
                f"Trials {numbers} were not trained again yet. With their single seed they would be on the front, but "
                "means are not compared with single seeds."
            )
        )
    if result.baselines:
        lines = [compare_with_front(each, result.values, data.search.objective_list) for each in result.baselines]
        found += [_baselines(data), Bullets(tuple(lines))]
    return found


def _baselines(data: ReportData) -> DataTable:
    objectives = data.search.all_objectives()
    names = [name for name in data.front.names if any(name in each.values for each in data.front.baselines)]
    rows = [
        (
            Cell(each.name),
            *(
                Cell(
                    value_with_interval(objectives[name], each.values.get(name), each.intervals.get(name)),
                    each.values.get(name),
                )
                for name in names
            ),
            value_cell(objectives["accuracy"], each.test),
            count_cell(each.seeds),
        )
        for each in data.front.baselines
    ]
    columns = [Column("baseline", False), *(Column(objectives[name].label) for name in names)]
    columns += [Column("test accuracy"), Column("seeds")]
    return DataTable("baselines", "Baselines, trained like the trials and never proposed", tuple(columns), tuple(rows))


def confirmed_section(data: ReportData) -> Section | None:
    """Return the section of the confirmation; None if no trial was retrained."""
    if not data.retrained:
        return None
    objectives = data.search.all_objectives()
    measured = [objectives[name] for name in data.front.names if not objectives[name].known]
    costs = [objectives[name] for name in data.front.names if objectives[name].known]
    columns = [Column("trial"), Column("on the front", False), Column("fresh seeds")]
    for kind in measured:
        columns += [Column(kind.label), Column(f"95 % interval of {kind.label}")]
    columns += [Column("test accuracy"), Column("probability of the front"), *(Column(kind.label) for kind in costs)]
    rows = []
    order = [n for n in data.front.numbers if n in data.retrained]
    order += sorted(set(data.retrained) - set(order))
    for number in order:
        confidence, trial = data.front.confidences[number], data.retrained[number]
        values = data.front.values.get(number, trial.measurements)
        on_front = number in data.front.values
        line = [Cell(str(number), number), Cell("yes" if on_front else "no"), count_cell(confidence.seeds)]
        for kind in measured:
            line.append(value_cell(kind, values.get(kind.name)))
            line.append(interval_cell(kind, confidence.intervals.get(kind.name)))
        line.append(value_cell(objectives["accuracy"], confidence.test))
        line.append(Cell(probability_text(confidence.probability), confidence.probability))
        rows.append((*line, *(value_cell(kind, values.get(kind.name)) for kind in costs)))
    words = (
        "Means over fresh seeds. The seed of the search is left out, because a trial was selected for its result under "
        "that seed. The probability is that of being on the front of all true means."
    )
    found: list[Block] = [Paragraph(words), DataTable("confirmed", "Retrained trials", tuple(columns), tuple(rows))]
    if data.openings:
        last = data.openings[-1]
        times = "once" if len(data.openings) == 1 else f"{len(data.openings):,} times"
        found.append(
            Paragraph(
                f"The test split ({counted(last.images, 'image')}, fingerprint {last.fingerprint}) was used {times} "
                "for this search."
            )
        )
    return Section("Confirmed results", "confirmed", tuple(found))


def effects_section(data: ReportData) -> Section:
    """Return the section of the effects of operators."""
    effects = data.effects
    if effects is None:
        blocks: tuple[Block, ...] = (
            Paragraph("This search has costs only, so there is no accuracy that an operator could change."),
        )
        return Section("Where attention helps", "effects", blocks)
    numbers = effect_numbers(effects)
    if not numbers.rows:
        return Section("Where attention helps", "effects", (Paragraph(numbers.empty),))
    left_out = f" {counted(effects.left_out, 'other trial')} left out." if effects.left_out else ""
    found: list[Block] = [
        Paragraph(
            f"From {counted(effects.trials, 'trained design')}, with their result under the seed of the search."
            f"{left_out} Matched pairs are designs that are equal but for one choice. At equal FLOPs, a Gaussian "
            "process over FLOPs and operators predicts the difference; its interval holds under this model only. A "
            "difference is decided if it remains after the correction for the number of comparisons (p < 0.05, Holm)."
        ),
        Paragraph(_answer(data)),
        Picture("effects", _effects_caption(data), lambda theme, width: effects_svg(numbers, theme, width=width)),
        _effects_table(data),
    ]
    if effects.shares:
        found.append(_shares_table(data))
    matter = [each for each in effects.importances if each.share >= 0.01][:SHOWN_PARAMETERS]
    if matter:
        listed = ", ".join(f"{each.name} {100 * each.share:.0f} % ({each.favoured})" for each in matter)
        found.append(Paragraph(f"What brings a design near the front, with the favoured choice: {listed}."))
    if effects.questions:
        found.append(
            Paragraph(
                f"{counted(len(effects.questions), 'comparison')} could be decided by more pairs: "
                "`hybrid-search effects --pairs FILE` writes designs for them."
            )
        )
    return Section("Where attention helps", "effects", tuple(found))


def _answer(data: ReportData) -> str:
    """Return the decided comparisons of operators, blocks and stems in words."""
    assert data.effects is not None
    decided = [
        f"{row['place']}: {row['choice']} instead of {row['instead_of']} "
        f"{difference_text(data.effects.objective, row['difference'], row['low'], row['high'])}"
        for row in effect_rows(data.effects)
        if row["kind"] != "option" and row["p_value"] is not None and row["p_value"] < SIGNIFICANT
    ]
    if not any(family_of(share.choice) == "attention" for share in data.effects.shares):
        return "No choice of this search is between attention and another operator; the numbers are of other choices."
    if decided:
        return f"Decided by matched pairs, in {data.effects.objective.label}: {'; '.join(decided)}."
    return "Matched pairs decide no comparison: with these trials, no operator is shown to be better at any place."


def _effects_caption(data: ReportData) -> str:
    assert data.effects is not None
    words = "Each row compares a choice with an earlier one at one place. Filled: matched pairs. Hollow: the model."
    if data.effects.trials > MODELLED:
        words += f" The model uses {MODELLED:,} trials, drawn at random."
    return words


def _effects_table(data: ReportData) -> DataTable:
    """Return the comparisons of operators, blocks and stems: the rows of `effects --format json`."""
    assert data.effects is not None
    objective = data.effects.objective
    rows = []
    for row in effect_rows(data.effects):
        if row["kind"] == "option":
            continue
        decided = row["p_value"] is not None and row["p_value"] < SIGNIFICANT
        rows.append(
            (
                Cell(row["place"]),
                Cell("stem" if row["kind"] == "stem" else row["question"]),
                Cell(f"{row['choice']} - {row['instead_of']}"),
                Cell(f"{row['pairs']:,}" if row["pairs"] else "-", row["pairs"]),
                Cell(difference_text(objective, row["difference"], row["low"], row["high"]), row["difference"]),
                Cell("yes" if decided else "no"),
                Cell("-" if row["flops_ratio"] is None else f"x {row['flops_ratio']:.2f}", row["flops_ratio"]),
                Cell(
                    difference_text(objective, row["model_difference"], row["model_low"], row["model_high"]),
                    row["model_difference"],
                ),
            )
        )
    texts = ("place", "question", "comparison")
    names = (*texts, "pairs", "difference", "decided", "FLOPs ratio", "at equal FLOPs (model)")
    columns = tuple(Column(name, name not in (*texts, "decided")) for name in names)
    return DataTable("effects", f"Differences in {objective.label}", columns, tuple(rows))


def _shares_table(data: ReportData) -> DataTable:
    assert data.effects is not None
    objective = data.effects.objective
    rows = tuple(
        (
            Cell(share.factor.place),
            Cell(share.factor.question),
            Cell(share.choice),
            count_cell(share.trained),
            count_cell(share.on_front),
            value_cell(objective, share.best),
        )
        for share in data.effects.shares
    )
    texts = (Column("place", False), Column("question", False), Column("choice", False))
    columns = (*texts, Column("trained"), Column("on front"), Column(f"best {objective.label}"))
    return DataTable("operators", "Operators of the front beside all trained designs", columns, rows)
