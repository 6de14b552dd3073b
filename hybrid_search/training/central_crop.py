"""The central part of images that are stored larger than the input of a network."""

import torch.nn.functional as F
from torch import Tensor

from hybrid_search.data.stored_size import central_side


def central_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the central part of images in the size of the input, as evaluation uses it.

    Args:
        images: (n, channels, rows, columns), at least as large as `size`.
        size: rows and columns of the result.

    Returns:
        The same type if the part has this size already. Otherwise it is scaled with antialiasing to float32.
    """
    stored = images.shape[2:]
    if tuple(stored) == size:
        return images
    sides = [central_side(before, after) for before, after in zip(stored, size, strict=True)]
    row, col = ((before - part) // 2 for before, part in zip(stored, sides, strict=True))
    part = images[:, :, row : row + sides[0], col : col + sides[1]]
    if tuple(sides) == size:
        return part
    return F.interpolate(part.float(), size=size, mode="bilinear", antialias=True)
