"""The options of local attention: their possible values and their rules. The declaration and the layer share them."""

from typing import Any

from hybrid_search.errors import ArchitectureError, odd, one_of, yes_or_no
from hybrid_search.ops.head_check import check_heads

POSITIONS = ("none", "absolute", "relative")
LOGITS = ("qk+qr", "qr")
BORDERS = ("masked", "zero", "shifted")
PROJECTIONS = ("dense", "grouped")


def check_options(
    width: int,
    extent: Any,
    heads: Any,
    position: Any,
    logits: Any,
    border: Any,
    projection: Any,
    scale: Any,
    norm: Any,
) -> None:
    """Raise ArchitectureError for the first option that is illegal at this width."""
    odd("extent", extent)
    one_of("position", position, POSITIONS, ArchitectureError)
    one_of("logits", logits, LOGITS, ArchitectureError)
    one_of("border", border, BORDERS, ArchitectureError)
    one_of("projection", projection, PROJECTIONS, ArchitectureError)
    yes_or_no("scale", scale)
    yes_or_no("norm", norm)
    check_heads(heads, width, even=position == "relative")
    if logits == "qr" and position != "relative":
        raise ArchitectureError(
            f"logits qr needs position relative; got position {position}. Possible: position relative, or logits qk+qr."
        )
    if position == "absolute" and width % 4:
        raise ArchitectureError(
            f"position absolute needs a width divisible by 4 (sine and cosine of rows and columns); got {width}."
        )


def projection_names(position: str, logits: str) -> tuple[str, ...]:
    """Return the names of the 1x1 convolutions of the layer, one letter for each of q, k, v that they make."""
    if position == "absolute":
        return ("qk", "v")  # the sinusoid is added to the input of q and k only
    return ("qkv",) if logits == "qk+qr" else ("qv",)
