"""Compare the stated cost of an operator, block or stem with the parameters and FLOPs that torch counts.

Built-in operators, blocks and stems are compared by the contract tests. Those of plugins are compared where a search,
`space` or `cost` uses them, once for each shape in a process.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.errors import PluginError, UserError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.blocks.layers import changed
from hybrid_search.networks.costs import PlacedBlock, blocks, input_size_of
from hybrid_search.networks.model import use_backend
from hybrid_search.networks.stems import STEMS, Stem
from hybrid_search.ops import OPERATORS, Layer, Operator
from hybrid_search.ops.operator import stated_layers
from hybrid_search.plugins import Table

Shape = tuple[int, int, int]  # channels, rows, cols


def cost_fault(module: nn.Module, layers: Iterable[Layer], shape: tuple[int, ...], device: str = "meta") -> str | None:
    """Return the first difference between stated layers and what torch counts on a module, or None.

    Every module with a `backend` runs as "definition", because torch does not see the operations of a fused kernel.

    Args:
        module: a module on this device.
        layers: the stated layers. Each has the name of a submodule, as `named_modules` gives it; the module itself is
            no layer.
        shape: shape of the input of one image, (channels, rows, cols).
        device: the device of the module; on "meta" nothing is computed.
    """
    layers = list(layers)
    use_backend(module, "definition")
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *shape, device=device))
    root = type(module).__name__ + "."
    flops = {str(name).removeprefix(root): sum(by.values()) for name, by in counter.get_flop_counts().items()}
    params = {name: parameter.numel() for name, parameter in module.named_parameters()}
    names = dict(module.named_modules())
    for layer in layers:
        if not layer.name:
            return (
                f"every layer must be a submodule; the built {type(module).__name__} is itself a layer. Put it into a "
                'module, such as nn.Sequential(OrderedDict(conv=nn.Conv2d(...))), and name the layer "conv".'
            )
        if layer.name not in names:
            known = ", ".join(filter(None, names)) or f"none: wrap {type(module).__name__} in a module with a name"
            return f"a layer must have the name of a submodule; got {layer.name!r}. There are {known}."
        if layer.flops != (counted := flops.get(layer.name, 0)):
            return f"FLOPs of {layer.name}: cost states {layer.flops}, torch counts {counted}"
        counted = sum(number for name, number in params.items() if name.startswith(layer.name + "."))
        if layer.params != counted:
            return f"parameters of {layer.name}: cost states {layer.params}, it has {counted}"
    if (stated := sum(layer.flops for layer in layers)) != (counted := flops.get("Global", 0)):
        return f"FLOPs of all layers: cost states {stated}, torch counts {counted}"
    if (stated := sum(layer.params for layer in layers)) != (counted := sum(params.values())):
        return f"parameters of all layers: cost states {stated}, the module has {counted}"
    return None


def check_plugin_costs(architecture: Architecture, input_size: Shape) -> None:
    """Raise PluginError for the first plugin of a network whose stated cost is not that of its module.

    Stem, operators and blocks are built alone, on torch's meta device: nothing is computed. Built-in ones are skipped.

    Args:
        architecture: the network.
        input_size: (channels, rows, cols) of an image of a network without an image size.
    """
    input_size = input_size_of(architecture, input_size)
    stem: Any = architecture.stem  # a frozen dataclass, so it can be hashed
    if not STEMS.is_built_in(stem.kind):
        _refuse(STEMS, stem.kind, _stem_fault(stem, input_size))
    for block in blocks(architecture, *input_size[1:]):
        operator: Any = block.stage.operator_object
        name = block.stage.operator
        if not OPERATORS.is_built_in(name):
            for place in block.places:
                fault = _operator_fault(operator, (place.width, place.rows, place.cols), place.stride)
                _refuse(OPERATORS, name, fault)
            if changed(operator, block.channels, block.stage.width):  # its cost with another number of input channels
                _refuse(OPERATORS, name, _block_fault(replace(block, name="")))
        if not BLOCKS.is_built_in(block.stage.block):
            _refuse(BLOCKS, block.stage.block, _block_fault(replace(block, name="")))


def _refuse(table: Table[type[Any]], name: str, fault: str | None) -> None:
    if fault is None:
        return
    package, version = table.package_of(name) or ("unknown", "unknown")
    raise PluginError(
        f"{table.kind} {name!r} of the package {package} {version} must state the cost of the module that it builds; "
        f"got {fault}. Correct its cost or its build."
    )


@lru_cache(maxsize=1024)
def _stem_fault(stem: Stem, shape: Shape) -> str | None:
    channels, rows, cols = shape
    fault = _fault(lambda: stem.build(channels), stated_layers(stem, *shape), shape)
    return fault and f"{fault} ({stem}, image {channels}x{rows}x{cols})"


@lru_cache(maxsize=1024)
def _operator_fault(operator: Operator, shape: Shape, stride: int) -> str | None:
    width, rows, cols = shape
    fault = _fault(lambda: operator.build(width, stride), stated_layers(operator, *shape, stride), shape)
    return fault and f"{fault} ({operator}, width {width}, stride {stride}, map {rows}x{cols})"


@lru_cache(maxsize=1024)
def _block_fault(placed: PlacedBlock) -> str | None:
    channels, width, stride = placed.channels, placed.stage.width, placed.stride
    block, operator = placed.stage.block_object(placed.expansion), placed.stage.operator_object
    shape = (channels, placed.rows, placed.cols)
    fault = _fault(lambda: block.build(operator, channels, width, stride), placed.layers(), shape)
    where = f"{channels} channels, width {width}, stride {stride}, map {placed.rows}x{placed.cols}"
    return fault and f"{fault} ({block} with {operator}, {where})"


def _fault(build: Callable[[], nn.Module], layers: list[Layer], shape: Shape) -> str | None:
    """Return the first difference, or why the module cannot be built and run, on meta or else on the CPU."""
    reason = ""
    for device in ("meta", "cpu"):  # a module of a plugin may have operations without an implementation on meta
        try:
            with clean_process_state(), torch.device(device), torch.no_grad():
                return cost_fault(build().eval(), layers, shape, device)
        except UserError:
            raise
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return f"a module that cannot be built and run: {reason}"
