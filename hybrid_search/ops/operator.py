"""The contract of an operator: a frozen dataclass whose fields are its options.

An operator maps `width` channels to `width` channels inside a bottleneck block. A space file, an architecture and
the search know it only as a name and its options; all that is particular to it stands in its own file:

    @dataclass(frozen=True)
    class Conv:
        kernel_size: int = 3                          # an option and its default
        def check(self, width): ...                   # its laws; raises ArchitectureError
        def canonical(self, width, size=None): ...    # the same operator without the options that have no effect
        def cost(self, width, rows, cols, stride): ...    # its layers in closed form
        def build(self, width, stride): ...           # the torch module; torch is imported here and not before

Declaring costs no torch import, so that a space is validated, counted and priced in milliseconds.
"""

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, Self

from hybrid_search.errors import ArchitectureError, nearest

if TYPE_CHECKING:
    from torch import nn

Value = bool | int | float | str
Options = tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Layer:
    """The price of one layer: its name in the built model, parameters, and MACs (FLOPs = 2 x MACs) of one image.

    `formula` writes out the arithmetic per output pixel, for `hybrid-search cost --explain`.
    """

    name: str
    kind: str
    params: int
    macs: int
    rows: int
    cols: int
    formula: str = ""

    @property
    def flops(self) -> int:
        """FLOPs of one image: 2 x MACs."""
        return 2 * self.macs

    def within(self, prefix: str) -> "Layer":
        """The same layer under a longer name: `conv` in `stages.0.1` is `stages.0.1.conv`."""
        return Layer(f"{prefix}.{self.name}", self.kind, self.params, self.macs, self.rows, self.cols, self.formula)


class Operator(Protocol):
    """What every operator can do; see the head of this file."""

    def check(self, width: int) -> None:
        """Raise ArchitectureError unless the options obey their laws at this width."""

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """The same operator with every option that has no effect at this width set to one value.

        With `size`, the (rows, cols) of the largest map it will see, also those that have none there.
        """

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """The layers in closed form for an input map of rows x cols; names are those of the built module."""

    def build(self, width: int, stride: int) -> "nn.Module":
        """The module: (batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""


def option_names(kind: type[Any]) -> list[str]:
    """The names of the options that an operator or stem declares."""
    return [field.name for field in fields(kind)]


def options_of(value: Any) -> Options:
    """Every option of an operator or stem and its value, in the order declared."""
    return tuple((field.name, getattr(value, field.name)) for field in fields(value))


def spoken(value: Any) -> list[str]:
    """The options a person needs to read: the first one declared, and any other that is not at its default."""
    told = [field for i, field in enumerate(fields(value)) if i == 0 or getattr(value, field.name) != field.default]
    return [f"{field.name}={getattr(value, field.name)}" for field in told]


def from_options(what: str, kind: type[Any], options: dict[str, Any]) -> Any:
    """An operator or stem from its options; ArchitectureError for an unknown or missing one."""
    known = option_names(kind)
    for name in options:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ArchitectureError(f"options of {what} are {listed}; got {name!r}.{nearest(name, known)}")
    for field in fields(kind):
        if field.default is MISSING and field.name not in options:
            raise ArchitectureError(f"{what} needs the option {field.name}; got {', '.join(options) or 'none'}.")
    return kind(**options)
