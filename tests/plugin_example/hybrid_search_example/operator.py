"""Operator `shift`: move a fifth of the channels in each direction (Wu et al. 2018)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from hybrid_search.errors import ArchitectureError, whole
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Shift:
    """Move a fifth of the channels up, down, left and right by `reach` pixels; the rest stays."""

    family: ClassVar[Family] = "other"
    label: ClassVar[str] = "shift"
    symbol: ClassVar[str] = "S"
    reach: int = 1

    def check(self, width: int) -> None:
        """Raise ArchitectureError if the options break a rule at this width."""
        whole("reach", self.reach)
        if width < 4:
            raise ArchitectureError(f"shift needs a width of at least 4; got {width}.")

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """Return the operator unchanged: the option always has an effect."""
        return self

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return every layer that has parameters or MACs: shift has none."""
        return []

    def build(self, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        from hybrid_search_example.shift_module import ShiftModule

        return ShiftModule(self.reach, stride)
