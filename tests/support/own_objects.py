"""Objects of a program for every table that registers them. They are local, so other processes get them by value."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from hybrid_search.data import Contents, Part, Source
from hybrid_search.networks.blocks import OperatorPlace
from hybrid_search.ops.operator import Layer

SIZE = (1, 6, 8)


def own_operator(kernel=1):
    """Return an operator without weights that keeps the largest of `kernel` x `kernel` pixels."""

    @dataclass(frozen=True)
    class Largest:
        family: ClassVar[str] = "other"
        label: ClassVar[str] = "largest"
        symbol: ClassVar[str] = "M"
        scale: float = 1.0

        def check(self, width):
            return None

        def canonical(self, width, size=None):
            return self

        def cost(self, width, rows, cols, stride):
            return []

        def build(self, width, stride):
            from torch import nn

            return nn.MaxPool2d(kernel, stride, padding=kernel // 2)

    return Largest


def own_block():
    """Return a block of one convolution and the operator."""

    @dataclass(frozen=True)
    class Enter:
        label: ClassVar[str] = "enter"

        def check(self, width):
            return None

        def out_channels(self, width):
            return width

        def places(self, width, rows, cols, stride):
            return (OperatorPlace("operator", width, rows, cols, stride),)

        def cost(self, operator, channels, width, rows, cols, stride):
            enter = Layer("enter", "conv", channels * width, channels * width * rows * cols, rows, cols, "")
            return [enter, *(layer.within("operator") for layer in operator.cost(width, rows, cols, stride))]

        def build(self, operator, channels, width, stride):
            from torch import nn

            enter = nn.Conv2d(channels, width, 1, bias=False)
            return nn.Sequential(OrderedDict(enter=enter, operator=operator.build(width, stride)))

    return Enter


def own_stem():
    """Return a stem of one 1x1 convolution."""

    @dataclass(frozen=True)
    class Pointwise:
        kind: ClassVar[str] = "pointwise"
        family: ClassVar[str] = "convolution"
        label: ClassVar[str] = "pointwise"
        stride: ClassVar[int] = 1
        width: int = 8

        def check(self):
            return None

        def canonical(self):
            return self

        def cost(self, channels, rows, cols):
            weights = channels * self.width
            return [Layer("conv", "conv", weights, weights * rows * cols, rows, cols, "")]

        def build(self, channels):
            from torch import nn

            return nn.Sequential(OrderedDict(conv=nn.Conv2d(channels, self.width, 1, bias=False)))

        def __str__(self):
            return f"pointwise width={self.width}"

    return Pointwise


def own_dataset(name="gradients", images=60):
    """Return a data set of two classes that needs no file."""

    def read(settings):
        labels = np.arange(images, dtype=np.int64) % 2
        pixels = np.random.default_rng(0).integers(0, 128, (images, *SIZE)).astype(np.uint8)
        pixels[labels == 0, :, :, 4:] += 100
        size = SIZE if settings.image_size is None else (SIZE[0], settings.image_size, settings.image_size)
        return Contents(size, ("left", "right"), Part.from_arrays(pixels, labels, settings.image_size))

    return Source(name, "made-up images", "public domain", read)


class Listed:
    """An export format: the weights as one NumPy archive."""

    name = "listed"

    def write(self, network, folder):
        np.savez(Path(folder) / "w.npz", **{key: value.numpy() for key, value in network.model.state_dict().items()})

    def load(self, folder):
        import torch

        from hybrid_search import Architecture, build_model
        from hybrid_search.export import read_description

        described = read_description(folder)
        model = build_model(Architecture.from_dict(described["architecture"]), SIZE[0], len(described["classes"]))
        with np.load(Path(folder) / "w.npz") as archive:
            model.load_state_dict({key: torch.from_numpy(archive[key]) for key in archive.files})
        return model.eval()

    def usage(self):
        return "logits = load()(images)"
