"""Values of options: every number of every command takes `1e3`, `40M`, `0.5k` and `1_000`, every choice is checked.

Typer's own messages for a wrong value are those of another library. These state the law, the value, what is possible.
"""

import inspect
from collections.abc import Callable
from enum import StrEnum
from types import NoneType
from typing import Any, get_args

import typer

from hybrid_search._internal.number_text import real_number, whole_number
from hybrid_search.errors import SettingsError, one_of


class OptionError(typer.BadParameter):
    """A wrong value of an option. Its message names the option already."""

    def format_message(self) -> str:
        """Return the message as it is."""
        return str(self.message).rstrip(".")


def accept_values(app: typer.Typer) -> None:
    """Let every number and every choice of every command be read here.

    Args:
        app: the application, after all commands were added. Commands of its groups are included.
    """
    for command in app.registered_commands:
        if command.callback is not None:
            _accept(command.callback)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            accept_values(group.typer_instance)


def _accept(callback: Callable[..., Any]) -> None:
    for parameter in inspect.signature(callback).parameters.values():
        declared, *metadata = get_args(parameter.annotation) or (None,)
        kinds = [kind for kind in get_args(declared) or (declared,) if kind is not NoneType]
        read = _reader(kinds[0]) if len(kinds) == 1 else None
        for info in metadata:
            if read is not None and isinstance(info, typer.models.ParameterInfo):
                info.parser = _parser(_option(info, parameter.name), read)
                if isinstance(kinds[0], type) and issubclass(kinds[0], StrEnum):
                    info.metavar = info.metavar or "|".join(kinds[0])


def _option(info: typer.models.ParameterInfo, parameter: str) -> str:
    """Return the name of an option as people type it. Within `Annotated`, Typer takes the first name as default."""
    names = [str(name) for name in (info.default, *(info.param_decls or ())) if str(name).startswith("--")]
    return names[0].partition("/")[0] if names else f"--{parameter.replace('_', '-')}"


def _reader(kind: object) -> Callable[[str, Any], Any] | None:
    """Return the function `(option, value) -> value` for a number or a choice; None for any other type."""
    if kind is int:
        return whole_number
    if kind is float:
        return real_number
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return lambda option, value: _choice(option, value, kind)
    return None


def _choice(option: str, value: object, kind: type[StrEnum]) -> StrEnum:
    one_of(option, value, [str(each) for each in kind], SettingsError)
    return kind(str(value))


def _parser(option: str, read: Callable[[str, Any], Any]) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        try:
            return read(option, value)
        except SettingsError as error:
            raise OptionError(str(error)) from None

    parse.__name__ = "VALUE"  # the name of the type in a help text of Typer
    return parse
