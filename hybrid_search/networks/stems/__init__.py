"""The table of stems. Torch is not imported until one is built."""

from importlib.metadata import entry_points
from typing import Any

from hybrid_search.errors import ArchitectureError, one_of
from hybrid_search.networks.stems.attention import Attention
from hybrid_search.networks.stems.conv import Conv3x3, Conv7x7
from hybrid_search.networks.stems.stem import Stem
from hybrid_search.ops.operator import from_options

__all__ = ["STEMS", "Stem", "make_stem", "stem_kinds"]

# kind -> declaration. Adding a stem: its file, and its line here. Other packages add theirs by the entry point group
# `hybrid_search.networks.stems`.
STEMS: dict[str, type[Any]] = {
    "conv7x7": Conv7x7,
    "conv3x3": Conv3x3,
    "attention": Attention,
}


def stem_kinds() -> dict[str, type[Any]]:
    """Every stem by name: the table above and what installed plugins offer."""
    plugins = {point.name: point.load() for point in entry_points(group="hybrid_search.stems")}
    return {**plugins, **STEMS}


def make_stem(kind: object, options: dict[str, Any]) -> Stem:
    """The stem of this kind with these options; ArchitectureError where it cannot be."""
    if not isinstance(kind, str):
        raise ArchitectureError(f"a stem must be a name; got {kind!r}.")
    kinds = STEMS if kind in STEMS else stem_kinds()  # asking for plugins reads every installed package
    one_of("stem", kind, kinds, ArchitectureError)
    stem: Stem = from_options(f"stem {kind}", kinds[kind], options)
    return stem
