"""The costs of the layers that blocks are made of."""

from hybrid_search.networks.blocks.block import OperatorPlace
from hybrid_search.ops.operator import Layer, Operator, stated_layers


def halved(rows: int, cols: int, stride: int) -> tuple[int, int]:
    """Return the size of the output map of a strided layer: rows and columns divided by the stride, rounded up."""
    return -(-rows // stride), -(-cols // stride)


def conv1x1(name: str, channels: int, out_channels: int, rows: int, cols: int) -> Layer:
    """Return the cost of a 1x1 convolution without bias on an output map of rows x cols."""
    weights = channels * out_channels
    return Layer(name, "conv", weights, weights * rows * cols, rows, cols, f"{channels} x {out_channels}")


def dense_conv(name: str, kernel_size: int, channels: int, out_channels: int, rows: int, cols: int) -> Layer:
    """Return the cost of a k x k convolution without bias on an output map of rows x cols."""
    weights = kernel_size**2 * channels * out_channels
    formula = f"{kernel_size}^2 x {channels} x {out_channels}"
    return Layer(name, "conv", weights, weights * rows * cols, rows, cols, formula)


def norm(name: str, channels: int, rows: int, cols: int) -> Layer:
    """Return the cost of a norm: a scale and a shift for each channel, no MACs."""
    return Layer(name, "norm", 2 * channels, 0, rows, cols)


def shortcut(channels: int, out_channels: int, rows: int, cols: int, stride: int) -> list[Layer]:
    """Return the layers of a projection shortcut on an output map of rows x cols; none if it is the identity."""
    if stride == 1 and channels == out_channels:
        return []
    return [
        conv1x1("shortcut.conv", channels, out_channels, rows, cols),
        norm("shortcut.norm", out_channels, rows, cols),
    ]


def squeeze_excitation(channels: int) -> list[Layer]:
    """Return the two linear layers of squeeze-and-excitation (Hu et al. 2018): d -> d / 4 -> d, with bias."""
    hidden = squeezed(channels)
    weights = channels * hidden
    return [
        Layer("excitation.squeeze", "linear", weights + hidden, weights, 1, 1, f"{channels} x {hidden}"),
        Layer("excitation.excite", "linear", weights + channels, weights, 1, 1, f"{hidden} x {channels}"),
    ]


def squeezed(channels: int) -> int:
    """Return the hidden width of squeeze-and-excitation: a quarter of the channels, at least 8."""
    return max(8, channels // 4)


def at(operator: Operator, place: OperatorPlace) -> list[Layer]:
    """Return the layers of the operator at one of its places."""
    found = stated_layers(operator, place.width, place.rows, place.cols, place.stride)
    return [layer.within(place.name) for layer in found]


def changes_channels(operator: Operator) -> bool:
    """Return whether the operator can have another number of input channels than of output channels."""
    return bool(getattr(operator, "can_change_channels", False))


def changed(operator: Operator, channels: int, width: int) -> dict[str, int]:
    """Return the argument `channels` of an operator that changes the number of channels itself; otherwise nothing."""
    return {"channels": channels} if channels != width and changes_channels(operator) else {}
