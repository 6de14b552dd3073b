"""Chart `seconds`: how long the completed trials took."""

from typing import Any

from hybrid_search.charts import Chart, Theme
from hybrid_search.ledger import Ledger
from hybrid_search.records import SearchRecord


def read(ledger: Ledger, search: SearchRecord, trials: tuple[int, ...]) -> list[float]:
    """Return the seconds of every completed trial."""
    return [trial.seconds for trial in ledger.trials(search.id) if trial.seconds is not None]


def draw(seconds: list[float], theme: Theme) -> Any:
    """Return a histogram."""
    import plotly.graph_objects as go

    return go.Figure(go.Histogram(x=seconds, marker_color=theme.conv), {"xaxis": {"title": "seconds"}})


SECONDS = Chart("seconds", "Time of the trials", "search", read, draw)
