"""Chart `seconds`: how long the completed trials took."""

from typing import Any

from hybrid_search.charts import Chart, Theme
from hybrid_search.charts.theme import figure_layout
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import SearchRecord


def read(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> list[float]:
    """Return the seconds of every completed trial."""
    return [trial.seconds for trial in ledger.read(reads.trials, search.id) if trial.seconds is not None]


def draw(seconds: list[float], theme: Theme) -> Any:
    """Return a histogram."""
    import plotly.graph_objects as go

    bars = go.Histogram(x=seconds, marker_color=theme.convolution)
    return go.Figure(bars, figure_layout(theme, xaxis_title="seconds", yaxis_title="trials"))


SECONDS = Chart("seconds", "Time of the trials", "search", read, draw)
