"""The contract of a stem: a frozen dataclass whose fields are its options; the first layers of a network.

A stem maps the image to `width` channels at 1 / `stride` of its resolution, its norm, activation and pool included.
Like an operator it declares laws and price without torch and builds its module on demand.
"""

from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from hybrid_search.ops.operator import Layer, spoken

if TYPE_CHECKING:
    from torch import nn


class Stem(Protocol):
    """What every stem can do; `kind` is its name in the table."""

    kind: ClassVar[str]

    @property
    def stride(self) -> int:
        """What rows and columns are divided by."""

    @property
    def width(self) -> int:
        """Channels of its output."""

    def check(self) -> None:
        """Raise ArchitectureError unless the options obey their laws."""

    def canonical(self) -> Self:
        """The same stem with every option that has no effect set to its default."""

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """The layers in closed form for an image of channels x rows x cols; names are those of the built module."""

    def build(self, channels: int) -> "nn.Module":
        """The module: (batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""


def line(stem: Stem) -> str:
    """A stem in one line: `conv7x7 width=64`."""
    return " ".join([stem.kind, *spoken(stem)])
