"""The decoded images of a split: one .npy file in the user's cache folder, which all workers of a machine map.

Its name is a hash of the paths, sizes and times of the image files and of everything else that determines the pixels,
so a changed file is decoded again. A small JSON file beside it says which folder and how many images it belongs to.
"""

import hashlib
import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar, cast

import numpy as np
from numpy.lib.format import write_array_header_1_0

from hybrid_search._internal.cache_folder import VARIABLE, cached_file
from hybrid_search._internal.process_limits import allowed_cpus
from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Indices, Pixels
from hybrid_search.data.downloads import locked
from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.data.image_folder import decoding
from hybrid_search.data.on_demand import OnDemand
from hybrid_search.data.progress_lines import ProgressLines, no_notice
from hybrid_search.errors import DataError

FORMAT = "2"  # part of the hash; increase it when the decoding changes
NAME = "imagefolder"  # the folder below the cache folder
BATCH = 256  # images between two looks at the time
WAITING = 4  # images for each thread that are decoded before they are written
HEADER = 4096  # bytes besides the pixels, at most
NAMED = 5  # broken files that one message names
Notice = Callable[[str], None]
Result = TypeVar("Result")


class Decoding(NamedTuple):
    """The settings that determine the decoded pixels: rows and columns, the limit of pixels, the white values."""

    size: int
    max_pixels: int
    tops: Mapping[str, float]


def read_cached_images(paths: Sequence[ImageFile], how: Decoding, source: Path, notice: Notice = no_notice) -> Pixels:
    """Return decoded images from their cache file; decode them into it first if it does not exist.

    Args:
        paths: The image files.
        how: How they are decoded.
        source: The folder of the data set.
        notice: Called with lines about the progress if it takes long.

    Returns:
        uint8 (len(paths), 3, size, size), mapped from the file.

    Raises:
        DataError: An image is damaged or was changed meanwhile, or the cache folder is full.
    """
    key = hash_of(paths, how)
    cached = cached_file(NAME, f"{key}.npy")
    shape = (len(paths), 3, how.size, how.size)
    mapped = _mapped(cached, shape)
    if mapped is not None:
        return mapped
    try:
        with locked(cached):
            mapped = _mapped(cached, shape)  # another process of this machine may have written it
            if mapped is None:
                _decode_all(paths, how, cached, source, notice)
                if hash_of(paths, how) != key:
                    cached.unlink()
                    raise DataError(f"images must not change while they are read; {shown(source)} did. Run it again.")
                mapped = _mapped(cached, shape)
    except OSError as error:
        raise DataError(
            f"decoded images need a cache folder that can be written; {shown(cached.parent)}: "
            f"{error.strerror or error}. {VARIABLE} names another folder."
        ) from error
    if mapped is None:
        raise DataError(f"decoded images must stay in the cache folder; {shown(cached)} is gone. Run it again.")
    return mapped


def images_on_demand(paths: Sequence[ImageFile], how: Decoding) -> Pixels:
    """Return images that are decoded whenever they are read, and stored nowhere.

    Args:
        paths: The image files.
        how: How they are decoded.

    Returns:
        An `OnDemand` of the shape (len(paths), 3, size, size), which can be indexed like an array.
    """

    def decode(indices: Indices) -> Pixels:
        decoded = each_image(_decoder(how), [paths[int(index)] for index in indices], no_notice, "decoded")
        pixels = np.empty((len(indices), 3, how.size, how.size), np.uint8)
        for place, image in enumerate(decoded):
            pixels[place] = image.pixels
        return pixels

    images = OnDemand(len(paths), (3, how.size, how.size), hash_of(paths, how), decode)
    return cast(Pixels, images)


def check_images(paths: Sequence[ImageFile], how: Decoding, notice: Notice) -> Counter[str]:
    """Decode images and forget them; return the numbers of images that were reinterpreted, by remark.

    Args:
        paths: The image files.
        how: How they are decoded.
        notice: Called with lines about the progress if it takes long.

    Raises:
        DataError: An image is damaged.
    """
    remarks: Counter[str] = Counter()
    for decoded in each_image(_decoder(how), paths, notice, "checked"):
        remarks.update(decoded.remarks)
    return remarks


def _decoder(how: Decoding) -> Callable[[ImageFile], decoding.Decoded]:
    return partial(decoding.decode_image, size=how.size, max_pixels=how.max_pixels, tops=how.tops)


def remarks_of(paths: Sequence[ImageFile], how: Decoding) -> dict[str, int]:
    """Return the numbers of images that were reinterpreted, by remark, as the cache recorded them."""
    with suppress(OSError, ValueError, TypeError, AttributeError):  # the file is a help, not a part of the data
        beside = cached_file(NAME, f"{hash_of(paths, how)}.npy").with_suffix(".json")
        index = json.loads(beside.read_text(encoding="utf-8"))
        return {str(name): int(count) for name, count in index["remarks"].items()}
    return {}


def hash_of(paths: Sequence[ImageFile], how: Any) -> str:
    """Return a hash of image files (path, size, times) and of how they are decoded.

    Raises:
        DataError: A file is gone.
    """
    digest = hashlib.sha256(repr((FORMAT, how)).encode())
    real_folder = cache(os.path.realpath)
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(f"image {shown(path)} cannot be read any more: {error.strerror}.") from error
        # The time of the last change of the entry (ctime) differs even if a copy restores the time of the content.
        facts = f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        name = os.path.join(real_folder(path.parent), path.name)
        digest.update(os.fsencode(name) + b"\0" + facts.encode() + b"\0")
    return digest.hexdigest()[:32]


def _mapped(cached: Path, shape: tuple[int, ...]) -> Pixels | None:
    """Return the images of a cache file; None if it does not exist or is damaged."""
    try:
        mapped: Pixels = np.load(cached, mmap_mode="r")  # memory pages that all workers share
    except (OSError, ValueError, EOFError):
        return None
    return mapped if mapped.shape == shape and mapped.dtype == np.uint8 else None


def _decode_all(paths: Sequence[ImageFile], how: Decoding, cached: Path, source: Path, notice: Notice) -> None:
    """Decode all images into a file that is then renamed, so that no process sees an incomplete file."""
    check_space([paths], how)
    shape = (len(paths), 3, how.size, how.size)
    remarks: Counter[str] = Counter()
    unfinished = cached.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            write_array_header_1_0(file, header)
            for decoded in each_image(_decoder(how), paths, notice, "decoded"):
                _write(file, decoded.pixels)
                remarks.update(decoded.remarks)
        _write_index(cached, source, shape, remarks)
        os.replace(unfinished, cached)
    finally:
        unfinished.unlink(missing_ok=True)


def each_image(
    function: Callable[[ImageFile], Result], paths: Sequence[ImageFile], notice: Notice, verb: str
) -> Iterator[Result]:
    """Yield the result of a function for every image file, in order; the files are read by several threads.

    Args:
        function: A function of one path, called with the settings of Pillow of this package.
        paths: The files.
        notice: Called with lines about the progress if it takes long.
        verb: What is done, for these lines.

    Raises:
        DataError: The function raised it for some files; the message is that of the first, with the names of others.
    """
    progress = ProgressLines(notice, verb, len(paths))
    broken: list[tuple[ImageFile, DataError]] = []

    def guarded(path: ImageFile) -> Result | DataError:
        try:
            return function(path)
        except DataError as error:
            return error

    with decoding.own_pillow_settings():
        for number, (path, result) in enumerate(zip(paths, _in_order(guarded, paths), strict=True), start=1):
            if isinstance(result, DataError):
                broken.append((path, result))
            elif not broken:
                yield result
            if number % BATCH == 0:
                progress.advance(BATCH)
    if broken:
        raise _joined(broken)


def _in_order(function: Callable[[ImageFile], Result], paths: Sequence[ImageFile]) -> Iterator[Result]:
    """Yield the results of threads in order; only few of them wait in memory, because an image may be large."""
    cpus = allowed_cpus()
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(cpus) as threads:
        for path in paths:
            running.append(threads.submit(function, path))
            if len(running) > WAITING * cpus:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _joined(broken: Sequence[tuple[ImageFile, DataError]]) -> DataError:
    """Return the error of the first broken file with the names of the others."""
    first, *others = broken
    if not others:
        return first[1]
    names = ", ".join(shown(path) for path, _ in others[:NAMED])
    more = ", ..." if len(others) > NAMED else "."
    return DataError(f"{first[1]} {len(others):,} more cannot be used: {names}{more}")


def check_space(splits: Sequence[Sequence[ImageFile]], how: Decoding) -> None:
    """Raise DataError if the disk has less space than the images that are not yet in the cache need.

    Args:
        splits: The image files of each split.
        how: How they are decoded.
    """
    cached = [(len(paths), cached_file(NAME, f"{hash_of(paths, how)}.npy")) for paths in splits]
    missing = [(images, path.parent) for images, path in cached if not path.is_file()]
    if not missing:
        return
    images, folder = sum(count for count, _ in missing), missing[0][1]
    needed, free = images * 3 * how.size**2 + HEADER * len(missing), shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise DataError(
            f"{images:,} decoded images of {how.size} x {how.size} need {_amount(needed)} in {shown(folder)}, which "
            f"has {_amount(free)} free. Free some space, set {VARIABLE} to a folder on another disk, or decode them "
            "whenever they are used: cache=none (--set)."
        )


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one around it that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _amount(count: int) -> str:
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if count >= unit), (1e3, "kB"))
    return f"{count / unit:,.1f} {name}"


def _write(file: BinaryIO, pixels: Pixels) -> None:
    file.write(np.ascontiguousarray(pixels).tobytes())


def _write_index(cached: Path, source: Path, shape: tuple[int, ...], remarks: Mapping[str, int]) -> None:
    """Write what the cache file belongs to, for people and for commands that list the cache."""
    index = {
        "source": shown(source.absolute()),
        "images": shape[0],
        "size": shape[2],
        "bytes": int(np.prod(shape)),
        "decoded": datetime.now(UTC).isoformat(timespec="seconds"),
        "remarks": dict(remarks),
    }
    cached.with_suffix(".json").write_text(json.dumps(index) + "\n", encoding="utf-8")
