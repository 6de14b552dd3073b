"""TimmNetwork: a model of timm as a baseline, its stem adapted to small images. The value itself needs no torch.

timm's models are made for 224 x 224 pixels: most divide the map by 32. On small images nothing would be left, so the
stem is made finer until the last map has at least 4 pixels a side, or the stem has nothing left to change:

    1. the max pool of the stem is left out
    2. the first convolution has half its stride, then a stride of 1

A model of fixed size (vision transformers) is built for the size of the images, with patches small enough for 8 a side.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from hybrid_search._internal.exception_text import message_of
from hybrid_search.errors import ArchitectureError, UnknownName, UserError, nearest, shown

if TYPE_CHECKING:
    from torch import nn

LEAST_MAP = 4  # pixels a side of the last map, at least
PATCHES = 8  # patches a side of a model of fixed size, at least
MULTIPLE = 8  # scaled widths are multiples of this number
SIZES = (0.1, 8.0)  # the smallest and the largest factor of the widths
NOT_INSTALLED = "models of timm need timm; it is not installed. Install it: pip install 'hybrid-search[timm]'."


@dataclass(frozen=True)
class TimmNetwork:
    """One model of timm with an adapted stem, as plain values.

    Args:
        model: name of the model in timm.
        rows, cols: size of the images in pixels.
        width: factor of the widths.
        stem_stride: stride of the first convolution; None: as in timm.
        stem_pool: whether the max pool of the stem stays.
        patch_size: side of a patch in pixels; None: as in timm.

    Example:
        >>> network = fitted("resnet18", (3, 32, 32), classes=10)
        >>> print(network)
        timm resnet18, first convolution with stride 1, without the max pool of the stem
    """

    model: str
    rows: int
    cols: int
    width: float = 1.0
    stem_stride: int | None = None
    stem_pool: bool = True
    patch_size: int | None = None

    @property
    def name(self) -> str:
        """The name of the baseline: `resnet18`, or `resnet18-width-0.5`."""
        return self.model if self.width == 1 else f"{self.model}-width-{self.width:g}"

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify the network."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values. The key `timm` is the name of the model."""
        plain = asdict(self)
        return {"timm": plain.pop("model"), **plain}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the network of a `to_dict` result.

        Args:
            d: plain JSON values.
        """
        return cls(**{"model" if name == "timm" else name: value for name, value in d.items()})

    def __str__(self) -> str:
        return ", ".join([f"timm {self.model}", *self.changes()])

    def changes(self) -> list[str]:
        """Return what differs from the model in timm, in words."""
        found = [f"widths x {self.width:g}"] if self.width != 1 else []
        if self.stem_stride is not None:
            found.append(f"first convolution with stride {self.stem_stride}")
        if not self.stem_pool:
            found.append("without the max pool of the stem")
        if self.patch_size is not None:
            found.append(f"patches of {self.patch_size} x {self.patch_size}")
        return found

    def build(self, in_channels: int, num_classes: int) -> "nn.Module":
        """Return the module, without trained weights: (batch, in_channels, rows, cols) -> (batch, num_classes).

        Args:
            in_channels: number of channels of the images.
            num_classes: number of classes.

        Raises:
            UserError: timm is not installed.
        """
        options: dict[str, Any] = _width_options(self.model, self.width)
        if _has_fixed_size(self.model):
            options["img_size"] = (self.rows, self.cols)
        if self.patch_size is not None:
            options["patch_size"] = self.patch_size
        module = imported_timm().create_model(
            self.model, pretrained=False, in_chans=in_channels, num_classes=num_classes, **options
        )
        if not self.stem_pool:
            _leave_out(module, _stem_pool(module))
        if self.stem_stride is not None:
            for name in _stem_convolutions(module):
                _set_stride(module.get_submodule(name), self.stem_stride)
        return module  # type: ignore[no-any-return]


def fitted(model: str, input_size: tuple[int, int, int], classes: int, width: float = 1.0) -> TimmNetwork:
    """Return a model of timm, adapted to the size of the images. It is built without memory for its weights.

    Args:
        model: name of the model in timm.
        input_size: (channels, rows, cols) of the images.
        classes: number of classes.
        width: factor of the widths.

    Raises:
        UnknownName: timm has no model of this name; the message names the nearest one.
        ArchitectureError: the width cannot be scaled, or the model cannot take such images.
        UserError: timm is not installed.
    """
    timm = imported_timm()
    if not timm.is_model(model):
        names = timm.list_models()
        raise UnknownName(f"a baseline must be a model of timm; got {shown(model)}.{nearest(model, names)}")
    if not SIZES[0] <= width <= SIZES[1]:
        raise ArchitectureError(f"width must be from {SIZES[0]:g} to {SIZES[1]:g}; got {width:g}.")
    fault, best = "", None
    for network in _variants(TimmNetwork(model, *input_size[1:], width=width), input_size[0]):
        try:
            side = _last_map(network, input_size, classes)
        except Exception as error:  # of any class: a map that became too small is an error in many places
            fault = fault or message_of(error).splitlines()[0]
            continue
        if best is None or side > best[0]:
            best = (side, network)
        if side >= LEAST_MAP:
            break
    if best is None:
        image = "x".join(map(str, input_size))
        raise ArchitectureError(
            f"a baseline must take the images of the search; timm model {model} cannot take {image}: {fault}. Leave it "
            "out, or choose another model."
        )
    return best[1]


def timm_cost(network: TimmNetwork, in_channels: int, num_classes: int) -> tuple[int, int]:
    """Return (FLOPs, parameters) of a network: 2 x MACs of one image as torch counts them, without running it.

    Args:
        network: the network.
        in_channels: number of channels of the images.
        num_classes: number of classes.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = network.build(in_channels, num_classes).eval()
        image = torch.empty(1, in_channels, network.rows, network.cols)
    # On the meta device attention is computed as two products, which are counted. A fused kernel is not.
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return counter.get_total_flops(), sum(parameter.numel() for parameter in module.parameters())


def imported_timm() -> Any:
    """Return the module timm, imported after torchvision.

    Raises:
        UserError: It is not installed.
    """
    from hybrid_search._internal.torchvision_compat import import_torchvision

    import_torchvision()
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise UserError(NOT_INSTALLED) from None
    return timm


def _has_fixed_size(model: str) -> bool:
    config = imported_timm().models.get_pretrained_cfg(model)
    return config is not None and bool(config.fixed_input_size)


def _variants(network: TimmNetwork, in_channels: int) -> Iterator[TimmNetwork]:
    """Yield the network with a stem that becomes finer from step to step."""
    import torch

    if _has_fixed_size(network.model):
        patch = max(1, min(network.rows, network.cols) // PATCHES)
        sizes = [int(size) for size in re.findall(r"patch(\d+)", network.model)]
        if sizes and patch < sizes[0]:
            yield replace(network, patch_size=patch)
        yield network
        return
    yield network
    with torch.device("meta"):
        module: Any = network.build(in_channels, 2)
    if _stem_pool(module) is not None:
        network = replace(network, stem_pool=False)
        yield network
    convolutions: list[Any] = [module.get_submodule(name) for name in _stem_convolutions(module)]
    stride = max((conv.stride[0] for conv in convolutions), default=1)
    while stride > 1 and (stride > 2 or convolutions[0].kernel_size[0] % 2):
        stride //= 2
        network = replace(network, stem_stride=stride)
        yield network


def _last_map(network: TimmNetwork, input_size: tuple[int, int, int], classes: int) -> int:
    """Return the shorter side of the last map in pixels; of a model of tokens, a side that is large enough."""
    import torch

    with torch.device("meta"), torch.no_grad():
        module: Any = network.build(input_size[0], classes).eval()
        module(torch.empty(1, *input_size))
        found = module.forward_features(torch.empty(1, *input_size))
    if not isinstance(found, torch.Tensor) or found.ndim != 4:
        return LEAST_MAP
    sides = found.shape[1:3] if getattr(module, "output_fmt", "NCHW") == "NHWC" else found.shape[2:]
    return min(sides)


def _stem_convolutions(module: Any) -> list[str]:
    """Return the names of the first convolutions, those that take the image, if they have a stride."""
    from torch import nn

    first = module.pretrained_cfg.get("first_conv") or ()
    names = [first] if isinstance(first, str) else list(first)
    known = dict(module.named_modules())
    return [name for name in names if isinstance(known.get(name), nn.Conv2d) and known[name].stride[0] > 1]


def _stem_pool(module: Any) -> str | None:
    """Return the name of the first max pool with a stride; None if there is none."""
    from torch import nn

    pools = [name for name, part in module.named_modules() if isinstance(part, nn.MaxPool2d)]
    return next((name for name in pools if module.get_submodule(name).stride not in (1, (1, 1))), None)


def _leave_out(module: Any, name: str | None) -> None:
    """Replace a part of a module by the identity."""
    from torch import nn

    if name is not None:
        parent, _dot, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, nn.Identity())


def _set_stride(conv: Any, stride: int) -> None:
    """Set the stride of a convolution. Patches that now overlap get a border, so that the map has image / stride."""
    if conv.kernel_size == conv.stride:
        conv.padding = tuple((side - stride) // 2 for side in conv.kernel_size)
    conv.stride = (stride, stride)


@lru_cache(maxsize=64)
def _base_widths(model: str) -> tuple[str, tuple[int, ...]] | None:
    """Return the option of timm that gives the widths of a model, and its default; None if timm has none."""
    import torch

    with torch.device("meta"):
        module = imported_timm().create_model(model, pretrained=False)
    parameters = inspect.signature(type(module).__init__).parameters
    if "dims" in parameters:  # ConvNeXt, MetaFormer
        return "dims", tuple(int(stage["num_chs"]) for stage in module.feature_info)
    if "channels" in parameters and isinstance(parameters["channels"].default, tuple):  # ResNet
        return "channels", parameters["channels"].default
    return None


def _width_options(model: str, width: float) -> dict[str, Any]:
    """Return the options of timm that scale the widths of a model.

    Raises:
        ArchitectureError: timm offers no option for it.
    """
    if width == 1:
        return {}
    found = _base_widths(model)
    if found is None:
        pattern = re.sub(r"_\d{2,3}$", "_*", model)
        others = [name for name in imported_timm().list_models(pattern) if name != model]
        names = f" It has these names in other widths: {', '.join(others[:8])}." if others and pattern != model else ""
        raise ArchitectureError(
            f"--width must be given for models whose widths timm can scale (ResNet, ConvNeXt and MetaFormer families); "
            f"got {model}.{names}"
        )
    option, widths = found
    return {option: tuple(max(MULTIPLE, round(width * each / MULTIPLE) * MULTIPLE) for each in widths)}
