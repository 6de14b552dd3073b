"""`hybrid-search spaces`: the search spaces that come with the package."""

import typer

from hybrid_search.cli.help_page import HelpCommand
from hybrid_search.cli.options import FormatOption
from hybrid_search.cli.output import Format, count_text, print_rows


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(cls=HelpCommand)(spaces)


def spaces(form: FormatOption = Format.table) -> None:
    """List the search spaces that come with the package."""
    from hybrid_search.spaces.shipped import shipped_spaces
    from hybrid_search.spaces.space import load_space

    rows = []
    for name in shipped_spaces():
        space = load_space(name)
        rows.append({"name": name, "designs": space.size(), "data": space.settings.data, "about": space.about})
    print_rows(rows, form, columns={"name": str, "designs": count_text, "data": str, "about": str})
