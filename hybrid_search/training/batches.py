"""Batches of images: stored as bytes, then selected, augmented and normalised one batch at a time."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from hybrid_search.data import Dataset, Split
from hybrid_search.data.dataset import Pixels
from hybrid_search.data.on_demand import OnDemand
from hybrid_search.data.stored_size import central_side
from hybrid_search.records import Settings
from hybrid_search.training.augmentation import (
    Size,
    colours,
    draw_crops,
    draw_erased,
    draw_trivial,
    erase,
    flipped,
    moved,
    recolour,
    sample,
    windows,
)
from hybrid_search.training.central_crop import central_crop
from hybrid_search.training.from_settings import seed_for
from hybrid_search.training.reading_ahead import DecodedAhead, read_ahead

PADDING = 8  # an image is shifted by at most an eighth of its size


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """The order of the images in one epoch, and the augmentation of each. Every tensor begins with (images,).

    Attributes:
        order: the index of each image.
        row_shift: the rows by which it is shifted.
        col_shift: the columns by which it is shifted.
        flip: whether left and right are exchanged.
        matrix: (images, 2, 3), the window that is read between the pixels; shift and flip are part of it.
        colour: (images, 5), changes of brightness, contrast, saturation and values.
        erased: (images, 4), the rectangle that is erased.
    """

    order: Tensor
    row_shift: Tensor | None = None
    col_shift: Tensor | None = None
    flip: Tensor | None = None
    matrix: Tensor | None = None
    colour: Tensor | None = None
    erased: Tensor | None = None

    def part(self, positions: Tensor) -> "EpochPlan":
        """Return the plan of some of the images.

        Args:
            positions: their positions in this plan, int64.
        """
        chosen = {
            name: value.index_select(0, positions.to(value.device))
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **chosen)


class Images:
    """The images of one split as tensors of bytes, on the device if they fit there.

    Otherwise they stay where they are: in main memory, in a mapped file, or in files that are decoded for each batch.

    Args:
        split: the images.
        dataset: gives mean and standard deviation for the normalisation, and the size of the input.
        device: where the batches are used.
    """

    def __init__(self, split: Split, dataset: Dataset, device: torch.device) -> None:
        self.device = device
        stored: Pixels | OnDemand = split.images
        self.decoded = DecodedAhead(stored) if isinstance(stored, OnDemand) else None
        self.home = device if self.decoded is None and _fits(split, device) else torch.device("cpu")
        self.source = stored if self.home.type == "cpu" else None  # whose pages are read ahead
        pixels = np.empty((0, 1, 1, 1), np.uint8) if isinstance(stored, OnDemand) else stored
        self.images = _tensor(pixels).to(self.home)  # (n, channels, rows, cols) uint8; none if they are decoded
        self.channels = split.images.shape[1]
        self.labels = torch.from_numpy(split.labels).to(device)
        self.mean = torch.tensor(dataset.mean, device=device).view(1, -1, 1, 1) * 255
        self.scale = 1 / (torch.tensor(dataset.std, device=device).view(1, -1, 1, 1) * 255)
        self.stored = Size(*split.images.shape[2:])
        self.size = Size(*dataset.input_size[1:])
        self.row, self.col = (torch.arange(side, device=self.home) for side in self.size)

    def __len__(self) -> int:
        return len(self.labels)

    def in_order(self) -> EpochPlan:
        """Return a plan without augmentation: every image, in the order of the split."""
        return EpochPlan(torch.arange(len(self), device=self.home))

    def plan(self, settings: Settings, epoch: int) -> EpochPlan:
        """Return the order and augmentation of an epoch. They depend on the arguments only, not on the device.

        Args:
            settings: `augment`, `crop_area`, `trivial_augment`, `random_erasing` and `seed` are used.
            epoch: the number of the epoch from 0.
        """
        rng = torch.Generator().manual_seed(seed_for("order", settings.seed, epoch))
        count, where, _, turn = len(self), *settings.augment.partition("+")
        plan = EpochPlan(torch.randperm(count, generator=rng))
        if where == "shift":
            reach = [max(1, round(side / PADDING)) for side in self.size]
            row, col = (torch.randint(-most, most + 1, (count,), generator=rng) for most in reach)
            plan = replace(plan, row_shift=row, col_shift=col)
        if turn == "flip":
            plan = replace(plan, flip=torch.rand(count, generator=rng) < 0.5)
        plan = self._extended(plan, settings, torch.Generator().manual_seed(seed_for("augment", settings.seed, epoch)))
        places = dict.fromkeys(("order", "row_shift", "col_shift", "flip"), self.home)  # the others are used later
        return replace(
            plan,
            **{
                name: value.to(places.get(name, self.device))
                for name, value in vars(plan).items()
                if isinstance(value, Tensor)
            },
        )

    def _extended(self, plan: EpochPlan, settings: Settings, rng: torch.Generator) -> EpochPlan:
        """Return a plan with windows, colours and erased rectangles. Each has random numbers of its own."""
        count = len(self)
        crops = settings.augment.startswith("crop")
        if crops or settings.trivial_augment:
            matrix = draw_crops(count, settings.crop_area, rng) if crops else self._shifted(plan)
            matrix = matrix if plan.flip is None else flipped(matrix, plan.flip)
            if settings.trivial_augment:
                trivial = draw_trivial(count, settings.trivial_augment, self.channels, rng)
                matrix, plan = moved(matrix, trivial, self.size), replace(plan, colour=colours(trivial))
            plan = replace(plan, matrix=matrix)
        if settings.random_erasing:
            plan = replace(plan, erased=draw_erased(count, settings.random_erasing, self.size, rng))
        return plan

    def _shifted(self, plan: EpochPlan) -> Tensor:
        """Return the windows of shifted images as matrices, (images, 2, 3)."""
        none = torch.zeros(len(self))
        sides = [central_side(*each) for each in zip(self.stored, self.size, strict=True)]
        height, width = (none + part / stored for part, stored in zip(sides, self.stored, strict=True))
        shifts = [none if shift is None else shift for shift in (plan.row_shift, plan.col_shift)]
        # A shift is counted in pixels of the input; a window of the whole width is 2 wide.
        row, col = (2 * s * part / n for s, part, n in zip(shifts, (height, width), self.size, strict=True))
        return windows(width, height, col, row)

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
        if plan.matrix is not None:
            x = sample(self._on_device(self._stored(plan, start, stop)), plan.matrix[start:stop], self.size)
        elif plan.row_shift is not None and plan.col_shift is not None:
            row = self.row + plan.row_shift[start:stop, None]  # (n, rows)
            col = self.col + plan.col_shift[start:stop, None]  # (n, cols)
            if plan.flip is not None:
                col = torch.where(plan.flip[start:stop, None], col.flip(1), col)
            x = self._on_device(self._gather(plan, start, stop, row, col))
        else:
            x = self._on_device(central_crop(self._stored(plan, start, stop), self.size))
        if plan.colour is not None:
            x = recolour(x, plan.colour[start:stop])
        x = x.sub_(self.mean).mul_(self.scale)
        if plan.erased is not None:
            x = erase(x, plan.erased[start:stop])
        return x, self.labels[index.to(self.device)]

    def _on_device(self, pixels: Tensor) -> Tensor:
        """Return the pixels as float32 on the device."""
        if self.device.type == "cuda" and pixels.device.type == "cpu":
            pixels = pixels.pin_memory()  # otherwise the copy waits for the device
        return pixels.to(self.device, non_blocking=True).to(torch.float32)

    def _stored(self, plan: EpochPlan, start: int, stop: int) -> Tensor:
        """Return the images of a batch as they are stored, and have those of the next batch read meanwhile."""
        if self.decoded is not None:
            return self.decoded.read(plan.order, start, stop)
        if isinstance(self.source, np.memmap):
            read_ahead(self.source, plan.order[stop : stop + (stop - start)].numpy())
        return self.images.index_select(0, plan.order[start:stop])

    def _gather(self, plan: EpochPlan, start: int, stop: int, row: Tensor, col: Tensor) -> Tensor:
        """Read image n at row[n], col[n] of its centre; pixels outside are black. (n, channels, rows, cols)."""
        images, index = self.images, plan.order[start:stop]
        if self.decoded is not None or isinstance(self.source, np.memmap):
            images, index = self._stored(plan, start, stop), torch.arange(stop - start)
        sides = [central_side(*each) for each in zip(self.stored, self.size, strict=True)]
        if sides == list(self.size):  # pixels around the central part are read too
            row, col = (
                place + (stored - side) // 2
                for place, stored, side in zip((row, col), self.stored, self.size, strict=True)
            )
        else:
            images = central_crop(images.index_select(0, index), self.size)
            index = torch.arange(len(index), device=index.device)
        rows, cols = images.shape[2:]
        inside = ((row >= 0) & (row < rows))[:, :, None] & ((col >= 0) & (col < cols))[:, None]
        place = row.clamp(0, rows - 1)[:, None, :, None], col.clamp(0, cols - 1)[:, None, None]
        channel = torch.arange(images.shape[1], device=index.device)[:, None, None]
        return images[index[:, None, None, None], channel, *place] * inside[:, None]


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


def _tensor(images: Pixels) -> Tensor:
    """Return images as a tensor of the same memory. A file that is mapped stays one: its pages are read when needed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file is mapped read-only, and no batch writes into it
        return torch.from_numpy(images)


def _fits(split: Split, device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return split.images.nbytes < free // 4
