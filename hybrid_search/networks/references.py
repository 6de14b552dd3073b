"""Reference architectures: the networks of the paper, its ResNets, and every hybrid of four stages.

resnet26 resnet38 resnet50            convolution everywhere
sasa-26-stem ... sasa-50-stem         convolution stem, attention in every stage
sasa-26-full ... sasa-50-full         the attention stem too
hybrid-50-CCAA ... (16 patterns)      C or A for each stage of a ResNet-50, convolution stem
"""

from itertools import product

from hybrid_search.errors import one_of
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


def references() -> list[str]:
    """Return the names of all reference architectures."""
    return list(DESIGNS)


def reference(name: str) -> Architecture:
    """Return the reference architecture of this name.

    Args:
        name: resnet26, sasa-50-full, hybrid-50-CCAA, ...; `references()` lists all.

    Raises:
        UnknownName: there is none; the message names the nearest one.

    Example:
        >>> cost(reference("sasa-50-stem")).params / 1e6
        18.038632
    """
    one_of("reference", name, DESIGNS)
    return _network(*DESIGNS[name])
