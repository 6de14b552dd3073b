"""Reference architectures: the networks of the paper, its ResNets, every hybrid of four stages, and small networks.

resnet26 resnet38 resnet50            convolution everywhere
sasa-26-stem ... sasa-50-stem         convolution stem, attention in every stage
sasa-26-full ... sasa-50-full         the attention stem too
hybrid-50-CCAA ... (16 patterns)      C or A for each stage of a ResNet-50, convolution stem

The families for images of 16 to 64 pixels are named by their design and their first width W. Each has a 3x3 stem of
stride 2 and three stages of widths W, 2 W, 4 W; the later two have stride 2.

resnet-basic-W                        one basic block of two 3x3 convolutions in each stage
mobilenet-W                           two inverted residuals with 3x3 depthwise convolution in each stage
convnext-W                            two metaformer blocks with 7x7, 5x5 and 3x3 depthwise convolution in each stage
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from hybrid_search.errors import UnknownName, nearest, one_of, whole
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.stems import make_stem

DEPTHS = {26: (1, 2, 4, 1), 38: (2, 3, 5, 2), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 2, 2)
OPERATORS = {"C": "conv", "A": "local_attention"}


def _network(depth: int, pattern: str, stem: str = "conv7x7") -> Architecture:
    """Return a ResNet of this depth with the operators of `pattern`, one letter for each stage."""
    rows = zip(pattern, DEPTHS[depth], WIDTHS, STRIDES, strict=True)
    stages = tuple(Stage(OPERATORS[letter], blocks, width, stride) for letter, blocks, width, stride in rows)
    return Architecture(make_stem(stem, {}), stages)


# name -> (depth, pattern, stem)
DESIGNS: dict[str, tuple[int, str, str]] = {
    **{f"resnet{depth}": (depth, "CCCC", "conv7x7") for depth in DEPTHS},
    **{f"sasa-{depth}-stem": (depth, "AAAA", "conv7x7") for depth in DEPTHS},
    **{f"sasa-{depth}-full": (depth, "AAAA", "attention") for depth in DEPTHS},
    **{f"hybrid-50-{''.join(letters)}": (50, "".join(letters), "conv7x7") for letters in product("CA", repeat=4)},
}


@dataclass(frozen=True)
class Family:
    """Small networks that differ in their first width W only.

    Args:
        block: the block of every stage.
        operator: the operator of every stage.
        depth: blocks of each stage.
        options: options of the operator in each stage.
        block_options: options of the block.
    """

    block: str
    operator: str
    depth: int
    options: tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]] = ({}, {}, {})
    block_options: Mapping[str, Any] = field(default_factory=dict)

    def network(self, width: int) -> Architecture:
        """Return the network of this first width.

        Args:
            width: channels of the stem and of the first stage.
        """
        rows = zip((width, 2 * width, 4 * width), (1, 2, 2), self.options, strict=True)
        stages = tuple(
            Stage(
                self.operator,
                self.depth,
                channels,
                stride,
                tuple(options.items()),
                self.block,
                tuple(self.block_options.items()),
            )
            for channels, stride, options in rows
        )
        return Architecture(make_stem("conv3x3", {"width": width, "stride": 2}), stages)


KERNELS = ({"kernel_size": 7}, {"kernel_size": 5}, {"kernel_size": 3})  # no larger than the maps of small images
FAMILIES: dict[str, Family] = {
    "resnet-basic": Family("basic", "conv", depth=1),
    "mobilenet": Family("inverted_residual", "depthwise_conv", depth=2),
    "convnext": Family("metaformer", "depthwise_conv", depth=2, options=KERNELS),
}
EXAMPLE_WIDTHS = (8, 16, 32)
LEAST_WIDTH, MOST_WIDTH = 4, 512


def references() -> list[str]:
    """Return the names of all reference architectures; of each family, those of three widths."""
    return [*DESIGNS, *(f"{family}-{width}" for family in FAMILIES for width in EXAMPLE_WIDTHS)]


def is_reference(name: str) -> bool:
    """Return whether `reference` knows this name, with any width of a family.

    Args:
        name: any text.
    """
    try:
        reference(name)
    except UnknownName:
        return False
    return True


def reference(name: str) -> Architecture:
    """Return the reference architecture of this name.

    Args:
        name: resnet26, sasa-50-full, hybrid-50-CCAA, ...; `references()` lists all. The number at the end of
            resnet-basic-16, mobilenet-16 and convnext-16 may be any width from 4 to 512.

    Raises:
        UnknownName: there is none; the message names the nearest one.

    Example:
        >>> cost(reference("sasa-50-stem")).params / 1e6
        18.038632
        >>> cost(reference("resnet-basic-16"), (3, 32, 32), num_classes=4).flops / 1e6
        6.251008
    """
    family, _, width = name.rpartition("-") if isinstance(name, str) else ("", "", "")
    if family in FAMILIES and width.isascii() and width.isdecimal():
        channels = whole(f"width of {family}-W", int(width[:9]), LEAST_WIDTH, UnknownName, MOST_WIDTH)
        if width != str(channels):
            raise UnknownName(f"reference must be {family}-W; got {name!r}.{nearest(name, [f'{family}-{channels}'])}")
        return FAMILIES[family].network(channels)
    one_of("reference", name, references())
    return _network(*DESIGNS[name])
