"""`hybrid-search dashboard`: the live page of a search."""

from typing import Annotated

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database, SearchName


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(dashboard)


def dashboard(
    name: SearchName = None,
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on. Any address except loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", help="Port to listen on.")] = 8050,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            envvar="HYBRID_SEARCH_TOKEN",
            help="Token that visitors need, at least 32 characters. Prefer HYBRID_SEARCH_TOKEN.",
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    db: Database = None,
) -> None:
    """Serve the live page of a search: front, trials, architectures, learning curves. The page never writes."""
    from hybrid_search.dashboard import serve

    serve(db, search=name, host=host, port=port, token=token, open_browser=open_browser)
