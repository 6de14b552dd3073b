"""An architecture as a torch module: stem, stages of blocks, head."""

from typing import cast

from torch import Tensor, nn

from hybrid_search.errors import ArchitectureError, is_number, one_of, shown, whole
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.blocks.modules import StochasticDepth
from hybrid_search.ops.local_attention import BACKENDS


class HybridNet(nn.Module):
    """The network of an architecture: (batch, in_channels, rows, cols) -> (batch, num_classes) logits.

    Args:
        architecture: an architecture.
        in_channels: number of channels of the images.
        num_classes: number of classes; 0 for a network without a classifier, whose output is (batch, num_features).
    """

    def __init__(self, architecture: Architecture, in_channels: int = 3, num_classes: int = 1000) -> None:
        super().__init__()
        whole("in_channels", in_channels)
        whole("num_classes", num_classes, 0)
        self.architecture = architecture
        self.in_channels = in_channels
        self.stem = architecture.stem.build(in_channels)
        channels = architecture.stem.width
        stages = []
        for stage in architecture.stages:
            blocks = []
            for index in range(stage.depth):
                stride = stage.stride if index == 0 else 1
                block = stage.block_object(architecture.expansion)
                blocks.append(block.build(stage.operator_object, channels, stage.width, stride))
                channels = block.out_channels(stage.width)
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.num_features = channels
        self.reset_classifier(num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, num_features, rows', cols'): the map of the last stage."""
        y: Tensor = self.stages(self.stem(x))
        return y

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the mean over the map, followed by the classifier unless `pre_logits`."""
        y = x.mean((2, 3))
        return y if pre_logits else cast("Tensor", self.head(y))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, num_classes)."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """Return the linear layer at the end."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one of `num_classes`; `global_pool` must be "avg" (as in timm) or None."""
        one_of("global_pool", global_pool, (None, "avg"))
        self.num_classes = num_classes
        head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()
        if isinstance(head, nn.Linear):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.head = head


def build_model(
    architecture: Architecture, in_channels: int = 3, num_classes: int = 1000, *, stochastic_depth: float = 0.0
) -> HybridNet:
    """Return the network of an architecture, initialised from the global random generator of torch.

    Args:
        architecture: an architecture.
        in_channels: number of channels of the images.
        num_classes: number of classes; 0 for a network without a classifier.
        stochastic_depth: probability that the last block is left out for an image while training. That of block i of L
            is i / L of it (Huang et al. 2016). It changes no weight, and is off in evaluation mode.

    Raises:
        ArchitectureError: the number of channels or classes is no whole number, or too small; or stochastic_depth is
            not from 0 to below 1.

    Example:
        >>> model = build_model(reference("sasa-26-stem"), num_classes=10)
        >>> model(torch.randn(1, 3, 224, 224)).shape
        torch.Size([1, 10])
    """
    model = HybridNet(architecture, in_channels, num_classes)
    _set_stochastic_depth(model, stochastic_depth)
    return model


def _set_stochastic_depth(model: HybridNet, rate: float) -> None:
    if not is_number(rate) or not 0 <= rate < 1:
        raise ArchitectureError(f"stochastic_depth must be a number from 0 to below 1; got {shown(rate)}.")
    blocks = [block for stage in model.stages.children() for block in stage.children()]
    for number, block in enumerate(blocks, start=1):
        for module in block.modules():
            if isinstance(module, StochasticDepth):
                module.rate = rate * number / len(blocks)


def use_backend(model: nn.Module, backend: str | None) -> nn.Module:
    """Set the backend of every attention module, and return the model.

    Args:
        model: a model.
        backend: a name of `hybrid_search.ops.local_attention.BACKENDS`; None for the best that can run. "definition"
            runs the operations as the paper writes and counts them.

    Raises:
        UnknownName: there is no backend of this name.
    """
    one_of("backend", backend, (None, *BACKENDS))
    for module in model.modules():
        if "backend" in vars(module):
            setattr(module, "backend", backend)  # noqa: B010  (nn.Module declares no such attribute)
    return model
