"""Read images that are not in memory before their batch needs them, while the network computes.

Images in a mapped file: the operating system is asked for their pages. Images without a file: worker processes of
torch's DataLoader decode them. The processes are forked, because a script of a user need not be safe to import again.
They use a generator of their own: the random numbers of training do not change.
"""

import mmap
import multiprocessing
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from hybrid_search.data.dataset import Indices, Pixels
from hybrid_search.data.on_demand import OnDemand
from hybrid_search.errors import DataError

CHUNK = 1 << 20  # bytes that a worker process decodes at a time
AHEAD = 4  # chunks that each worker process may have ready


def read_ahead(images: Pixels, indices: Indices) -> None:
    """Ask the operating system to read some images of a mapped file; do nothing for other images.

    Args:
        images: uint8 (n, channels, rows, columns).
        indices: the images that are needed soon.
    """
    mapped = images.base
    if not isinstance(images, np.memmap) or not isinstance(mapped, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return
    each = int(np.prod(images.shape[1:]))
    for index in indices:
        begin = images.offset + int(index) * each
        first = begin - begin % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, first, begin + each - first)


class DecodedAhead:
    """Images without a file in the order of an epoch, decoded by worker processes.

    Args:
        images: the images.

    Example:
        >>> ahead = DecodedAhead(images)
        >>> ahead.read(order, 0, 32).shape  # the next call begins at 32
        torch.Size([32, 3, 64, 64])
    """

    def __init__(self, images: OnDemand) -> None:
        self.images = images
        self._order: Tensor | None = None
        self._next = 0
        self._chunks: Iterator[Pixels | str] = iter(())
        self._ready: list[Pixels] = []

    def read(self, order: Tensor, start: int, stop: int) -> Tensor:
        """Return the images order[start:stop], uint8 (n, channels, rows, columns).

        Args:
            order: the indices of all images of an epoch, on the CPU.
            start: the position where the last call ended; another position starts the processes anew.
            stop: position after the last image.

        Raises:
            DataError: an image is damaged.
        """
        if order is not self._order or start != self._next:
            self._begin(order, start)
        while sum(map(len, self._ready)) < stop - start:
            chunk = next(self._chunks)
            if isinstance(chunk, str):
                self._order = None
                raise DataError(chunk)
            self._ready.append(chunk)
        joined = np.concatenate(self._ready)
        self._ready, self._next = [joined[stop - start :]], stop
        return torch.from_numpy(joined[: stop - start])

    def _begin(self, order: Tensor, start: int) -> None:
        """Start worker processes for the images from a position on; as many as training has threads."""
        size = max(1, CHUNK // max(1, int(np.prod(self.images.shape[1:]))))
        indices = order.numpy()
        chunks = [indices[at : at + size] for at in range(start, len(indices), size)]
        self._order, self._next, self._ready = order, start, []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork of a process with threads; more processes than CPUs
            loader = DataLoader(
                _Chunks(self.images, chunks), batch_size=None, num_workers=min(len(chunks), torch.get_num_threads()),
                prefetch_factor=AHEAD, collate_fn=_unchanged, generator=torch.Generator(),
                multiprocessing_context="fork" if "fork" in multiprocessing.get_all_start_methods() else None,
            )  # fmt: skip
            self._chunks = iter(loader)


class _Chunks(TorchDataset[Pixels | str]):
    """Some images at a time, decoded in a worker process; the message if one is damaged."""

    def __init__(self, images: OnDemand, chunks: list[Indices]) -> None:
        self.images, self.chunks = images, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> Pixels | str:
        try:
            return self.images.decode(self.chunks[number])
        except DataError as error:
            return str(error)


def _unchanged(value: Any) -> Any:
    return value
