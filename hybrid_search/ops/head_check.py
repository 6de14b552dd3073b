"""The check that the heads of an attention divide its width."""

import math

from hybrid_search.errors import MOST, ArchitectureError, whole

LISTED = 20  # possible numbers of heads that a message lists


def check_heads(heads: int, width: int, even: bool) -> None:
    """Raise ArchitectureError unless the heads divide the width.

    Args:
        heads: number of heads.
        width: number of channels of all heads together.
        even: whether the channels of a head must divide by 2 too: one half for the row table, one for the column table.
    """
    whole("heads", heads, most=MOST)
    step = 2 if even else 1
    if width % (heads * step):
        possible = ", ".join(map(str, _divisors(width // step)[:LISTED] if width % step == 0 else [])) or "none"
        law = "heads must divide the width"
        if even:
            law += " into even parts (one half for rows, one for columns)"
        raise ArchitectureError(f"{law}; got {heads} heads at width {width}; possible: {possible}.")


def _divisors(number: int) -> list[int]:
    """Return every divisor of a number, in order."""
    small = [n for n in range(1, math.isqrt(number) + 1) if number % n == 0]
    return sorted({*small, *(number // n for n in small)})
