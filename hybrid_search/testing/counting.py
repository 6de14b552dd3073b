"""The comparison of a declared cost with a built module: parameters and FLOPs as torch counts them."""

from collections.abc import Iterable

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid_search.networks.model import use_backend
from hybrid_search.ops.operator import Layer


def assert_cost(module: nn.Module, layers: Iterable[Layer], shape: tuple[int, ...]) -> None:
    """Assert that the layers are exactly what torch counts on the module.

    Every module with a `backend` runs as "definition", because torch does not see the operations of a fused kernel.

    Args:
        module: a module on the meta device.
        layers: the declared layers; their names are those of submodules.
        shape: shape of the input of one image, (channels, rows, cols).
    """
    layers = list(layers)
    use_backend(module, "definition")
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *shape, device="meta"))
    root = type(module).__name__ + "."
    flops = {str(name).removeprefix(root): sum(by.values()) for name, by in counter.get_flop_counts().items()}
    params = {name: parameter.numel() for name, parameter in module.named_parameters()}
    names = dict(module.named_modules())
    assert flops.get("Global", 0) == sum(layer.flops for layer in layers), "FLOPs of all layers"
    assert sum(params.values()) == sum(layer.params for layer in layers), "parameters of all layers"
    for layer in layers:
        assert layer.name in names, f"{layer.name} is no module"
        assert flops.get(layer.name, 0) == layer.flops, f"FLOPs of {layer.name}"
        counted = sum(number for name, number in params.items() if name.startswith(layer.name + "."))
        assert counted == layer.params, f"parameters of {layer.name}"
