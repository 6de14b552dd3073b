"""The table of charts, and a function that draws any of them.

To add a built-in chart: write its file, and add one line here. Another package adds an entry point of the group
`hybrid_search.charts` that names a `Chart`. The page shows every chart of this table.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from hybrid_search.charts.chart import Chart
from hybrid_search.charts.theme import LIGHT, Theme
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.plugins import Table
from hybrid_search.records import SearchRecord


def checked_chart(name: str, thing: object) -> Chart:
    """Return a plugin's object if it is a usable chart of this name.

    Raises:
        SettingsError: it is not a `Chart`, its name is another one, or its subject is unknown.
    """
    if not isinstance(thing, Chart):
        raise SettingsError(f"a chart must be a hybrid_search.charts.Chart; got {type(thing).__name__}.")
    if thing.name != name:
        raise SettingsError(f"a chart must be named like its entry point, {name!r}; got {thing.name!r}.")
    if thing.subject not in ("search", "trials"):
        raise SettingsError(f'the subject of a chart must be "search" or "trials"; got {thing.subject!r}.')
    return thing


CHARTS: Table[Chart] = Table(
    "chart",
    "hybrid_search.charts",
    {
        "front": "hybrid_search.charts.front_figure:FRONT",
        "hypervolume": "hybrid_search.charts.hypervolume:HYPERVOLUME",
        "effects": "hybrid_search.charts.effects_figure:EFFECTS",
        "trainings": "hybrid_search.charts.training_curves:TRAININGS",
        "architecture": "hybrid_search.charts.diagram:ARCHITECTURE",
        "curve": "hybrid_search.charts.curve:CURVE",
        "cost_by_stage": "hybrid_search.charts.cost_by_stage:COST_BY_STAGE",
    },
    check=checked_chart,
)


@runtime_checkable
class SearchHandle(Protocol):
    """A search together with its ledger: what `run`, `open_search`, `confirm` and `baseline` return."""

    record: SearchRecord

    @property
    def ledger(self) -> Ledger:
        """The ledger of the search."""


def draw_chart(
    chart: str | Chart,
    source: Ledger | SearchHandle | str | Path,
    search: SearchRecord | str | None = None,
    trials: Sequence[int] = (),
    theme: Theme = LIGHT,
) -> Any:
    """Draw one chart of a search.

    Args:
        chart: a name of the table `CHARTS`, or a `Chart` of your own.
        source: the ledger that holds the search, the URL or file of its database, or what `run`, `open_search` or
            `confirm` returned.
        search: the record or the name of the search; None: the newest of the ledger, or the one that was returned.
        trials: the numbers of the trials, for a chart of trials.
        theme: `LIGHT` or `DARK`.

    Returns:
        A `plotly.graph_objects.Figure`, or SVG text for a chart with `svg`.

    Raises:
        UnknownName: no chart has this name.
        SettingsError: plotly is not installed, `chart` is neither a name nor a chart, or `source` holds no search.
        LedgerError: the database cannot be opened.

    Example:
        >>> with Ledger("sqlite:///results/hybrid-search.db", read_only=True) as ledger:
        ...     draw_chart("hypervolume", ledger, "digits").write_html("hypervolume.html")
        >>> draw_chart("front", run("digits", trials=32))
    """
    if not isinstance(chart, Chart | str):
        raise SettingsError(f"chart must be a name ({', '.join(CHARTS)}) or a Chart; got {chart!r:.80}.")
    drawn = chart if isinstance(chart, Chart) else CHARTS[chart]
    if not drawn.svg and find_spec("plotly") is None:
        raise SettingsError(
            "a chart needs plotly, which is not installed. Install it: pip install 'hybrid-search[page]'."
        )
    if isinstance(source, SearchHandle):
        return _drawn(drawn, source.ledger, source.record if search is None else search, trials, theme)
    if isinstance(source, Ledger):
        return _drawn(drawn, source, search, trials, theme)
    if not isinstance(source, str | Path):
        raise SettingsError(
            f"source must be a Ledger, the URL or file of a database, or what run() returned; got {source!r:.80}."
        )
    with Ledger(source, read_only=True) as ledger:
        return _drawn(drawn, ledger, search, trials, theme)


def _drawn(chart: Chart, ledger: Ledger, search: SearchRecord | str | None, trials: Sequence[int], theme: Theme) -> Any:
    record = search if isinstance(search, SearchRecord) else ledger.search(search)
    return chart.draw(chart.read(ledger, record, tuple(trials)), theme)
