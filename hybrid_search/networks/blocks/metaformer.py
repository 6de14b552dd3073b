"""The block of ConvNeXt, PoolFormer and transformers: an operator and an MLP, each added to its input."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hybrid_search.errors import ArchitectureError, whole
from hybrid_search.networks.blocks import layers
from hybrid_search.networks.blocks.block import OperatorPlace, check_activation, check_norm
from hybrid_search.ops.operator import Layer, Operator

if TYPE_CHECKING:
    from torch import nn

MOST_RATIO = 100


def merging_kernel(stride: int) -> int:
    """Return the kernel size of the convolution that changes the shape: 1, 3 or 5 for strides 1, 2 to 3, 4."""
    return stride | 1


@dataclass(frozen=True)
class MetaFormer:
    """x + operator(norm(x)), then x + MLP(norm(x)) (Yu et al. 2022). The MLP has one hidden layer.

    A block that changes the shape begins with a norm and a strided convolution, as ConvNeXt does between its stages.

    Args:
        mlp_ratio: hidden channels of the MLP / width.
        layer_scale: whether each sum scales its branch by a trained factor for each channel (Touvron et al. 2021).
        norm: layer (over the channels of a pixel) or batch.
        activation: relu, silu or gelu.
    """

    label: ClassVar[str] = "metaformer"
    mlp_ratio: int = 4
    layer_scale: bool = True
    norm: str = "layer"
    activation: str = "gelu"

    def check(self, width: int) -> None:
        """Raise ArchitectureError for an mlp_ratio below 1, or an unknown norm or activation."""
        whole("mlp_ratio", self.mlp_ratio, most=MOST_RATIO)
        if not isinstance(self.layer_scale, bool):
            raise ArchitectureError(f"layer_scale must be true or false; got {self.layer_scale!r}.")
        check_norm(self.norm)
        check_activation(self.activation)

    def out_channels(self, width: int) -> int:
        """Return the width."""
        return width

    def places(self, width: int, rows: int, cols: int, stride: int) -> tuple[OperatorPlace, ...]:
        """Return the one place of the operator: on the output map."""
        return (OperatorPlace("operator", width, *layers.halved(rows, cols, stride), 1),)

    def cost(self, operator: Operator, channels: int, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """Return the layers: the operator and 2 r d^2 of the MLP on the output map, and the change of shape."""
        out = layers.halved(rows, cols, stride)
        (place,) = self.places(width, rows, cols, stride)
        hidden, scales = width * self.mlp_ratio, [Layer("", "norm", width, 0, *out)] if self.layer_scale else []
        merge = [
            layers.norm("merge_norm", channels, rows, cols),
            layers.dense_conv("merge", merging_kernel(stride), channels, width, *out),
        ]
        return [
            *(merge if self.merges(channels, width, stride) else []),
            layers.norm("operator_norm", width, *out),
            *layers.at(operator, place),
            *(_named(scale, "operator_scale") for scale in scales),
            layers.norm("mlp_norm", width, *out),
            layers.conv1x1("widen", width, hidden, *out),
            layers.conv1x1("narrow", hidden, width, *out),
            *(_named(scale, "mlp_scale") for scale in scales),
        ]

    def merges(self, channels: int, width: int, stride: int) -> bool:
        """Return whether the block changes the shape."""
        return stride > 1 or channels != width

    def build(self, operator: Operator, channels: int, width: int, stride: int) -> "nn.Module":
        """Return the module."""
        from hybrid_search.networks.blocks.metaformer_module import MetaFormerModule

        return MetaFormerModule(self, operator, channels, width, stride)


def _named(layer: Layer, name: str) -> Layer:
    return Layer(name, layer.kind, layer.params, layer.macs, layer.rows, layer.cols)
