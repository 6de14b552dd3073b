"""The options of global attention: their possible values and their rules. The declaration and the layer share them."""

from typing import Any

from hybrid_search.errors import MOST, ArchitectureError, one_of, whole
from hybrid_search.ops.head_check import check_heads

POSITIONS = ("none", "relative")


def check_options(width: int, heads: Any, position: Any, distance: Any) -> None:
    """Raise ArchitectureError for the first option that is illegal at this width."""
    one_of("position", position, POSITIONS, ArchitectureError)
    whole("distance", distance, most=MOST)
    check_heads(heads, width, even=position == "relative")
