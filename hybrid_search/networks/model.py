"""An architecture as a torch module: stem, stages of blocks, head."""

from collections.abc import Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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

    It has the methods and attributes that timm expects of a model: `feature_info`, `forward_intermediates`,
    `set_grad_checkpointing` and others. The intermediate maps are those of the stem and of each stage.
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
        reduction = architecture.stem.stride
        self.feature_info: list[dict[str, Any]] = [{"num_chs": channels, "reduction": reduction, "module": "stem"}]
        for number, stage in enumerate(architecture.stages):
            blocks = []
            for index in range(stage.depth):
                stride = stage.stride if index == 0 else 1
                block = stage.block_object(architecture.expansion)
                blocks.append(block.build(stage.operator_object, channels, stage.width, stride))
                channels = block.out_channels(stage.width)
            stages.append(nn.Sequential(*blocks))
            reduction *= stage.stride
            described = {"num_chs": channels, "reduction": reduction, "module": f"stages.{number}"}
            self.feature_info.append(described)
        self.stages = nn.Sequential(*stages)
        self.num_features = self.head_hidden_size = channels
        self.drop_rate = 0.0
        self.grad_checkpointing = False
        self.reset_classifier(num_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, num_features, rows', cols'): the map of the last stage."""
        if self.grad_checkpointing and self.training:
            return cast("Tensor", self.forward_intermediates(x)[0])
        y: Tensor = self.stages(self.stem(x))
        return y

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """Return the map of the last stage and the maps of the stem and of stages, as in timm.

        Args:
            x: images (batch, in_channels, rows, cols).
            indices: 0 is the stem, n is stage n; a number takes the last n maps, None all of them.
            norm: without effect, because the blocks contain the norms.
            stop_early: whether to stop after the last map that is taken.
            output_fmt: must be "NCHW".
            intermediates_only: whether to return the list of maps alone.

        Raises:
            ArchitectureError: there is no such map, or the format is another one.
        """
        one_of("output_fmt", output_fmt, ("NCHW",), ArchitectureError)
        taken = self._taken(indices)
        maps = []
        for number, part in enumerate([self.stem, *self.stages]):
            if stop_early and number > max(taken):
                break
            x = checkpoint(part, x, use_reentrant=False) if self.grad_checkpointing and self.training else part(x)
            if number in taken:
                maps.append(x)
        return maps if intermediates_only else (x, maps)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Remove the stages after the last map that is taken, and the classifier, as in timm.

        Args:
            indices: as in `forward_intermediates`.
            prune_norm: without effect.
            prune_head: whether to remove the classifier although no stage is removed.

        Returns:
            The numbers of the maps that are taken.
        """
        taken = self._taken(indices)
        last = max(taken)
        pruned = last < len(self.stages)
        self.stages = nn.Sequential(*list(self.stages)[:last])
        if pruned:
            self.num_features = self.head_hidden_size = self.feature_info[last]["num_chs"]
        if pruned or prune_head:
            self.reset_classifier(0)
        return taken

    def _taken(self, indices: int | Sequence[int] | None) -> list[int]:
        """Return the numbers of the maps that `indices` means."""
        count = len(self.stages) + 1
        last = count if indices is None else indices
        found = list(range(count - last, count)) if isinstance(last, int) else [i + count * (i < 0) for i in last]
        if not found or not all(0 <= number < count for number in found):
            raise ArchitectureError(f"indices must be of the {count} maps (stem and stages); got {shown(indices)}.")
        return found

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Compute the maps within a stage again in the backward pass, which saves memory, as in timm.

        Args:
            enable: whether to do so.
        """
        self.grad_checkpointing = enable

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """Return patterns of parameter names for learning rates by depth, as in timm.

        Args:
            coarse: whether the groups are stages; otherwise they are blocks.
        """
        return {"stem": r"^stem", "blocks": r"^stages\.(\d+)" if coarse else r"^stages\.(\d+)\.(\d+)"}

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Return the mean over the map, followed by dropout, and by the classifier unless `pre_logits`."""
        y = x.mean((2, 3))
        if self.drop_rate > 0.0:
            y = nn.functional.dropout(y, self.drop_rate, self.training)
        return y if pre_logits else cast("Tensor", self.head(y))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, rows, cols) -> (batch, num_classes)."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """Return the linear layer at the end."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the classifier by a new one of `num_classes`; `global_pool` must be "avg" (as in timm) or None.

        Args:
            num_classes: number of classes; 0 removes the classifier.
            global_pool: the pool before the classifier.
        """
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
