"""The commands that a command suggests when it ends, each with a comment."""

from collections.abc import Callable, Sequence
from shlex import quote

from hybrid_search.cli.output import command_name


def command_line(command: str, words: Sequence[str], options: str = "") -> str:
    """Return a command of this program that a shell reads as it is meant.

    Args:
        command: The command, such as `export`.
        words: Its arguments; they are quoted. If one starts like an option, `--` precedes them.
        options: Options as they are typed, with a blank in front.
    """
    quoted = " ".join(map(quote, words))
    if any(word.startswith("-") for word in words):
        return f"{command_name()} {command}{options} -- {quoted}"
    return f"{command_name()} {command} {quoted}{options}"


def print_commands(commands: Sequence[tuple[str, str]], notice: Callable[[str], None]) -> None:
    """Print one command a line, with the comments below each other.

    Args:
        commands: Pairs of a command and its comment.
        notice: Called with each line.
    """
    width = max(len(command) for command, _ in commands)
    for command, comment in commands:
        notice(f"  {command:<{width}}  # {comment}")
