"""Batch norm over the images of all ranks, so that a batch on several devices has the statistics of the whole batch.

torch's SyncBatchNorm does this on GPUs, and refuses tensors of a CPU. The one here serves CPUs. A rank sends the mean,
the variance and the number of values of its share; all ranks combine them (Chan, Golub and LeVeque 1979) and normalise
with the same numbers. The gradient adds up two sums over the ranks (Ioffe and Szegedy 2015, section 3).
"""

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

FEATURES = (0, 2, 3)  # the dimensions over which an image of (n, channels, rows, columns) is normalised


def share_batch_norm(model: nn.Module, device: torch.device) -> tuple[nn.Module, bool]:
    """Return a network whose batch norms use the images of all ranks, and whether all of them do.

    On a CPU, batch norms of another class than `torch.nn.BatchNorm2d`, such as those of timm, keep the images of their
    own rank.

    Args:
        model: the network; it is changed.
        device: where it is trained.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if device.type != "cpu":
        convert: Any = nn.SyncBatchNorm.convert_sync_batchnorm
        if any(type(norm).__module__.startswith("timm.") for norm in norms):
            from timm.layers.norm_act import convert_sync_batchnorm as convert  # keeps the activations of timm
        return convert(model), True
    for norm in norms:
        if type(norm) is nn.BatchNorm2d:
            norm.__class__ = SharedBatchNorm2d  # names, weights and buffers stay as they are
    return model, all(isinstance(norm, SharedBatchNorm2d) for norm in norms)


class SharedBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose statistics are those of the images of all ranks while it is trained."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised images.

        Args:
            input: float (n, channels, rows, columns).
        """
        if not self.training or self.running_mean is None or self.running_var is None:
            return super().forward(input)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        output, mean, variance, count = _Normalise.apply(input, self.weight, self.bias, self.eps)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        return cast("Tensor", output)


class _Normalise(torch.autograd.Function):
    """Normalise with the statistics of all ranks. Returns images, mean, variance (biased) and number of values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        values = x.float()
        variance, mean = torch.var_mean(values, FEATURES, correction=0)
        mine = torch.cat([mean, variance, torch.tensor([float(values.numel() // values.shape[1])])])
        every = torch.empty(dist.get_world_size(), len(mine))
        dist.all_gather(list(every.unbind(0)), mine)
        means, variances, counts = every[:, : len(mean)], every[:, len(mean) : -1], every[:, -1:]
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (counts * (variances + (means - mean) ** 2)).sum(0) / count
        scale = (variance + eps).rsqrt()
        normal = (values - _wide(mean)) * _wide(scale)
        ctx.save_for_backward(normal, scale, weight, count)
        ctx.mark_non_differentiable(mean, variance, count)
        output = normal if weight is None else normal * _wide(weight)
        output = output if bias is None else output + _wide(bias)
        return output.to(x.dtype), mean, variance, count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        normal, scale, weight, count = ctx.saved_tensors
        wide = gradient.float()
        sums = torch.stack([wide.sum(FEATURES), (wide * normal).sum(FEATURES)])
        mine = sums.clone()  # the gradients of weight and bias: DistributedDataParallel adds them up
        dist.all_reduce(sums)
        first, second = sums / count
        back = (wide - _wide(first) - normal * _wide(second)) * _wide(scale if weight is None else scale * weight)
        some = weight is not None
        return back.to(gradient.dtype), mine[1] if some else None, mine[0] if some else None, None


def _wide(numbers: Tensor) -> Tensor:
    """Return numbers of the channels in the shape of images."""
    return numbers[None, :, None, None]
