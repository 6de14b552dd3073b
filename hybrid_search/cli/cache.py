"""`hybrid-search cache`: list the contents of the cache folder, or clear it."""

from typing import Annotated

import typer

from hybrid_search._internal.counted import counted
from hybrid_search.cli.approval import approve
from hybrid_search.cli.help_page import HelpCommand, HelpGroup
from hybrid_search.cli.options import FormatOption
from hybrid_search.cli.output import Format, print_rows, say


def add_to(app: typer.Typer) -> None:
    """Add the group of commands to the application."""
    group = typer.Typer(name="cache", cls=HelpGroup, invoke_without_command=True)
    group.callback()(cache)
    group.command(cls=HelpCommand)(clear)
    app.add_typer(group)


def cache(context: typer.Context, form: FormatOption = Format.table) -> None:
    """Show the decoded images, compiled kernels and downloads in the cache folder, or clear it."""
    if context.invoked_subcommand is not None:
        return
    from hybrid_search._internal.cache_content import cache_entries
    from hybrid_search._internal.cache_folder import VARIABLE, user_cache

    entries = cache_entries()
    rows = [
        {
            "kind": entry.kind,
            "belongs_to": entry.belongs_to,
            "bytes": entry.bytes,
            "files": entry.files,
            "changed": entry.changed.isoformat(timespec="seconds"),
            "path": str(entry.path),
        }
        for entry in entries
    ]
    columns = {"kind": str, "belongs_to": str, "bytes": size_text, "files": str, "path": str}
    if rows or form is not Format.table:
        print_rows(rows, form, columns=columns)
    total = sum(entry.bytes for entry in entries)
    say(f"{size_text(total)} in {counted(sum(entry.files for entry in entries), 'file')}; cache folder {user_cache()}")
    say(f"{VARIABLE} names another folder. `hybrid-search cache clear` empties it")


def clear(
    decoded: Annotated[bool, typer.Option("--decoded", help="Delete the decoded images.")] = False,
    kernels: Annotated[bool, typer.Option("--kernels", help="Delete the compiled kernels.")] = False,
    downloads: Annotated[bool, typer.Option("--downloads", help="Delete the downloaded data sets.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it without a question.")] = False,
) -> None:
    """Delete what the cache holds: everything, or the given kinds. It is made again when it is needed."""
    from hybrid_search._internal.cache_content import KINDS, cache_entries, clear_cache

    given = dict(zip(KINDS, (decoded, kernels, downloads), strict=True))
    kinds = [kind for kind, chosen in given.items() if chosen] or list(KINDS)
    entries = [entry for entry in cache_entries() if entry.kind in kinds]
    if not entries:
        say(f"the cache holds nothing of: {', '.join(kinds)}")
        return
    size = size_text(sum(entry.bytes for entry in entries))
    approve(f"delete {size} of {', '.join(kinds)} from the cache?", yes)
    files, freed = clear_cache(kinds, say)
    say(f"deleted {counted(files, 'file')}, {size_text(freed)}")


def size_text(size: int) -> str:
    """Return a number of bytes as people read it, such as `1.5 MiB`."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"
