"""The command line: each command parses, calls one function, prints.

Exit codes: 0 done, 2 the user's mistake (one line), 1 anything else, 130 / 143 stopped by a signal.
"""

import sys
from typing import Any

import typer

from hybrid_search._internal.redaction import redact
from hybrid_search.cli import confirm, db, looking, replay, status, taking
from hybrid_search.cli import run as run_command
from hybrid_search.cli.unseen import words_of_command
from hybrid_search.errors import HybridSearchError, UserError

# Typer carries a click of its own in newer versions and uses the installed one in older ones: ask it which.
ClickException: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

# What Typer says of text that is no number -> what was wanted.
NUMBERS = {"valid integer": "a whole number", "valid number": "a number", "valid float": "a number"}

app = typer.Typer(
    name="hybrid-search",
    help="Find where a vision network should attend and where it should convolve.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
for room in (run_command, status, confirm, looking, taking, replay, db):
    room.add_to(app)


def _version(asked: bool) -> None:
    if asked:
        from hybrid_search import __version__

        typer.echo(f"hybrid-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None: ...


def main() -> None:
    """The console script."""
    sys.exit(run(words_of_command()))


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    try:
        code = app(arguments, prog_name="hybrid-search", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except ClickException as error:
        return _misused(error, arguments)
    except UserError as error:
        _tell(error)
        return 2
    except HybridSearchError as error:
        _tell(error)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe went away, which is its right
        return 1


def _misused(error: Any, arguments: list[str]) -> int:
    """A command line that does not parse: one line, exit code 2; no command at all: the help, exit code 0."""
    context = getattr(error, "ctx", None)  # only errors of usage know their command
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(context.get_help() if context else str(error))
        return 0
    message = _not_a_number(error, arguments) or error.format_message()
    hint = f" See: {context.command_path} --help" if context is not None else ""
    _tell(f"{message.rstrip('.')}.{hint}")
    return 2


def _not_a_number(error: Any, arguments: list[str]) -> str | None:
    """The message for an option that wants a number and got something else; None for another mistake."""
    wanted = next((word for said, word in NUMBERS.items() if said in error.format_message()), None)
    for name in getattr(getattr(error, "param", None), "opts", ()) if wanted else ():
        for word, after in reversed(list(zip(arguments, [*arguments[1:], ""], strict=True))):  # the last one counts
            if word == name or word.startswith(f"{name}="):
                return f"{name} must be {wanted}; got {(after if word == name else word.partition('=')[2])!r}"
    return None


def _tell(error: object) -> None:
    """An error in its line; an address that stood where none is expected is named without its password."""
    typer.echo(f"hybrid-search: {redact(str(error))}", err=True)
