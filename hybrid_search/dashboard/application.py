"""The Dash application: layout, callbacks and request checks together."""

from collections.abc import Sequence
from pathlib import Path

from dash import Dash

from hybrid_search.charts import Chart
from hybrid_search.dashboard import callbacks
from hybrid_search.dashboard.chart_cards import page_charts
from hybrid_search.dashboard.http_guard import protect
from hybrid_search.dashboard.layout import INDEX, page_layout
from hybrid_search.dashboard.snapshot import Snapshot


def make_app(
    snapshot: Snapshot, host: str, token: str | None, opened: str | None = None, charts: Sequence[Chart] = ()
) -> Dash:
    """Return the application over a snapshot; everything that it serves comes from this machine.

    Args:
        snapshot: the copy of the ledger.
        host: the address that the server listens on.
        token: the token that guards the page, None for a loopback host without one.
        opened: the search that is shown if the address names none; default: the newest.
        charts: charts beside those of the table.
    """
    app = Dash(
        "hybrid_search.dashboard",
        assets_folder=str(Path(__file__).parent / "assets"),
        serve_locally=True,
        title="hybrid-search",
        update_title="",
        index_string=INDEX,
        add_log_handler=False,
        enable_mcp=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = lambda: page_layout(snapshot.searches())
    callbacks.register(app, snapshot, opened, page_charts(charts))
    protect(app.server, host, token, app.csp_hashes())
    app.server.extensions["hybrid_search"] = snapshot
    snapshot.preload()
    return app
