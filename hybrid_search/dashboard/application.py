"""The Dash application: layout, callbacks and guard put together."""

from pathlib import Path

from dash import Dash

from hybrid_search.dashboard import callbacks, page
from hybrid_search.dashboard.guard import guard
from hybrid_search.dashboard.watch import Watch
from hybrid_search.ledger import Ledger


def make(ledger: Ledger, host: str, token: str | None) -> Dash:
    """The application over this ledger; everything it serves comes from this machine."""
    watch = Watch(ledger)
    app = Dash(
        "hybrid_search.dashboard",
        assets_folder=str(Path(__file__).parent / "assets"),
        serve_locally=True,
        title="hybrid-search",
        update_title="",
        index_string=page.INDEX,
        add_log_handler=False,
        enable_mcp=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = lambda: page.layout(watch.searches())
    callbacks.register(app, watch)
    guard(app.server, host, token, app.csp_hashes())
    watch.warm()
    return app
