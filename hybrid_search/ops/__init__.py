"""The table of operators, and local attention as a function.

`import hybrid_search.ops` does not import torch: operators are declared without it and build their modules on demand.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import ArchitectureError, one_of
from hybrid_search.ops.conv import Conv
from hybrid_search.ops.local_attention import LocalAttention, local_attention
from hybrid_search.ops.operator import Layer, Operator, Options, from_options, options_of

if TYPE_CHECKING:
    from hybrid_search.ops.local_attention.layer import LocalAttention2d

__all__ = [
    "OPERATORS",
    "Layer",
    "LocalAttention2d",
    "Operator",
    "Options",
    "local_attention",
    "make_operator",
    "operator_kinds",
    "options_of",
]

# name -> declaration. Adding an operator: its file, and its line here. Other packages add theirs by the entry point
# group `hybrid_search.operators`.
OPERATORS: dict[str, type[Any]] = {
    "conv": Conv,
    "local_attention": LocalAttention,
}


@cache
def operator_kinds() -> dict[str, type[Any]]:
    """Every operator by name: the table above and what installed plugins offer."""
    plugins = {point.name: point.load() for point in entry_points(group="hybrid_search.operators")}
    return {**plugins, **OPERATORS}


def make_operator(name: str, options: dict[str, Any]) -> Operator:
    """The operator of this name with these options; UnknownName or ArchitectureError where it cannot be."""
    if not isinstance(name, str):
        raise ArchitectureError(f"an operator must be a name; got {name!r}.")
    kinds = OPERATORS if name in OPERATORS else operator_kinds()  # asking for plugins reads every installed package
    one_of("operator", name, kinds, ArchitectureError)
    operator: Operator = from_options(name, kinds[name], options)
    return operator


def __getattr__(name: str) -> Any:
    if name == "LocalAttention2d":  # a torch module: torch is imported only when it is asked for
        from hybrid_search.ops.local_attention.layer import LocalAttention2d

        return LocalAttention2d
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
