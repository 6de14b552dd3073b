"""The size at which decoded image files are stored, and the central part of it that evaluation uses."""

import math

from hybrid_search.errors import DataError
from hybrid_search.records import Settings

SIZE = 64  # rows and columns of the input if image_size is None
CROP_RATIO = 0.875  # the side of the central part over the side of the stored image: 224 of 256


def stored_side(settings: Settings, size: int) -> int:
    """Return the rows and columns of a stored image.

    Args:
        settings: `stored_size` and `augment` are used. Without `stored_size`, images are stored at the size of the
            input, and at 1 / 0.875 of it if `augment` crops.
        size: rows and columns of the input of a network.

    Raises:
        DataError: `stored_size` is smaller than the input.

    Example:
        >>> stored_side(Settings(augment="crop"), 224)
        256
    """
    if settings.stored_size is None:
        return math.ceil(size / CROP_RATIO) if settings.augment.startswith("crop") else size
    if settings.stored_size < size:
        raise DataError(f"stored_size must be at least image_size, {size} pixels; got {settings.stored_size}.")
    return settings.stored_size


def size_notes(settings: Settings, size: int, stored: int) -> list[str]:
    """Return what the user should know of the sizes of image files, one line each.

    Args:
        settings: `image_size` is used.
        size: rows and columns of the input of a network.
        stored: rows and columns of a stored image.
    """
    notes = []
    if settings.image_size is None:
        notes.append(
            f"images are scaled to {size} x {size} pixels; image_size (--set image_size=N) chooses another size"
        )
    if stored != size:
        use = "training crops them at random, evaluation uses the central part"
        notes.append(f"images are stored at {stored} x {stored} pixels; {use}")
    return notes


def central_side(stored: int, side: int) -> int:
    """Return the rows or columns of the central part: 0.875 of the stored ones, but not fewer than those of the input.

    Args:
        stored: rows or columns of a stored image.
        side: rows or columns of the input.
    """
    return stored if stored == side else max(int(CROP_RATIO * stored), side)
