"""The contract of a chart: records -> plain numbers -> a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hybrid_search.charts.theme import Theme
from hybrid_search.ledger import Ledger
from hybrid_search.records import SearchRecord


@dataclass(frozen=True)
class Chart:
    """One kind of chart: a function that reads its numbers from a ledger, and one that draws them.

    Args:
        name: the name in the table `CHARTS`.
        title: the heading above the chart, plain text.
        subject: "search" for a chart of all trials, "trials" for a chart of the one or two selected trials.
        read: called with the ledger, the search and the numbers of the selected trials (empty for a chart of the
            search); returns plain values: numbers, text, tuples, mappings, dataclasses. It must not import plotly.
        draw: called with these numbers and a theme; returns a plotly figure, or SVG text if `svg`. It must escape
            every text that comes from a ledger.
        svg: whether `draw` returns SVG text.
        height: "low", or "tall" for a chart of many rows; a tall chart of the search has the width of the page.

    Example:
        >>> from hybrid_search.ledger import reads
        >>> def read(ledger, search, trials):
        ...     return [trial.seconds for trial in ledger.read(reads.trials, search.id)]
        >>> def draw(seconds, theme):
        ...     return go.Figure(go.Histogram(x=seconds), layout=figure_layout(theme))
        >>> SECONDS = Chart("seconds", "Time per trial", "search", read, draw)
    """

    name: str
    title: str
    subject: Literal["search", "trials"]
    read: Callable[[Ledger, SearchRecord, tuple[int, ...]], Any]
    draw: Callable[[Any, Theme], Any]
    svg: bool = False
    height: Literal["low", "tall"] = "low"
