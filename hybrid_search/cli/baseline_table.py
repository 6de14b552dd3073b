"""The baselines of a search below its front: a table, and a line for each comparison."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hybrid_search.cli.output import Format, print_rows

if TYPE_CHECKING:
    from hybrid_search.analysis.baseline_results import BaselineResult
    from hybrid_search.records import SearchRecord


def print_baselines(
    baselines: "Sequence[BaselineResult]",
    record: "SearchRecord",
    front: Mapping[int, Mapping[str, float]],
    notice: Callable[[str], None],
) -> None:
    """Print the table of the baselines and compare each with the front; nothing if there are none.

    Args:
        baselines: The results of the baselines.
        record: The search.
        front: The values of the trials on the front, by number.
        notice: Called with each comparison.
    """
    from hybrid_search.analysis.baseline_results import compare_with_front, value_with_interval
    from hybrid_search.networks.network import network_line

    if not baselines:
        return
    names = list(dict.fromkeys([*record.objectives, "accuracy", "flops", "params"]))
    objectives = record.all_objectives()
    tested = any(each.test is not None for each in baselines)
    rows = []
    for each in baselines:
        row = {"baseline": each.name}
        for name in names:
            if any(name in other.values for other in baselines):
                row[name] = value_with_interval(objectives[name], each.values.get(name), each.intervals.get(name))
        row |= {"test": objectives["accuracy"].text(each.test)} if tested else {}
        rows.append({**row, "seeds": str(each.seeds), "design": network_line(each.network)})
    width = {name: max(len(row[name]) for row in rows) for name in rows[0]}
    aligned = [
        {name: text if name in ("baseline", "design") else text.rjust(width[name]) for name, text in row.items()}
        for row in rows
    ]
    print_rows(aligned, Format.table, title=f"\nBaselines of {record.name}, never proposals")
    for each in baselines:
        notice(compare_with_front(each, front, record.objective_list))
    if any(each.seeds < 2 for each in baselines):
        notice(
            "a baseline with one seed has no interval, so a small difference may be noise; `confirm` trains more seeds"
        )
