"""Random changes of training images, a batch at a time on the training device, each image with numbers of its own.

The random numbers of an epoch are drawn on the CPU from one generator. They depend on the seed and the epoch only, not
on the device, the size of a batch or the number of processes. torchvision.transforms.v2 has the same changes, but draws
them once for a batch; kornia draws them on the device, from its global generator. Therefore the drawing is written
here; `affine_grid` and `grid_sample` of torch do the geometry.

Papers: random resized crop, Szegedy et al. 2015; random erasing, Zhong et al. 2020; one random change of colour or
geometry for an image, TrivialAugment, Müller and Hutter 2021, with the ranges of RandAugment, Cubuk et al. 2020.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

RATIO = math.log(4 / 3)  # logarithm of width over height of a crop, at most
ERASED_AREA = (0.02, 1 / 3)  # of the image
ERASED_RATIO = math.log(3.3)
CHANGES = (
    "none", "shear rows", "shear columns", "move rows", "move columns", "rotate",
    "brightness", "contrast", "saturation", "posterize", "solarize",
)  # fmt: skip
SHEAR, MOVE, ANGLE, ENHANCE, BITS = 0.3, 10 / 32, math.radians(30), 0.9, 4  # the largest change; MOVE is a share
GREY = (0.299, 0.587, 0.114)  # the share of red, green and blue in brightness


class Size(NamedTuple):
    """Rows and columns in pixels."""

    rows: int
    cols: int


class Trivial(NamedTuple):
    """One random change for each image: its number in `CHANGES`, and its magnitude from -1 to 1. Both (images,)."""

    change: Tensor
    magnitude: Tensor

    def of(self, name: str) -> Tensor:
        """Return the magnitude of one kind of change, and 0 for images with another one."""
        return torch.where(self.change == CHANGES.index(name), self.magnitude, 0.0)


def draw_trivial(count: int, share: float, channels: int, rng: torch.Generator) -> Trivial:
    """Draw a change and its magnitude for each image.

    Args:
        count: the number of images.
        share: the share of the images that are changed, 0..1.
        channels: images of one channel have no saturation.
        rng: the generator of the epoch.
    """
    number = torch.randint(len(CHANGES), (count,), generator=rng)
    number[torch.rand(count, generator=rng) >= share] = 0
    if channels == 1:
        number[number == CHANGES.index("saturation")] = 0
    return Trivial(number, 2 * torch.rand(count, generator=rng) - 1)


def draw_crops(count: int, least_area: float, rng: torch.Generator) -> Tensor:
    """Draw a random resized crop for each image.

    Args:
        count: the number of images.
        least_area: the smallest area of a crop, as a share of the image, 0..1.
        rng: the generator of the epoch.

    Returns:
        The matrix of each crop (count, 2, 3), as in `windows`. A side that would be longer than the image is cut.
    """
    area = least_area + (1 - least_area) * torch.rand(count, generator=rng)
    half = (RATIO / 2) * (2 * torch.rand(count, generator=rng) - 1)
    width = (area.sqrt() * half.exp()).clamp(max=1)
    height = (area.sqrt() * (-half).exp()).clamp(max=1)
    col, row = ((1 - side) * (2 * torch.rand(count, generator=rng) - 1) for side in (width, height))
    return windows(width, height, col, row)


def windows(width: Tensor, height: Tensor, col: Tensor, row: Tensor) -> Tensor:
    """Return the matrices of windows in an image.

    A matrix maps places of the result to places of the image, both from -1 (left, top) to 1, as in `affine_grid`.

    Args:
        width: of each window, as a share of the columns, (count,).
        height: as a share of the rows, (count,).
        col: the centre, from -1 to 1, (count,).
        row: the centre, from -1 to 1, (count,).

    Returns:
        (count, 2, 3).
    """
    zero = torch.zeros_like(width)
    return torch.stack([torch.stack([width, zero, col], 1), torch.stack([zero, height, row], 1)], 1)


def flipped(matrix: Tensor, flip: Tensor) -> Tensor:
    """Return matrices that also exchange left and right.

    Args:
        matrix: (count, 2, 3).
        flip: bool (count,), the images that are flipped.
    """
    sign = torch.where(flip, -1.0, 1.0)
    return torch.cat([matrix[:, :, :1] * sign[:, None, None], matrix[:, :, 1:]], 2)


def moved(matrix: Tensor, trivial: Trivial, size: Size) -> Tensor:
    """Return matrices that also shear, move or rotate the result about its centre.

    Args:
        matrix: (count, 2, 3).
        trivial: the changes of the images.
        size: rows and columns of the result, which may differ.
    """
    aspect = size.rows / size.cols
    angle = trivial.of("rotate") * ANGLE
    inner = torch.zeros_like(matrix)
    inner[:, 0, 0] = inner[:, 1, 1] = angle.cos()
    inner[:, 0, 1] = (trivial.of("shear columns") * SHEAR - angle.sin()) * aspect
    inner[:, 1, 0] = (trivial.of("shear rows") * SHEAR + angle.sin()) / aspect
    inner[:, 0, 2] = trivial.of("move columns") * 2 * MOVE
    inner[:, 1, 2] = trivial.of("move rows") * 2 * MOVE
    outer, centre = matrix[:, :, :2], matrix[:, :, 2:]
    return torch.cat([outer @ inner[:, :, :2], outer @ inner[:, :, 2:] + centre], 2)


def colours(trivial: Trivial) -> Tensor:
    """Return five numbers for each image, (count, 5), which `recolour` uses.

    They are the factors of the pixel, of its brightness and of the mean brightness, the step of the values, and the
    value from which they are inverted.
    """
    brightness, contrast, saturation = (ENHANCE * trivial.of(n) for n in ("brightness", "contrast", "saturation"))
    step = 2.0 ** (trivial.of("posterize").abs() * BITS).round()
    threshold = torch.where(trivial.change == CHANGES.index("solarize"), 256 * (1 - trivial.magnitude.abs()), math.inf)
    return torch.stack([1 + brightness + contrast + saturation, -saturation, -contrast, step, threshold], 1)


def recolour(x: Tensor, numbers: Tensor) -> Tensor:
    """Return images with changed brightness, contrast, saturation or values.

    Args:
        x: float32 (n, channels, rows, columns), 0 to 255.
        numbers: (n, 5), from `colours`.
    """
    channels = x.shape[1]
    share = GREY if channels == 3 else (1 / channels,) * channels
    grey = torch.zeros_like(x[:, :1])
    for channel, part in enumerate(share):  # numbers of Python need no copy to the device
        grey += part * x[:, channel : channel + 1]
    own, of_grey, of_mean, step, threshold = numbers[:, :, None, None, None].unbind(1)
    x = (own * x + of_grey * grey + of_mean * grey.mean((2, 3), keepdim=True)).clamp_(0, 255)
    x = torch.where(step > 1, (x / step).floor() * step, x)
    return torch.where(x >= threshold, 255 - x, x)


def sample(x: Tensor, matrix: Tensor, size: Size) -> Tensor:
    """Return the windows of images, read between their pixels; places outside of an image are black.

    Args:
        x: float32 (n, channels, rows, columns).
        matrix: (n, 2, 3), as in `windows`.
        size: rows and columns of the result.
    """
    grid = F.affine_grid(matrix, [len(x), x.shape[1], *size], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def draw_erased(count: int, share: float, size: Size, rng: torch.Generator) -> Tensor:
    """Draw the rectangle that is erased from each image.

    Args:
        count: the number of images.
        share: the share of the images that lose a rectangle, 0..1.
        size: rows and columns of an image.
        rng: the generator of the epoch.

    Returns:
        int64 (count, 4): first row, end of the rows, first column, end of the columns; empty for other images.
    """
    draws = torch.rand(5, count, generator=rng)
    area = ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * draws[0]
    half = (ERASED_RATIO / 2) * (2 * draws[1] - 1)
    ends = []
    for side, sign, at in ((size.rows, 1, draws[2]), (size.cols, -1, draws[3])):
        length = (side * area.sqrt() * (sign * half).exp()).round().clamp(1, side) * (draws[4] < share)
        first = (at * (side - length + 1)).floor()
        ends += [first, first + length]
    return torch.stack(ends, 1).long()


def erase(x: Tensor, erased: Tensor) -> Tensor:
    """Return normalised images without their rectangles: these become 0, the mean of the training images.

    Args:
        x: (n, channels, rows, columns).
        erased: (n, 4), from `draw_erased`.
    """
    top, bottom, left, right = erased[:, :, None].unbind(1)
    row, col = (torch.arange(side, device=x.device) for side in x.shape[2:])
    rows, cols = (row >= top) & (row < bottom), (col >= left) & (col < right)
    return x.masked_fill_((rows[:, :, None] & cols[:, None])[:, None], 0)
