"""The command line of hybrid-search: one file for each command, named like it, and shared files.

Each command parses its options, calls one function of the package, and prints the result. Tables go to stdout,
everything else to stderr. Exit codes: 0 done, 2 a mistake of the user (one line), 1 any other error, 130 and 143
stopped by a signal.

Shared files:
    options.py         options that several commands have
    search_options.py  the options of `run` that define the search
    option_values.py   numbers as people write them, in every option
    engine_run.py      signals, progress and stdout of the commands that run trials
    progress.py        the progress bar
    signals.py         a clean stop after Ctrl-C or SIGTERM
    output.py          tables as text, JSON or CSV
    text_table.py      the lines of a table of text
    baseline_table.py  the table of the baselines of a search
    training_table.py  the table of full trainings
    approval.py        the question before a command that cannot be undone
    db_searches.py     the commands `db delete` and `db rename`
    next_commands.py   the commands that a command suggests
    help_page.py       the text of --help
    help_tables.py     the tables at the end of `run --help`
"""

import errno
import io
import os
import sys
import traceback
import warnings
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

import typer

from hybrid_search._internal.redaction import redact, register_url
from hybrid_search.cli import (
    baseline,
    cache,
    confirm,
    cost,
    dashboard,
    db,
    doctor,
    effects,
    export,
    front,
    predict,
    replay,
    report,
    space,
    spaces,
    status,
    train,
)
from hybrid_search.cli import run as run_command
from hybrid_search.cli.help_page import HelpGroup
from hybrid_search.cli.option_values import accept_values
from hybrid_search.errors import HybridSearchError, UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# Newer versions of Typer bundle click, older ones use the installed one: take the class from Typer.
ClickException: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="hybrid-search",
    help="Find where a vision network should use attention and where convolution.",
    cls=HelpGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
for module in (
    run_command,
    front,
    effects,
    status,
    confirm,
    baseline,
    train,
    export,
    predict,
    report,
    dashboard,
    replay,
    spaces,
    space,
    cost,
    db,
    cache,
    doctor,
):
    module.add_to(app)
accept_values(app)


def _print_version(requested: bool) -> None:
    if requested:
        from hybrid_search import __version__

        typer.echo(f"hybrid-search {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None: ...


def main() -> None:
    """Run the command line of this process, and exit. Tracebacks and warnings are printed without secrets."""
    _open_closed_streams()
    sys.excepthook = _print_traceback
    warnings.showwarning = _print_warning
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a file name may be no text of the terminal
    sys.exit(run(sys.argv[1:]))


def _open_closed_streams() -> None:
    """Give a process that was started without standard streams (`>&-`) empty ones, because libraries write to them."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115  (it stays open)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    (file or sys.stderr).write(redact(warnings.formatwarning(message, category, filename, lineno, line)))


def run(arguments: list[str]) -> int:
    """Run a command line.

    Args:
        arguments: The words after the name of the program.

    Returns:
        The exit code.
    """
    for word in arguments:
        register_url(word)  # whatever a word is for, its password is not shown
        if word.startswith("-"):
            register_url(f"{word.partition('=')[0]}@")  # an unknown option is shown up to its =
    try:
        code = app(arguments, prog_name="hybrid-search", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except ClickException as error:
        return _usage_error(error)
    except UserError as error:
        _print_error(error)
        return 2
    except HybridSearchError as error:
        _print_error(error)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of the pipe exited, such as `head`
        return 1
    except OSError as error:
        if error.errno not in FULL or error.filename is not None:
            raise
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python writes the rest at its exit
        _print_error(f"the output cannot be written: {error.strerror}")
        return 1


def _usage_error(error: Any) -> int:
    """Print the error of a command line that cannot be parsed, and return 2. Without a command: the help, and 0."""
    context = getattr(error, "ctx", None)  # only usage errors have a context
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(context.get_help() if context else str(error))
        return 0
    message = error.format_message()
    hint = f" See: {context.command_path} --help" if context is not None else ""
    end = "" if message.endswith("?") else "."
    _print_error(f"{message.rstrip('.')}{end}{hint}")
    return 2


def _print_error(error: object) -> None:
    """Print an error in one line on stderr, without passwords."""
    typer.echo(f"hybrid-search: {redact(str(error))}", err=True)
