"""The sections of a report about its origin: settings, environment, failures, and how to reproduce the search."""

from hybrid_search._internal.counted import counted
from hybrid_search.records import STATES
from hybrid_search.report.blocks import Block, Bullets, Cell, Code, Column, DataTable, Paragraph, Section
from hybrid_search.report.report_data import ReportData
from hybrid_search.report.reproduction import reproduction

HIDDEN_FACTS = ("worker", "host", "settings", "architecture", "data")  # names of machines, and what stands elsewhere
MOST_VALUES = 4
WORDS = {"stopped": "pruned", "complete": "completed"}


def settings_section(data: ReportData) -> Section:
    """Return the section of the configuration of the search and the settings of its training."""
    search = data.search
    channels, rows, cols = search.input_size
    budget = [f"{name} {value:,.0f}" for name, value in (("FLOPs", search.max_flops), ("parameters", search.max_params))
              if value is not None]  # fmt: skip
    facts = {
        "space": str(search.space.get("name", "-")),
        "objectives": ", ".join(f"{each.name} ({each.direction})" for each in search.objective_list),
        "sampler": search.sampler,
        "pruner": search.pruner,
        "seed of the proposals": str(search.seed),
        "trials": f"{search.target:,}",
        "budget": ", ".join(budget) or "none",
        "known designs first": "yes" if search.known_designs else "no",
        "images": f"{channels} x {rows} x {cols}, {counted(search.classes, 'class').replace('classs', 'classes')}",
        "evaluation": search.evaluation,
        "settings tuned with each design": ", ".join(search.tuned) or "none",
    }
    rules = tuple((Cell(name), Cell(value)) for name, value in facts.items())
    trained = tuple((Cell(name), Cell("-" if value is None else str(value))) for name, value in _settings(data))
    columns = (Column("setting", False), Column("value", False))
    return Section(
        "Settings",
        "settings",
        (
            DataTable("search", "The search", columns, rules),
            DataTable("training-settings", "The training of each trial", columns, trained),
        ),
    )


def _settings(data: ReportData) -> list[tuple[str, object]]:
    return list(data.search.settings.to_dict().items())


def environment_section(data: ReportData) -> Section:
    """Return the section of machine, versions and data, and of what was left out or failed."""
    found: list[Block] = []
    rows = []
    for name, values in data.facts.items():
        if name in HIDDEN_FACTS:
            continue
        several = len(values) > 1
        texts = [f"{value or 'none'}{f' ({count:,})' if several else ''}" for value, count in values.items()]
        more = f" and {len(texts) - MOST_VALUES:,} more" if len(texts) > MOST_VALUES else ""
        rows.append((Cell(name.replace("_", " ")), Cell(", ".join(texts[:MOST_VALUES]) + more)))
    if rows:
        title = "What the completed trials report; with several values, the number of trials"
        found.append(DataTable("environment", title, (Column("fact", False), Column("value", False)), tuple(rows)))
    else:
        found.append(Paragraph("No trial is complete yet, so machine and versions are unknown."))
    if data.status.data_notes:
        found += [Paragraph("Data:"), Bullets(data.status.data_notes)]
    counts = ", ".join(f"{data.status.counts[state]:,} {WORDS.get(state, state)}" for state in STATES)
    found.append(Paragraph(f"Trials: {counts}."))
    if data.status.failures:
        lines = tuple(
            f"{kind}: {count:,}. The last: {data.failures.get(kind, '-')}"
            for kind, count in data.status.failures.items()
        )
        found += [Paragraph("Failed attempts by kind:"), Bullets(lines)]
    return Section("Environment", "environment", tuple(found))


def reproduction_section(data: ReportData) -> Section:
    """Return the section with the space as a file, and the commands that repeat the search."""
    found = reproduction(data)
    blocks: list[Block] = [Paragraph(found.words)]
    if found.space is not None:
        blocks += [Paragraph(f"{found.file}:"), Code(found.space, "yaml")]
    blocks += [Code("\n".join(found.commands))] if found.commands else []
    blocks += [Bullets(found.notes)] if found.notes else []
    return Section("How to reproduce", "reproduce", tuple(blocks))
