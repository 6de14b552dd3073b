"""Ranks: the processes that train one network together, one for each device, and what they exchange.

Every process has a rank from 0. All of them draw the same order and augmentation of an epoch; each one computes a share
of every batch. torch.distributed adds up what they computed: with gloo on CPUs, with nccl on GPUs.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.training.shared_batch_norm import share_batch_norm


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train one network.

    Attributes:
        rank: its number, from 0.
        count: the number of processes. With 1 nothing is exchanged, and torch.distributed is not used.

    Example:
        >>> Ranks().total(torch.ones(3))  # alone
        tensor([1., 1., 1.])
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def of_process(cls) -> "Ranks":
        """Return the ranks of the process group of torch.distributed; of one process if there is none."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def backend(self) -> str:
        """The backend of the process group: gloo or nccl; "none" without one."""
        return str(dist.get_backend()) if dist.is_available() and dist.is_initialized() else "none"

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all ranks, which every rank gets bit for bit. The tensor itself is changed.

        Args:
            value: a tensor of the same shape in every rank, on the device of training.
        """
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Return whether the flag of any rank is set. Every rank must call it.

        Args:
            flag: the flag of this rank.
        """
        if self.count == 1:
            return flag
        return bool(self.total(torch.tensor(int(flag), device=self._device())).item())

    def first(self, data: bytes | None) -> bytes | None:
        """Return the bytes of rank 0 in every rank. Every rank must call it.

        Args:
            data: the bytes of this rank; those of other ranks than 0 are ignored.
        """
        if self.count == 1:
            return data
        size = torch.tensor(-1 if data is None else len(data), device=self._device())
        dist.broadcast(size, 0)
        if size.item() <= 0:
            return None if size.item() < 0 else b""
        content = torch.empty(int(size.item()), dtype=torch.uint8)
        if self.rank == 0 and data is not None:
            content = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        content = content.to(self._device())
        dist.broadcast(content, 0)
        return bytes(content.cpu().numpy())

    def wait(self) -> None:
        """Wait until every rank has called this."""
        self.any(False)

    def _device(self) -> torch.device:
        return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")

    # -- the share of this rank --

    def share(self, count: int, mirrored: bool = False) -> Tensor:
        """Return the positions in a batch that this rank computes, int64.

        Shares of one batch differ by one image at most. Mirrored shares hold an image and its mirror in the batch, with
        which mixup and CutMix mix it, so that the mirror of a share is that of the batch; they differ by three at most.

        Args:
            count: the number of images of the batch.
            mirrored: whether an image and its mirror belong to one share.
        """
        if self.count == 1 or not mirrored:
            return torch.arange(count * self.rank // self.count, count * (self.rank + 1) // self.count)
        half = count // 2
        begin, end = (half * rank // self.count for rank in (self.rank, self.rank + 1))
        if self.rank == self.count - 1:  # with the image in the middle, which is its own mirror
            return torch.arange(begin, count - begin)
        return torch.cat([torch.arange(begin, end), torch.arange(count - end, count - begin)])

    def check(self, edges: list[int], settings: Settings) -> None:
        """Check that each rank gets two images of every part of a batch.

        Args:
            edges: where the batches of an epoch begin and end.
            settings: `accumulate`, `mixup` and `cutmix` are used.

        Raises:
            SettingsError: there are too many ranks for the batches.
        """
        least = min(stop - start for start, stop in pairwise(edges))
        each = 2 * (least // 2 // self.count) if mixes(settings) else least // self.count
        if self.count > 1 and each // settings.accumulate < 2:
            raise SettingsError(
                f"devices (--devices) must leave 2 images in each part of a batch for each of them; got {self.count} "
                f"devices for batches of {least} images in parts: {settings.accumulate} (accumulate)."
            )

    def parallel(self, model: nn.Module, device: torch.device) -> tuple[nn.Module, DistributedDataParallel | None]:
        """Return a network whose batch norms use the whole batch, and the module that averages its gradients.

        Args:
            model: the network on its device.
            device: the device.

        Returns:
            The network, and the module to call for training; None for one process.
        """
        if self.count == 1:
            return model, None
        model, shared = share_batch_norm(model, device)
        parallel = DistributedDataParallel(model)
        parallel.broadcast_buffers = not shared  # batch norms that use the whole batch have equal buffers in every rank
        return model, parallel


ALONE = Ranks()


def mixes(settings: Settings) -> bool:
    """Return whether images of a batch are mixed with one another.

    Args:
        settings: `mixup` and `cutmix` are used.
    """
    return bool(settings.mixup or settings.cutmix)


def parts_of(whole: int, share: int, accumulate: int) -> list[slice]:
    """Return the parts of a share that are trained one after the other. Every rank has the same number of them.

    Args:
        whole: the images of the batch.
        share: the images of this rank.
        accumulate: the largest number of parts.
    """
    count = math.ceil(whole / math.ceil(whole / accumulate))
    return [slice(share * part // count, share * (part + 1) // count) for part in range(count)]


def without_exchange(module: DistributedDataParallel | None) -> Callable[[], Any]:
    """Return a context manager in which gradients are added up in this process only.

    Args:
        module: the module that averages gradients.
    """
    return nullcontext if module is None else module.no_sync
