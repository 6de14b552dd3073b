"""The text of `--help`: usage, description, then one list of options for each panel.

Typer's own formatter imports a Markdown parser and a syntax highlighter, which takes longer than all other work of
`--help`. This one needs tables only.
"""

import sys
from typing import Any

import typer.core

from hybrid_search.cli.options import OUTPUT, PANELS

# Parameter -> the table of its names, without `hybrid_search.`.
PLUGIN_TABLES = {
    "data": "datasets",
    "engine": "engines",
    "log": "loggers",
    "pruner": "pruners",
    "sampler": "samplers",
    "samplers": "samplers",
}
NAME_SHARE = 0.4  # largest share of the width for the names of options


class HelpCommand(typer.core.TyperCommand):
    """A command with this help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        print_help(self, ctx)


class HelpGroup(typer.core.TyperGroup):
    """A group of commands with this help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help page."""
        print_help(self, ctx)


def print_help(command: Any, context: Any) -> None:
    """Print the help page of a command or group on stdout, as wide as the terminal."""
    from inspect import cleandoc

    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from hybrid_search.cli.help_tables import tables_of

    console = Console(highlight=False)
    width = min(console.width, context.max_content_width or console.width)
    paragraphs = [" ".join(text.split()) for text in cleandoc(command.help or "").split("\n\n")]
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    with console.capture() as page:
        console.print(Text.assemble(("Usage: ", "bold"), usage), width=width)
        for paragraph in paragraphs:
            console.print(Text(f"\n{paragraph}"), width=width)
        for heading, rows in {**_panels(command, context), **tables_of(command.name)}.items():
            longest = max(len(name) for name, _ in rows)
            table = Table.grid(padding=(0, 2))
            table.add_column(width=min(longest, int(NAME_SHARE * width)), style="cyan")
            table.add_column(ratio=1)
            for name, text in rows:
                table.add_row(Text(name), Text(text))
            console.print(Text(f"\n{heading}", style="bold"), width=width)
            console.print(Padding(table, (0, 0, 0, 2)), width=width)
    sys.stdout.write("\n".join(line.rstrip() for line in page.get().splitlines()) + "\n")


def _plugin_text(parameter: str) -> str:
    """Return a sentence with the names that installed packages add to what a parameter selects; empty without any."""
    if parameter not in PLUGIN_TABLES:
        return ""
    from importlib.metadata import entry_points

    names = sorted({point.name for point in entry_points(group=f"hybrid_search.{PLUGIN_TABLES[parameter]}")})
    return f" From plugins: {', '.join(names)}." if names else ""


def _panels(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the panels in the order of `PANELS`: heading -> rows of name and text."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for name in command.list_commands(context) if isinstance(command, HelpGroup) else ():
        child = command.get_command(context, name)
        panels.setdefault("Commands", []).append((name, child.get_short_help_str(limit=200)))
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is None:
            continue
        if parameter.param_type_name == "argument":
            heading, record = "Arguments", (parameter.metavar, record[1])
        elif parameter.name == "help":
            heading = OUTPUT if OUTPUT in panels else "Options"
        else:
            heading = parameter.rich_help_panel or "Options"
        text, default, value = record[1].partition("  [")  # such as `[default: known-cost]`
        panels.setdefault(heading, []).append((record[0], f"{text}{_plugin_text(parameter.name)}{default}{value}"))
    return {heading: panels[heading] for heading in PANELS if heading in panels}
