"""Ask the user to approve a command that cannot be undone."""

import sys

import typer

from hybrid_search.cli.output import say
from hybrid_search.errors import SettingsError


def approve(question: str, yes: bool) -> None:
    """Ask on the terminal whether to do something that cannot be undone.

    Args:
        question: What would be done, as a question.
        yes: Whether the option `--yes` was given, which answers the question.

    Raises:
        SettingsError: There is no terminal to ask on, and `--yes` was not given.
        typer.Exit: The answer was no; exit code 1.
    """
    if yes:
        return
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise SettingsError(f"this command must be confirmed; got no terminal to ask on ({question}). Add --yes.")
    if not typer.confirm(question, err=True):
        say("nothing was changed")
        raise typer.Exit(1)
