"""The module and the exact cost of a network that is trained: an architecture, or a model of timm."""

from torch import nn

from hybrid_search.networks.costs import total_cost
from hybrid_search.networks.model import build_model
from hybrid_search.networks.network import Network
from hybrid_search.networks.timm_network import TimmNetwork, timm_cost


def network_cost(network: Network, input_size: tuple[int, int, int], classes: int) -> tuple[int, int]:
    """Return (FLOPs, parameters) of one image: in closed form, or counted by torch for a model of timm.

    Args:
        network: the network.
        input_size: (channels, rows, cols) of an image.
        classes: number of classes.
    """
    if isinstance(network, TimmNetwork):
        return timm_cost(network, input_size[0], classes)
    return total_cost(network, input_size, classes)


def build_network(network: Network, in_channels: int, classes: int, stochastic_depth: float = 0.0) -> nn.Module:
    """Return the module of a network, initialised from the global random generator of torch.

    Args:
        network: the network.
        in_channels: number of channels of the images.
        classes: number of classes.
        stochastic_depth: probability that a sample skips the last block; a model of timm keeps its own rate.
    """
    if isinstance(network, TimmNetwork):
        return network.build(in_channels, classes)
    return build_model(network, in_channels, classes, stochastic_depth=stochastic_depth)
