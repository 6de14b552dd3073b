"""The table of stems. A stem imports torch when it builds its module."""

from typing import Any

from hybrid_search.errors import ArchitectureError, shown
from hybrid_search.networks.stems.attention import AttentionStem
from hybrid_search.networks.stems.conv import Conv3x3Stem, Conv7x7Stem
from hybrid_search.networks.stems.patchify import PatchifyStem
from hybrid_search.networks.stems.stem import Stem, check_stem
from hybrid_search.networks.stems.two_conv3x3 import TwoConv3x3Stem
from hybrid_search.ops.operator import from_options
from hybrid_search.plugins import Table

__all__ = ["STEMS", "Stem", "make_stem"]

# To add a stem, write its file and add a line here. Another package uses the entry-point group of the same name,
# and a program calls `STEMS.register`.
STEMS: Table[type[Any]] = Table(
    "stem",
    "hybrid_search.stems",
    {
        "conv7x7": Conv7x7Stem,
        "conv3x3": Conv3x3Stem,
        "two_conv3x3": TwoConv3x3Stem,
        "patchify": PatchifyStem,
        "attention": AttentionStem,
    },
    check=check_stem,
    error=ArchitectureError,
    registers=True,
)


def make_stem(kind: object, options: dict[str, Any]) -> Stem:
    """Return the stem of this kind with these options.

    Args:
        kind: a name of `STEMS`.
        options: option name -> value; an option that is absent has its default.

    Raises:
        ArchitectureError: the kind or an option is unknown.
        PluginError: the stem comes from a plugin that cannot be used.

    Example:
        >>> make_stem("conv3x3", {"width": 8})
        Conv3x3Stem(width=8, stride=1, activation='relu')
    """
    if not isinstance(kind, str):
        raise ArchitectureError(f"a stem must be a name; got {shown(kind)}.")
    stem: Stem = from_options(f"stem {kind}", STEMS[kind], options)
    return stem
