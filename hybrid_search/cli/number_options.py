"""Numbers of the command line: every option that is an int or a float takes `1e3`, `40M`, `0.5k` and `1_000`."""

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, get_args

import typer

from hybrid_search.errors import SettingsError
from hybrid_search.number_text import real_number, whole_number


class NumberError(typer.BadParameter):
    """A value of an option that is not a number. Its message names the option already."""

    def format_message(self) -> str:
        """Return the message as it is."""
        return str(self.message)


def accept_numbers(app: typer.Typer) -> None:
    """Let every number of every command be written as `number_text` reads it.

    Args:
        app: the application, after all commands were added. Commands of its groups are included.
    """
    for command in app.registered_commands:
        if command.callback is not None:
            _accept(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            accept_numbers(group.typer_instance)


def _accept(callback: Callable[..., Any]) -> None:
    for parameter in inspect.signature(callback).parameters.values():
        kind, *metadata = get_args(parameter.annotation) or (None,)
        kinds = set(get_args(kind) or (kind,)) - {NoneType}
        for info in metadata:
            if isinstance(info, typer.models.ParameterInfo) and kinds in ({int}, {float}):
                names = [name for name in info.param_decls or () if name.startswith("--")]
                option = names[0] if names else f"--{parameter.name.replace('_', '-')}"
                info.parser = _parser(option, whole=kinds == {int})


def _parser(option: str, *, whole: bool) -> Callable[[Any], int | float]:
    def parse(value: Any) -> int | float:
        try:
            return whole_number(option, value) if whole else real_number(option, value)
        except SettingsError as error:
            raise NumberError(str(error)) from None

    parse.__name__ = "N"  # the name of the type in messages of Typer
    return parse
