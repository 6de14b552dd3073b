"""Assert that a stated cost is that of the built module."""

from collections.abc import Iterable

from torch import nn

from hybrid_search.networks.counting import cost_fault
from hybrid_search.ops.operator import Layer


def assert_cost(module: nn.Module, layers: Iterable[Layer], shape: tuple[int, ...]) -> None:
    """Assert that the layers are exactly what torch counts on the module.

    Args:
        module: a module on the meta device.
        layers: the stated layers; see `hybrid_search.networks.counting.cost_fault`.
        shape: shape of the input of one image, (channels, rows, cols).
    """
    fault = cost_fault(module, layers, shape)
    assert fault is None, fault
