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
        layers: the declared layers. Each has the name of a submodule, as `named_modules` gives it; the module itself is
            no layer.
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
    for layer in layers:
        assert layer.name, (
            f"every layer must be a submodule; the built {type(module).__name__} is itself a layer. Put it into a "
            'module, such as nn.Sequential(OrderedDict(conv=nn.Conv2d(...))), and name the layer "conv".'
        )
        known = ", ".join(filter(None, names)) or f"none: wrap {type(module).__name__} in a module with a name for it"
        assert layer.name in names, f"a layer must have the name of a submodule; got {layer.name!r}. There are {known}."
        counted = flops.get(layer.name, 0)
        assert layer.flops == counted, f"FLOPs of {layer.name}: cost states {layer.flops}, torch counts {counted}"
        counted = sum(number for name, number in params.items() if name.startswith(layer.name + "."))
        assert layer.params == counted, f"parameters of {layer.name}: cost states {layer.params}, it has {counted}"
    stated, counted = sum(layer.flops for layer in layers), flops.get("Global", 0)
    assert stated == counted, f"FLOPs of all layers: cost states {stated}, torch counts {counted}"
    stated, counted = sum(layer.params for layer in layers), sum(params.values())
    assert stated == counted, f"parameters of all layers: cost states {stated}, the module has {counted}"
