"""Batches of images: stored as bytes, then selected, shifted, flipped and normalised one batch at a time."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hybrid_search.data import Dataset, Split
from hybrid_search.training.recipe import seed_for

PADDING = 8  # an image is shifted by at most an eighth of its size


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """The order of the images in one epoch, and the augmentation of each. Every tensor is (images,)."""

    order: Tensor
    row_shift: Tensor | None = None
    col_shift: Tensor | None = None
    flip: Tensor | None = None


class Images:
    """The images of one split as tensors of bytes, on the device if they fit there, otherwise in main memory.

    Args:
        split: the images.
        dataset: gives mean and standard deviation for the normalisation.
        device: where the batches are used.
    """

    def __init__(self, split: Split, dataset: Dataset, device: torch.device) -> None:
        self.device = device
        home = device if _fits(split, device) else torch.device("cpu")
        self.images = torch.from_numpy(split.images).to(home)  # (n, channels, rows, cols) uint8
        self.labels = torch.from_numpy(split.labels).to(device)
        self.mean = torch.tensor(dataset.mean, device=device).view(1, -1, 1, 1) * 255
        self.scale = 1 / (torch.tensor(dataset.std, device=device).view(1, -1, 1, 1) * 255)
        rows, cols = split.images.shape[2:]
        self.row, self.col = torch.arange(rows, device=home), torch.arange(cols, device=home)

    def __len__(self) -> int:
        return len(self.labels)

    def plan(self, augment: str, seed: int, epoch: int) -> EpochPlan:
        """Return the order and augmentation of an epoch. They depend on the arguments only, not on the device.

        Args:
            augment: "none", "shift" or "shift+flip".
            seed: the seed of the settings.
            epoch: the number of the epoch from 0.
        """
        generator = torch.Generator().manual_seed(seed_for("order", seed, epoch))
        home, count = self.images.device, len(self)
        order = torch.randperm(count, generator=generator).to(home)
        if augment == "none":
            return EpochPlan(order)
        reach = [max(1, round(len(axis) / PADDING)) for axis in (self.row, self.col)]
        row, col = (torch.randint(-most, most + 1, (count,), generator=generator).to(home) for most in reach)
        flip = (torch.rand(count, generator=generator) < 0.5).to(home) if augment == "shift+flip" else None
        return EpochPlan(order, row, col, flip)

    def batch(self, plan: EpochPlan, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return one batch.

        Args:
            plan: order and augmentation.
            start: position of the first image in the plan.
            stop: position after the last image.

        Returns:
            Normalised images, float32 (n, channels, rows, columns), and labels (n,).
        """
        index = plan.order[start:stop]
        if plan.row_shift is None or plan.col_shift is None:
            selected = self.images.index_select(0, index)
        else:
            row = self.row + plan.row_shift[start:stop, None]  # (n, rows)
            col = self.col + plan.col_shift[start:stop, None]  # (n, cols)
            if plan.flip is not None:
                col = torch.where(plan.flip[start:stop, None], col.flip(1), col)
            selected = self._gather(index, row, col)
        x = selected.to(self.device, non_blocking=True).to(torch.float32)
        return x.sub_(self.mean).mul_(self.scale), self.labels[index.to(self.device)]

    def _gather(self, index: Tensor, row: Tensor, col: Tensor) -> Tensor:
        """Read image index[n] at row[n], col[n]; pixels outside are black. uint8 (n, channels, rows, columns)."""
        rows, cols = len(self.row), len(self.col)
        inside = ((row >= 0) & (row < rows))[:, :, None] & ((col >= 0) & (col < cols))[:, None]
        place = row.clamp(0, rows - 1)[:, None, :, None], col.clamp(0, cols - 1)[:, None, None]
        channel = torch.arange(self.images.shape[1], device=index.device)[:, None, None]
        return self.images[index[:, None, None, None], channel, *place] * inside[:, None]


def batch_edges(count: int, batch_size: int) -> list[int]:
    """Return where the batches of an epoch begin and end. Their sizes differ by one at most.

    Batches of equal size avoid a last batch of one image, which batch norm cannot use, and no image is dropped.

    Args:
        count: the number of images.
        batch_size: the maximum size of a batch.

    Returns:
        Batch i is images edges[i] to edges[i + 1].
    """
    steps = -(-count // batch_size)
    return [count * step // steps for step in range(steps + 1)]


def _fits(split: Split, device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return split.images.nbytes < free // 4
