"""The contract of a stem, the first layers of a network: a frozen dataclass whose fields are its options.

A stem maps the image to `width` channels at 1 / `stride` of its resolution. It includes its norm, activation and pool.
Like an operator it declares its rules and its cost without torch. Another package adds a stem through the entry-point
group `hybrid_search.stems`; `hybrid_search.testing.StemContract` tests it against this contract.
"""

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from hybrid_search.errors import PluginError
from hybrid_search.ops.operator import Family, Layer, check_declaration, option_names, shown_options

__all__ = ["Stem", "one_line"]

if TYPE_CHECKING:
    from torch import nn


class Stem(Protocol):
    """The methods and constants of every stem. `kind` is its name in the table."""

    kind: ClassVar[str]
    family: ClassVar[Family]
    label: ClassVar[str]

    @property
    def stride(self) -> int:
        """The number that rows and columns are divided by."""

    @property
    def width(self) -> int:
        """The number of output channels."""

    def check(self) -> None:
        """Raise ArchitectureError if an option is illegal."""

    def canonical(self) -> Self:
        """Return the same stem with every option that has no effect set to one value."""

    def cost(self, channels: int, rows: int, cols: int) -> list[Layer]:
        """Return the layers for an image of channels x rows x cols. Their names are those of the built module.

        Args:
            channels: number of channels of the image.
            rows, cols: size of the image in pixels.
        """

    def build(self, channels: int) -> "nn.Module":
        """Return the module: (batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)).

        Args:
            channels: number of channels of the image.
        """


def check_stem(name: str, thing: object) -> type[Any]:
    """Return the class that a plugin provides as the stem `name`.

    Raises:
        PluginError: the class breaks the contract; the message names the stem and the first fault.
    """
    kind = check_declaration("stem", name, thing)
    if getattr(kind, "kind", None) != name:
        got = getattr(kind, "kind", None)
        raise PluginError(f"stem {name!r} must have a class constant kind equal to its name; got {got!r}.")
    for attribute in ("stride", "width"):
        if not hasattr(kind, attribute) and attribute not in option_names(kind):
            raise PluginError(f"stem {name!r} must have a width and a stride; got no {attribute}.")
    return kind


def one_line(stem: Stem) -> str:
    """Return a stem in one line: `conv7x7 width=64`.

    Args:
        stem: a stem.
    """
    return " ".join([stem.kind, *shown_options(stem)])
