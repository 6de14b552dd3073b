"""Check that the blocks of a space are legal with all their options, at all their widths."""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from hybrid_search._internal.places import Place
from hybrid_search.networks.blocks import BOTTLENECK, make_block
from hybrid_search.ops.operator import check_options_of
from hybrid_search.spaces.values import Kinds, WrongValue, combinations, inside
from hybrid_search.spaces.width_multiplier import scaled_width

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
                            "must be a key of the space, for all its bottlenecks; got it in a block. Write it beside "
                            "stem and stages.",
                            ("expansion",),
                        )
                    for given in combinations(options):
                        for width in widths:
                            check_options_of(f"block {name}", make_block(name, given), width)
                        for option, value in given.items():
                            if value is None:
                                raise WrongValue(f"{option} must have a value; got nothing.", (), options)


def operator_channels(space: "SpaceForm", index: int, block: str | None = None) -> dict[int, str]:
    """Return the possible numbers of channels of the operator of a stage: number -> where it comes from, as a sentence.

    The sentence is empty if the file says it in the place of the operator itself: the stage offers only its width.

    Args:
        space: a space; its blocks are legal.
        index: the stage, from 0.
        block: one block of the stage; None: any.
    """
    stage, found = space.stages[index], dict[int, str]()
    multipliers = space.width_multiplier or (1.0,)
    where = f" of stages[{index}]" if stage.group is not None else ""
    for name, variants in space.blocks(stage).items():
        for options in variants if block in (None, name) else ():
            for given in combinations(options):
                for multiplier, plain in product(multipliers, stage.width):
                    width = scaled_width(plain, multiplier)
                    channels = make_block(name, given).places(width, 1, 1, 1)[0].width
                    if stage.own_blocks is not None or space.block is not None:
                        words = " ".join([name, *(f"{option}={value}" for option, value in given.items())])
                        origin = f" Block {words} has this operator with {channels} channels at width {width}{where}."
                    else:
                        origin = f" The width is that{where}." if where else ""
                    if width != plain:
                        origin += f" Width {width} is {plain} x {multiplier:g}, by width_multiplier."
                    found.setdefault(channels, origin)
    return found


def _offered(space: "SpaceForm") -> Iterator[tuple[Place, Kinds, tuple[int, ...]]]:
    """Yield the blocks of the space and of each stage: place, blocks, widths of the stages."""
    if space.block is not None:
        widths = {width for stage in space.stages if stage.own_blocks is None for width in space.widths(stage)}
        yield ("block",), space.block, tuple(sorted(widths))
    for index, stage in enumerate(space.stages):
        if stage.block is not None:
            yield ("stages", index, "block"), stage.block, space.widths(stage)
