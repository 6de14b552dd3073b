"""The contract of a block: a frozen dataclass whose fields are its options.

A stage is a run of equal blocks. A block maps `channels` channels to `out_channels(width)` channels and contains the
spatial operator of its stage, once or several times. Like an operator it declares its rules and its cost without torch:

    @dataclass(frozen=True)
    class Basic:
        label: ClassVar[str] = "basic block"                  # its name for people
        activation: str = "relu"                              # an option and its default
        def check(self, width): ...                           # raises ArchitectureError if an option is illegal
        def out_channels(self, width): ...                    # number of output channels
        def places(self, width, rows, cols, stride): ...      # where the operator stands
        def cost(self, operator, channels, width, rows, cols, stride): ...    # its layers, in closed form
        def build(self, operator, channels, width, stride): ...    # the torch module; the only method with torch

The module applies `hybrid_search.networks.blocks.modules.StochasticDepth` to a branch that it adds to its input. An
option that a later version adds is named in `added_options: ClassVar[tuple[str, ...]]`: it is stored only where it is
not at its default, so that digests stay.

Another package adds a block through the entry-point group `hybrid_search.blocks`. `hybrid_search.testing.BlockContract`
tests it against this contract.
"""

from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hybrid_search.errors import ArchitectureError, PluginError, one_of
from hybrid_search.ops.operator import Layer, Operator, option_names

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ACTIVATIONS", "NORMS", "Block", "OperatorPlace", "check_block"]

ACTIVATIONS = ("relu", "silu", "gelu")
NORMS = ("batch", "layer")
METHODS = ("check", "out_channels", "places", "cost", "build")
RESERVED = ("kind", "variant")  # keys beside the options of a block


@dataclass(frozen=True)
class OperatorPlace:
    """One place of the operator in a block.

    Args:
        name: name of the operator's module in the block.
        width: number of channels of the operator.
        rows, cols: size of its input map in pixels.
        stride: its stride.
    """

    name: str
    width: int
    rows: int
    cols: int
    stride: int


class Block(Protocol):
    """The methods and constants of every block; the head of this file shows an example."""

    label: ClassVar[str]

    def check(self, width: int) -> None:
        """Raise ArchitectureError if an option is illegal.

        Args:
            width: width of the stage.
        """

    def out_channels(self, width: int) -> int:
        """Return the number of output channels.

        Args:
            width: width of the stage.
        """

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return where the operator stands, in order. Every place has the same number of channels.

        Args:
            width: width of the stage.
            rows, cols: size of the input map of the block in pixels.
            stride: stride of the block.
        """

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers for an input map of rows x cols. Their names are those of the built module.

        Args:
            operator: the operator of the stage.
            channels: number of input channels.
            width: width of the stage.
            rows, cols: size of the input map in pixels.
            stride: stride of the block; the output map has ceil(rows / stride) x ceil(cols / stride) pixels.
        """

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module: (batch, channels, rows, cols) -> (batch, out_channels, rows', cols').

        Args:
            operator: the operator of the stage.
            channels: number of input channels.
            width: width of the stage.
            stride: stride of the block.
        """


def check_block(name: str, thing: object) -> type[Any]:
    """Return the class that a plugin provides as the block `name`.

    Raises:
        PluginError: the class breaks the contract; the message names the block and the first fault.
    """

    def fault(law: str, got: object) -> PluginError:
        return PluginError(f"block {name!r} must {law}; got {got}.")

    if not isinstance(thing, type) or not is_dataclass(thing) or not thing.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise fault("be a frozen dataclass", repr(thing))
    missing = [method for method in METHODS if not callable(getattr(thing, method, None))]
    if missing:
        raise fault(f"have the methods {', '.join(METHODS)}", f"no {missing[0]}")
    label = getattr(thing, "label", None)
    if not isinstance(label, str) or not label.strip() or "\n" in label:
        raise fault("have a class constant label of one line", repr(label))
    taken = [option for option in option_names(thing) if option in RESERVED]
    if taken:
        raise fault(f"name no option {', '.join(RESERVED)}", repr(taken[0]))
    return thing


def check_activation(name: object) -> None:
    """Raise ArchitectureError unless this is the name of an activation."""
    one_of("activation", name, ACTIVATIONS, ArchitectureError)


def check_norm(name: object) -> None:
    """Raise ArchitectureError unless this is the name of a norm."""
    one_of("norm", name, NORMS, ArchitectureError)
