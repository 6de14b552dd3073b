"""The check that the heads of an attention divide its width."""

from hybrid_search.errors import ArchitectureError, whole


def check_heads(heads: int, width: int, even: bool) -> None:
    """Raise ArchitectureError unless the heads divide the width.

    Args:
        heads: number of heads.
        width: number of channels of all heads together.
        even: whether the channels of a head must divide by 2 too: one half for the row table, one for the column table.
    """
    whole("heads", heads)
    step = 2 if even else 1
    if width % (heads * step):
        possible = ", ".join(str(n) for n in range(1, width + 1) if width % (n * step) == 0) or "none"
        law = "heads must divide the width"
        if even:
            law += " into even parts (one half for rows, one for columns)"
        raise ArchitectureError(f"{law}; got {heads} heads at width {width}; possible: {possible}.")
