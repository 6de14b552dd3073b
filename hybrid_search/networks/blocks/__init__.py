"""The table of blocks. A block imports torch when it builds its module."""

from typing import Any

from hybrid_search.errors import ArchitectureError, shown
from hybrid_search.networks.blocks.basic import Basic
from hybrid_search.networks.blocks.block import Block, OperatorPlace, check_block
from hybrid_search.networks.blocks.bottleneck import Bottleneck
from hybrid_search.networks.blocks.inverted_residual import InvertedResidual
from hybrid_search.networks.blocks.metaformer import MetaFormer
from hybrid_search.ops.operator import from_options
from hybrid_search.plugins import Table

__all__ = ["BLOCKS", "BOTTLENECK", "Block", "OperatorPlace", "make_block"]

BOTTLENECK = "bottleneck"  # the block of a stage that names none

# To add a block, write its file and add a line here. Another package uses the entry-point group of the same name,
# and a program calls `BLOCKS.register`.
BLOCKS: Table[type[Any]] = Table(
    "block",
    "hybrid_search.blocks",
    {BOTTLENECK: Bottleneck, "basic": Basic, "inverted_residual": InvertedResidual, "metaformer": MetaFormer},
    check=check_block,
    error=ArchitectureError,
    registers=True,
)


def make_block(name: object, options: dict[str, Any]) -> Block:
    """Return the block of this name with these options.

    Args:
        name: a name of `BLOCKS`.
        options: option name -> value; an option that is absent has its default.

    Raises:
        ArchitectureError: the name or an option is unknown.
        PluginError: the block comes from a plugin that cannot be used.

    Example:
        >>> make_block("inverted_residual", {"expansion": 6}).out_channels(32)
        32
    """
    if not isinstance(name, str):
        raise ArchitectureError(f"a block must be a name; got {shown(name)}.")
    block: Block = from_options(f"block {name}", BLOCKS[name], options)
    return block
