"""`hybrid-search db`: upgrade a ledger, check it, copy, rename or delete one of its searches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.db_searches import delete, rename
from hybrid_search.cli.help_page import HelpCommand, HelpGroup
from hybrid_search.cli.options import Database, FormatOption, SearchName, without_password
from hybrid_search.cli.output import Format, print_rows, say

if TYPE_CHECKING:
    from hybrid_search.ledger import Ledger


def add_to(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(
        name="db",
        cls=HelpGroup,
        help="Upgrade or check the results database; copy, rename or delete searches.",
        no_args_is_help=True,
    )
    for command in (upgrade, check, copy, rename, delete):
        group.command(cls=HelpCommand)(command)
    app.add_typer(group)


def upgrade(db: Database = None) -> None:
    """Upgrade a ledger to the schema of this version. A database file is backed up first, beside it."""
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.connection import stored_revision

    before = stored_revision(db)
    with Ledger(db) as ledger:
        if stored_revision(db) == before:
            say(f"{ledger.display_url} is at revision {before} already, the newest of this version")


def check(db: Database = None, form: FormatOption = Format.table) -> None:
    """Check that a ledger is intact: the database's own check, then the rules of its searches. Exit code 1 if not."""
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.check import check_ledger

    with Ledger(db, read_only=True) as ledger:
        results = check_ledger(ledger)
    broken = [result for result in results if result.violations]
    print_rows([result._asdict() for result in results], form, columns={"rule": str, "detail": str})
    if broken:
        say(f"the ledger is not intact: {len(broken)} of {len(results)} checks failed")
        raise typer.Exit(1)


def copy(
    name: SearchName = None,
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            callback=without_password,
            help="Database URL to copy into, without a password. A file is created if it does not exist.",
        ),
    ] = "",
    as_name: Annotated[str | None, typer.Option("--as", metavar="NAME", help="Name of the copy.")] = None,
    db: Database = None,
) -> None:
    """Copy a search with all its rows and weights into another database. A second copy adds what is new or changed."""
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger import Ledger
    from hybrid_search.ledger.copy import copy_search
    from hybrid_search.ledger.new_name import check_new_name
    from hybrid_search.ledger.trainings import weights_of_trainings
    from hybrid_search.ledger.weights import TRAININGS, WeightsFolder, copy_weights

    if not to:
        raise LedgerError("a copy needs a database to go to: --to URL.")
    with Ledger(db, read_only=True) as source:
        source.search(name)  # an unknown search is an error before the target is created
        if as_name is None and _is_target(to, source):
            raise LedgerError(
                f"a copy needs another database, or another name: --as NAME; got {source.display_url} twice."
            )
        if as_name is not None:
            check_new_name(as_name, to)  # before the target is created
        with _target(to) as target:

            def weights(source_id: int, target_id: int, digests: Mapping[int, str]) -> int:
                folders = WeightsFolder(source.url, source_id), WeightsFolder(target.url, target_id)
                full = WeightsFolder(source.url, TRAININGS), WeightsFolder(target.url, TRAININGS)
                stored = source.read(weights_of_trainings, source_id)
                return copy_weights(*folders, digests) + copy_weights(*full, stored)

            copied = copy_search(source, target, name, as_name, weights)
            shown = as_name or source.search(name).name
            say(
                f"copied {shown!r} from {source.display_url} to {target.display_url}: "
                f"{counted(copied.written, 'trial')} written, {copied.unchanged:,} unchanged, "
                f"{copied.weights:,} files of weights"
            )


def _is_target(url: str, source: "Ledger") -> bool:
    """Return whether a URL means the database of a ledger. Errors about the URL name --to."""
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger.urls import database_url

    try:
        return database_url(url) == source.url
    except LedgerError as error:
        raise LedgerError(str(error).replace("the database URL", "--to", 1)) from None


def _target(url: str) -> "Ledger":
    """Return the ledger to copy into. Errors about its URL name --to."""
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger import Ledger

    try:
        return Ledger(url)
    except LedgerError as error:
        raise LedgerError(str(error).replace("the database URL", "--to", 1)) from None
