"""Decode one image file into a square of 8-bit RGB values."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Pixels
from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.data.image_folder.value_range import (
    Extent,
    Tops,
    eight_bits,
    extent_of,
    is_white_zero,
    mode_of,
    tops_of,
)
from hybrid_search.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 178_956_970  # Pillow refuses larger images, unless it is configured otherwise
NO_PICTURES = ("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5")  # Pillow decodes EPS with Ghostscript, others not at all
GIT_LFS = b"version https://git-lfs.github.com/spec/"
PILLOW = RLock()  # held while the settings of Pillow, which belong to the whole process, are those of this package
TIFF = (b"II*\0", b"MM\0*")
SAMPLE_FORMAT = 339  # the TIFF tag
TIFF_FORMATS = {1: "whole numbers", 2: "signed whole numbers", 3: "floating point"}  # of the values
FRAMES, TRANSPARENT = "with several frames", "with transparent pixels"


class Decoded(NamedTuple):
    """The pixels of an image, uint8 (3, size, size), and what was reinterpreted: FRAMES, TRANSPARENT."""

    pixels: Pixels
    remarks: tuple[str, ...]


def check_pillow() -> None:
    """Raise DataError unless Pillow, which decodes image files, is installed."""
    if find_spec("PIL") is None:
        raise DataError(
            "image files need Pillow, which is not installed. Install it: pip install 'hybrid-search[images]'."
        )


@contextmanager
def own_pillow_settings() -> Iterator[None]:
    """Use Pillow without its limits and without warnings; restore the settings of the process afterwards.

    The limits of this package replace those of Pillow, so the result does not depend on the settings of the process.
    """
    from PIL import Image, ImageFile

    with PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata and large images; both can be decoded
        before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, False
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = before


def decode(path: Path, size: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode one image by itself, scale its shorter side to `size`, and crop the longer side around the middle.

    Args:
        path: A file that Pillow can decode.
        size: Rows and columns of the result.
        max_pixels: Pixels of the file, at most.

    Returns:
        uint8 (3, size, size).

    Raises:
        DataError: The image is damaged, too large, or of a mode that has no meaning as a picture.

    Example:
        >>> decode(Path("photos/train/cat/1.jpg"), 32).shape
        (3, 32, 32)
    """
    with own_pillow_settings():
        extent = survey_image(path, max_pixels)
        return decode_image(path, size, max_pixels, tops_of([extent] if extent else [])).pixels


def survey_image(path: ImageFile, max_pixels: int) -> Extent | None:
    """Open an image without decoding it; return the range of its values if they have more than 8 bits.

    Call it inside `own_pillow_settings`.

    Raises:
        DataError: As for `decode`; damage of the pixels is found in images with more than 8 bits only.
    """
    with opened(path, max_pixels) as image:
        mode = mode_of(image)
        return None if mode is None else extent_of(image, path, mode)


def decode_image(path: ImageFile, size: int, max_pixels: int, tops: Tops) -> Decoded:
    """Decode one image of a data set. Call it inside `own_pillow_settings`.

    Args:
        path: As for `decode`.
        size: As for `decode`.
        max_pixels: As for `decode`.
        tops: The value that is white, by mode, of images with more than 8 bits.

    Raises:
        DataError: As for `decode`.
    """
    from PIL import Image, ImageOps

    with opened(path, max_pixels) as image:
        image.draft("RGB", (size, size))  # a large JPEG is decoded at a fraction of its size
        mode = mode_of(image)
        upright = ImageOps.exif_transpose(image)
        if mode is not None:
            upright = eight_bits(upright, mode, tops, is_white_zero(image))
        rgba = upright.convert("RGBA")
        least, most = rgba.getchannel("A").getextrema() if upright.has_transparency_data else (255, 255)
        transparent = least != 255 and most != 0  # bitmaps with 32 bits may have an alpha channel of zeros
        rgb = _on_plain_ground(rgba) if transparent else rgba.convert("RGB")
        square = ImageOps.fit(rgb, (size, size), Image.Resampling.BILINEAR)
        remarks = [FRAMES] if _has_frames(image) else []
    remarks += [TRANSPARENT] if transparent else []
    return Decoded(np.asarray(square, np.uint8).transpose(2, 0, 1), tuple(remarks))


@contextmanager
def opened(path: ImageFile, max_pixels: int) -> "Iterator[Image]":
    """Open an image file; every exception in the block becomes a DataError that names the file."""
    from PIL import Image, UnidentifiedImageError

    mode = ""
    try:
        with Image.open(path if isinstance(path, Path) else path.open(), formats=_formats()) as image:
            mode = f" (mode {image.mode})"
            pixels = image.width * image.height
            if pixels > max_pixels:
                raise DataError(
                    f"image {shown(path)} must have at most {max_pixels:,} pixels; got {image.width:,} x "
                    f"{image.height:,}. max_image_pixels={pixels} (--set) allows it."
                )
            if image.mode == "LAB":
                raise DataError(f"image {shown(path)} must have grey or RGB values; got mode LAB. Convert it to RGB.")
            if mode_of(image) is None and _is_signed(image):
                raise DataError(f"image {shown(path)} must have values from 0 up; got signed values{mode}.")
            yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(f"image {shown(path)} cannot be decoded: {_content(path)}.") from None
    except Exception as error:  # damaged files raise many kinds of exceptions in Pillow
        reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
        first = str(reason).splitlines()[0].rstrip(".")
        raise DataError(f"image {shown(path)}{mode} cannot be decoded: {first}.") from error


def _on_plain_ground(rgba: "Image") -> "Image":
    """Return an image with transparent pixels on white; on black if it is all white, so that its form is seen."""
    from PIL import Image

    for colour in ("white", "black"):
        ground = Image.new("RGBA", rgba.size, colour)
        rgb = Image.alpha_composite(ground, rgba).convert("RGB")
        if any(low != high for low, high in rgb.getextrema()):  # type: ignore[misc]
            break
    return rgb


def _has_frames(image: "Image") -> bool:
    """Return whether a file has more frames than the first. The second picture of a photograph is a preview."""
    try:
        return image.format != "MPO" and bool(getattr(image, "is_animated", False))
    except Exception:  # a later frame is damaged; the first one was decoded
        return True


def _is_signed(image: "Image") -> bool:
    """Return whether a TIFF file has signed values, which Pillow reads as unsigned ones if they have 8 bits."""
    return image.format == "TIFF" and 2 in image.tag_v2.get(SAMPLE_FORMAT, ())  # type: ignore[attr-defined]


@cache
def _formats() -> tuple[str, ...]:
    """Return the formats that are read: those of Pillow whose decoding starts no other program and reads no video."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.ID if name not in NO_PICTURES)


def _content(path: ImageFile) -> str:
    """Return what a file is that is not an image."""
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "the file is empty"
    if head.startswith(GIT_LFS):
        return "it is a Git LFS pointer; git lfs pull fetches the image"
    if head.startswith(TIFF):
        return f"it is a TIFF file with pixels that Pillow cannot read ({_tiff_pixels(path)})"
    if not head.strip(b"\0"):
        return "it begins with zeros only, and is no image"
    try:
        head.decode()
    except UnicodeDecodeError:
        return "it is no image that Pillow can read"
    return "it is a text file, not an image"


def _tiff_pixels(path: ImageFile) -> str:
    """Return the channels, bits and kind of values of a TIFF file."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with suppress(Exception), path.open("rb") as file:
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        bits, kinds = tags.get(258, (1,)), tags.get(SAMPLE_FORMAT, (1,))
        return f"{tags.get(277, 1)} channels of {bits[0]} bits, {TIFF_FORMATS.get(kinds[0], 'complex numbers')}"
    return "its header is damaged"
