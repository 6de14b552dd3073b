"""`hybrid-search db`: a ledger brought up to date, checked, or a search of it copied into another."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search.cli.printing import Database, Format, FormatOption, print_rows, say

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger

room = typer.Typer(name="db", help="Look after the results database.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    for command in (upgrade, check, copy):
        room.command()(command)
    app.add_typer(room)


def upgrade(db: Database = None) -> None:
    """Bring a ledger to this version's schema. A file is copied first, beside it; what was done is said in one line."""
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.connection import stored_revision

    before = stored_revision(db)
    with Ledger(db) as ledger:
        if stored_revision(db) == before:
            say(f"{ledger.display_url} is at revision {before} already, the newest that this version knows")


def check(db: Database = None, form: FormatOption = Format.table) -> None:
    """Whether a ledger is whole: its database's own check, the laws of its searches. Exit code 1 where it is not."""
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.check import check_ledger

    with Ledger(db, read_only=True) as ledger:
        found = check_ledger(ledger)
    broken = [finding for finding in found if finding.violations]
    print_rows([finding._asdict() for finding in found], form, shown={"rule": str, "detail": str})
    if broken:
        say(f"{len(broken)} of {len(found)} findings say that it is not whole")
        raise typer.Exit(1)


def copy(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A search; default: the newest.")] = None,
    to: Annotated[str, typer.Option(help="Database URL to copy into; it is made where it is a file.")] = "",
    as_name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the copy.")] = None,
    db: Database = None,
) -> None:
    """Copy a search with all its rows and kept weights into another database. Again: only what is new or changed."""
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.copy import copy_search
    from hybrid_search.ledger.urls import database_url
    from hybrid_search.ledger.weights import WeightsFolder, copy_weights

    if not to:
        raise LedgerError("a copy needs a database to go to: --to URL.")
    with Ledger(db, read_only=True) as source:
        source.search(name)  # before the target is made
        if as_name is None and database_url(to) == source.url:
            raise LedgerError(
                f"a copy needs another database, or another name: --as NAME; got {source.display_url} twice."
            )
        with _target(to) as target:

            def weights(here: int, there: int, kept: Mapping[int, str]) -> int:
                return copy_weights(WeightsFolder(source.url, here), WeightsFolder(target.url, there), kept)

            copied = copy_search(source, target, name, as_name, weights)
            shown = as_name or source.search(name).name
            say(
                f"copied {shown!r} from {source.display_url} to {target.display_url}: {copied.written:,} trials "
                f"written, {copied.unchanged:,} there already; {copied.weights:,} files of weights"
            )


def _target(url: str) -> "Ledger":
    """The ledger that is copied to; what is wrong with its URL is said of --to."""
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger import Ledger

    try:
        return Ledger(url)
    except LedgerError as error:
        raise LedgerError(str(error).replace("--db", "--to", 1)) from None
