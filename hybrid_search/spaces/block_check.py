"""The check of the blocks that a space offers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hybrid_search._internal.places import Place
from hybrid_search.networks.blocks import BOTTLENECK, make_block
from hybrid_search.ops.operator import check_options_of
from hybrid_search.spaces.values import Kinds, WrongValue, combinations, inside

if TYPE_CHECKING:
    from hybrid_search.spaces.schema import SpaceForm


def check_blocks(space: "SpaceForm") -> None:
    """Raise WrongValue for the first combination of options of a block that is illegal at one of its widths.

    Args:
        space: a space; its operators are checked afterwards, at the widths that its blocks give them.
    """
    for place, kinds, widths in _offered(space):
        for name, variants in kinds.items():
            for index, options in enumerate(variants):
                with inside(*place, name, *((index,) if len(variants) > 1 else ()), names=options):
                    if name == BOTTLENECK and "expansion" in options:
                        raise WrongValue(
                            "expansion of a bottleneck is a key of the space, not of its blocks; got both.",
                            ("expansion",),
                        )
                    for given in combinations(options):
                        for width in widths:
                            check_options_of(f"block {name}", make_block(name, given), width)
                        for option, value in given.items():
                            if value is None:
                                raise WrongValue(f"{option} must have a value; got nothing.", (), options)


def _offered(space: "SpaceForm") -> Iterator[tuple[Place, Kinds, tuple[int, ...]]]:
    """Yield the blocks of the space and of each stage: place, blocks, widths of the stages."""
    if space.block is not None:
        widths = {width for stage in space.stages if stage.block is None for width in space.widths(stage)}
        yield ("block",), space.block, tuple(sorted(widths))
    for index, stage in enumerate(space.stages):
        if stage.block is not None:
            yield ("stages", index, "block"), stage.block, space.widths(stage)
