"""Commands that take something away: export, dashboard."""

from pathlib import Path
from typing import Annotated

import typer

from hybrid_search.cli.printing import Database, say
from hybrid_search.errors import SettingsError


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    for command in (export, dashboard):
        app.command()(command)


def export(
    targets: Annotated[
        list[str], typer.Argument(metavar="[NAME] OUT", help="A search (default: the newest), and the folder to write.")
    ],
    pick: Annotated[str, typer.Option(help="Which network: best, knee, or a trial's number.")] = "knee",
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="A file format; repeat it for several. Default: safetensors.")
    ] = None,
    db: Database = None,
) -> None:
    """Write a trained network as an ordinary model: safetensors, JSON, a card, and the proof that it is the same."""
    from hybrid_search.export import export_trial
    from hybrid_search.ledger import Ledger

    if len(targets) > 2:
        raise SettingsError(f"export takes [NAME] OUT; got {' '.join(targets)}.")
    name, out = (targets[0], targets[1]) if len(targets) == 2 else (None, targets[0])
    with Ledger(db, read_only=True) as ledger:
        proofs = export_trial(ledger, name, Path(out), pick, formats=formats or ["safetensors"], notice=say)
    for proof in proofs:
        typer.echo(str(proof))


def dashboard(
    name: Annotated[str | None, typer.Argument(help="The search to open; default: the newest.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; anything but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 8050,
    token: Annotated[str | None, typer.Option(envvar="HYBRID_SEARCH_TOKEN", help="Asked of every visitor.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    db: Database = None,
) -> None:
    """Serve the live page: the front, every trial, its architecture and learning curve. Reads only."""
    from hybrid_search.dashboard import serve

    serve(db, search=name, host=host, port=port, token=token, open_browser=open_browser)
