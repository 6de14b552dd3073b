"""The width multiplier of a space: one choice that scales the widths of the stem and of all stages (MobileNet, 2017).

A scaled width is rounded to the nearest multiple of 8, halves upwards, and is at least 8. A width that is no multiple
of 8 keeps its own largest factor of 4, 2 or 1 instead. So heads or groups that divide the width often divide the scaled
one. A scaled width that breaks a law is refused when the space is read. Architectures have the final widths only.
"""

import math
from collections.abc import Sequence

from hybrid_search.networks.stems import Stem, make_stem
from hybrid_search.ops import options_of

UNIT = 8  # widths stay multiples of it


def scaled_width(width: int, multiplier: float) -> int:
    """Return a scaled and rounded width.

    Args:
        width: the width of the space file.
        multiplier: a number above 0; 1 changes nothing.

    Example:
        >>> [scaled_width(width, 0.75) for width in (64, 24, 12, 8)]
        [48, 24, 8, 8]
    """
    unit = math.gcd(width, UNIT)
    return max(unit, unit * math.floor(width * multiplier / unit + 0.5))


def scaled_widths(widths: Sequence[int], multipliers: Sequence[float] | None) -> tuple[int, ...]:
    """Return every width that these multipliers make, each once.

    Args:
        widths: the widths of the space file.
        multipliers: the choices of the multiplier; None: no multiplier.
    """
    return tuple(dict.fromkeys(scaled_width(width, each) for each in multipliers or (1.0,) for width in widths))


def scaled_stem(stem: Stem, multiplier: float) -> Stem:
    """Return the stem with a scaled width; a stem without an option `width` stays as it is.

    Args:
        stem: a stem of the space.
        multiplier: a number above 0; 1 changes nothing.

    Raises:
        ArchitectureError: the stem does not accept this width.
    """
    options = dict(options_of(stem))
    if multiplier == 1 or "width" not in options:
        return stem
    return make_stem(stem.kind, {**options, "width": scaled_width(int(options["width"]), multiplier)})
