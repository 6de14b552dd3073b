"""The image files of a whole data set, and how they are decoded: with one range of values for all splits."""

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from hybrid_search._internal.cache_folder import cached_file
from hybrid_search.data.dataset import Indices, Part, Pixels
from hybrid_search.data.embedded_image import ImageFile
from hybrid_search.data.image_folder import decoding
from hybrid_search.data.image_folder.decoded_cache import (
    NAME,
    Decoding,
    Notice,
    check_images,
    check_space,
    each_image,
    hash_of,
    images_on_demand,
    read_cached_images,
    remarks_of,
)
from hybrid_search.data.image_folder.value_range import tops_of
from hybrid_search.data.progress_lines import no_notice

RANGES = {
    "I;16": "16-bit images, read with values from 0 to {top:g}, which become 0 to 255",
    "I": "images of 32-bit whole numbers, read with values from 0 to {top:g}, which become 0 to 255",
    "F": "images of floating-point numbers, read with values from 0 to {top:g}, which become 0 to 255",
}
REMARKS = {
    decoding.FRAMES: "images with several frames, of which the first is used",
    decoding.TRANSPARENT: "images with transparent pixels, which become white, or black where all others are white",
}
Splits = Sequence[tuple[Part, Indices]]


class ImageFiles:
    """All image files of a data set.

    Args:
        source: The folder of the data set.
        paths: The files of all splits.
        size: Rows and columns of a decoded image.
        max_pixels: Pixels of one file, at most.
        stores: Whether decoded images are stored in the cache; otherwise they are decoded when they are read.
    """

    def __init__(
        self, source: Path, paths: Sequence[ImageFile], size: int, max_pixels: int, *, stores: bool = True
    ) -> None:
        self.source, self.paths, self.size, self.max_pixels, self.stores = (
            source, tuple(paths), size, max_pixels, stores,
        )  # fmt: skip
        self.notice: Notice = no_notice

    @cached_property
    def survey(self) -> tuple[dict[str, float], dict[str, int]]:
        """The white value and the number of images of each mode with more than 8 bits, from the cache if it is there.

        Raises:
            DataError: A file is no image, or has values that are no picture.
        """
        cached = cached_file(NAME, f"{hash_of(self.paths, ('survey', self.max_pixels))}.survey")
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            found = json.loads(cached.read_text(encoding="utf-8"))
            return {str(mode): float(top) for mode, top in found["tops"].items()}, dict(found["counts"])
        look = partial(decoding.survey_image, max_pixels=self.max_pixels)
        extents = [extent for extent in each_image(look, self.paths, self.notice, "checked") if extent is not None]
        tops, counts = tops_of(extents), dict(Counter(extent.mode for extent in extents))
        with suppress(OSError):  # without the file, the next process surveys the images again
            cached.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"tops": tops, "counts": counts})
            cached.write_text(text + "\n", encoding="utf-8")
        return tops, counts

    @property
    def how(self) -> Decoding:
        """How every image of this data set is decoded."""
        return Decoding(self.size, self.max_pixels, dict(sorted(self.survey[0].items())))

    def take(self, paths: Sequence[ImageFile], indices: Indices) -> Pixels:
        """Return decoded images of a part.

        Args:
            paths: All files of the part.
            indices: Which of them.

        Returns:
            uint8 (len(indices), 3, size, size): mapped from the cache file, or an `OnDemand`.
        """
        chosen = [paths[int(index)] for index in indices]
        if self.stores:
            return read_cached_images(chosen, self.how, self.source, self.notice)
        return images_on_demand(chosen, self.how)

    def prepare(self, splits: Splits, notice: Notice) -> list[str]:
        """Check every file of the data set, and decode the images of some splits into the cache.

        Args:
            splits: Parts of this data set, each with the indices of the images to decode.
            notice: Called with lines about the progress if it takes long.

        Returns:
            What was reinterpreted, one line each.

        Raises:
            DataError: A file is no image, or the cache folder is full.
        """
        remarks: Counter[str] = Counter()
        self.notice = notice
        try:
            chosen = [[part.files[int(index)] for index in indices] for part, indices in splits]
            if self.stores:
                check_space(chosen, self.how)
            for paths in chosen:
                if self.stores:
                    read_cached_images(paths, self.how, self.source, notice)
                    remarks.update(remarks_of(paths, self.how))
                else:
                    remarks.update(check_images(paths, self.how, notice))
        finally:
            self.notice = no_notice
        tops, counts = self.survey
        ranges = [f"{RANGES[mode].format(top=top)}: {counts[mode]:,}" for mode, top in tops.items()]
        return [*ranges, *(f"{REMARKS[remark]}: {count:,}" for remark, count in sorted(remarks.items()) if count)]
