"""The Dash application: layout, callbacks and guard put together."""

from pathlib import Path

from dash import Dash

from hybrid_search.dashboard import callbacks
from hybrid_search.dashboard import layout as page
from hybrid_search.dashboard.http_guard import guard
from hybrid_search.dashboard.snapshot import Watch


def make(watch: Watch, host: str, token: str | None, opened: str | None = None) -> Dash:
    """The application over what is watched; everything it serves comes from this machine. opened: the search that is
    shown where the address names none; default: the newest."""
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
    callbacks.register(app, watch, opened)
    guard(app.server, host, token, app.csp_hashes())
    app.server.extensions["hybrid_search"] = watch
    watch.warm()
    return app
