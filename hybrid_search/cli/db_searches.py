"""`hybrid-search db delete` and `db rename`: one stored search, with its weights and checkpoints."""

from typing import Annotated

import typer

from hybrid_search.cli.approval import approve
from hybrid_search.cli.options import Checkpoints, Database
from hybrid_search.cli.output import say

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without a question.")]


def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the search to delete.")],
    yes: Yes = False,
    checkpoints: Checkpoints = None,
    db: Database = None,
) -> None:
    """Delete a search with its trials, weights and checkpoints. `db copy` makes a backup of it first."""
    from hybrid_search.ledger import Ledger, reads
    from hybrid_search.runs import stored_searches

    with Ledger(db, read_only=True) as reader:  # a database that does not exist is not created
        search = reader.search(name)
        stored_searches.check_not_running(reader, search)
        counts = reader.read(reads.counts, search.id)
        shown = reader.display_url
    approve(f"delete search {search.name!r} with {_count(sum(counts.values()), 'trial')} from {shown}?", yes)
    with Ledger(db) as ledger:
        deleted = stored_searches.delete(ledger, search, checkpoints)
    parts = [_count(deleted.trials, "trial"), _count(deleted.weights, "file") + " of weights"]
    parts.append(f"checkpoints of {_count(deleted.checkpoints, 'training')}")
    say(f"deleted {search.name!r} from {shown}: {', '.join(parts)}")
    for folder in deleted.kept:
        say(f"{folder} could not be deleted; nothing uses it any more")


def rename(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the search.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The new name.")],
    yes: Yes = False,
    db: Database = None,
) -> None:
    """Give a search another name. Everything else of the search stays as it is."""
    from hybrid_search._internal.search_names import search_name
    from hybrid_search.errors import LedgerError
    from hybrid_search.ledger import Ledger
    from hybrid_search.runs import stored_searches

    with Ledger(db, read_only=True) as reader:
        search = reader.search(name)
        if reader.find_search(search_name(new)) is not None:
            raise LedgerError(f"each search must have its own name; there is a search named {new!r} already.")
        stored_searches.check_not_running(reader, search)
    approve(f"rename search {search.name!r} to {new!r}?", yes)
    with Ledger(db) as ledger:
        stored_searches.rename(ledger, search, new)
        say(f"renamed {search.name!r} to {new!r} in {ledger.display_url}; to continue it, add --name to its command")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
