"""The 4x4 blocks of the attention stem. The declaration and the layer share them."""

from hybrid_search.errors import ArchitectureError

BLOCK = 4


def check_blocks(rows: int, cols: int) -> None:
    """Raise ArchitectureError unless the image consists of whole 4x4 blocks."""
    if rows % BLOCK or cols % BLOCK or not rows or not cols:
        raise ArchitectureError(
            f"the attention stem needs an image of whole {BLOCK}x{BLOCK} blocks, rows and columns divisible by "
            f"{BLOCK}; got {rows}x{cols}."
        )
