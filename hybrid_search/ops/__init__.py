"""The table of operators, and local attention as a function and a layer.

`import hybrid_search.ops` does not import torch. An operator imports it when it builds its module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import ArchitectureError, shown
from hybrid_search.ops.conv import Conv
from hybrid_search.ops.depthwise_conv import DepthwiseConv
from hybrid_search.ops.global_attention import GlobalAttention
from hybrid_search.ops.local_attention import LocalAttention, local_attention
from hybrid_search.ops.operator import (
    FAMILIES,
    Family,
    Layer,
    Operator,
    Options,
    check_operator,
    from_options,
    options_of,
)
from hybrid_search.plugins import Table

if TYPE_CHECKING:
    from hybrid_search.ops.global_attention.layer import GlobalAttention2d
    from hybrid_search.ops.local_attention.layer import LocalAttention2d

__all__ = [
    "FAMILIES",
    "OPERATORS",
    "Family",
    "GlobalAttention2d",
    "Layer",
    "LocalAttention2d",
    "Operator",
    "Options",
    "local_attention",
    "make_operator",
    "operator_name",
    "options_of",
]

# To add an operator, write its file and add a line here. Another package uses the entry-point group of the same name,
# and a program calls `OPERATORS.register`.
OPERATORS: Table[type[Any]] = Table(
    "operator",
    "hybrid_search.operators",
    {
        "conv": Conv,
        "depthwise_conv": DepthwiseConv,
        "local_attention": LocalAttention,
        "global_attention": GlobalAttention,
    },
    check=check_operator,
    error=ArchitectureError,
    registers=True,
)


def make_operator(name: str, options: dict[str, Any]) -> Operator:
    """Return the operator of this name with these options.

    Args:
        name: a name of `OPERATORS`.
        options: option name -> value; an option that is absent has its default.

    Raises:
        ArchitectureError: the name or an option is unknown.
        PluginError: the operator comes from a plugin that cannot be used.

    Example:
        >>> make_operator("conv", {"kernel_size": 5})
        Conv(kernel_size=5, groups=1)
    """
    if not isinstance(name, str):
        raise ArchitectureError(f"an operator must be a name; got {shown(name)}.")
    operator: Operator = from_options(name, OPERATORS[name], options)
    return operator


def operator_name(operator: Operator, given: str) -> str:
    """Return the name of an operator that may have become another one in its canonical form.

    Args:
        operator: the canonical form.
        given: the name of the operator that it is the canonical form of.
    """
    if type(operator) is OPERATORS[given]:
        return given
    built_in = (name for name in OPERATORS if OPERATORS.is_built_in(name))
    return next((name for name in built_in if OPERATORS[name] is type(operator)), given)


# Torch modules: torch is imported on first use.
_LAYERS = {
    "GlobalAttention2d": "hybrid_search.ops.global_attention.layer",
    "LocalAttention2d": "hybrid_search.ops.local_attention.layer",
}


def __getattr__(name: str) -> Any:
    if name in _LAYERS:
        return getattr(import_module(_LAYERS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
