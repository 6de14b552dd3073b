"""Cells of the tables of a report: a number as people read it, with its exact value."""

from hybrid_search.objectives import Objective
from hybrid_search.report.blocks import Cell


def value_cell(objective: Objective, value: float | None) -> Cell:
    """Return the cell of a measurement.

    Args:
        objective: what is measured; it knows the unit.
        value: the number; None: "-".
    """
    return Cell(objective.text(value), value)


def interval_cell(objective: Objective, interval: tuple[float, float] | None) -> Cell:
    """Return the cell of a 95 % interval: `96.10 to 98.20 %`.

    Args:
        objective: what is measured.
        interval: its ends; None: "-".
    """
    if interval is None:
        return Cell("-")
    low, high = (objective.text(end) for end in interval)
    return Cell(f"{low.removesuffix(' %') if high.endswith(' %') else low} to {high}")


def count_cell(count: int) -> Cell:
    """Return the cell of a count: `1,200`."""
    return Cell(f"{count:,}", count)


def seconds_cell(seconds: float | None) -> Cell:
    """Return the cell of a time in seconds, minutes or hours; None: "-"."""
    if seconds is None:
        return Cell("-")
    if seconds < 120:
        return Cell(f"{seconds:.1f} s", seconds)
    return Cell(f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h", seconds)
