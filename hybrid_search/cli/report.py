"""`hybrid-search report`: everything about a search in one file."""

from typing import Annotated

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import Database
from hybrid_search.cli.output import say
from hybrid_search.errors import SettingsError


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(report)


def report(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME] OUT",
            help="Name of a search (default: the newest) and the file to write: OUT.html, or OUT.md with its pictures "
            "as OUT-*.svg beside it.",
        ),
    ],
    pick: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRIAL",
            help="Design to draw: best, knee, a trial number, or the best within a bound such as 'flops<=40M'. Repeat "
            "it for several. Default: knee and best.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is no report. An earlier report is always replaced.")
    ] = False,
    db: Database = None,
) -> None:
    """Write a report of a search: one HTML file without scripts and requests, or Markdown. Reads only the database.

    It has the front, confirmed results, where attention helps, drawings of the chosen designs, cost, training curves,
    settings, environment, and the commands that repeat the search.
    """
    from hybrid_search.ledger import Ledger
    from hybrid_search.report import write_report
    from hybrid_search.report.output import check_report_file

    if len(targets) > 2:
        raise SettingsError(f"report takes [NAME] OUT; got {' '.join(targets)}.")
    name, out = (targets[0], targets[1]) if len(targets) == 2 else (None, targets[0])
    check_report_file(out, force=force)
    with Ledger(db, read_only=True) as ledger:
        path = write_report(ledger, ledger.search(name), out, picks=pick, force=force)
    say(f"report: {path}")
