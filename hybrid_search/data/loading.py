"""Load the images of a search: train and validation for every trial, the test split only for confirmation.

Results are cached in the process, so a worker reads its images once.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hybrid_search._internal.paths import data_location
from hybrid_search.data.class_counts import check_classes, notes_on_classes
from hybrid_search.data.dataset import OPTIONAL_SETTINGS, Contents, Dataset, Indices, Part, Size, Source, Split
from hybrid_search.data.duplicates import find_duplicates
from hybrid_search.data.pixel_statistics import fingerprint, statistics
from hybrid_search.data.splits import divide, plan_splits
from hybrid_search.data.stamp import stamp
from hybrid_search.data.table import DATASETS
from hybrid_search.errors import DataError
from hybrid_search.plugins import table_cache
from hybrid_search.records import Settings

# The settings that select the images. All others are ignored here, so that the caches are shared.
SELECTED_BY = (
    "data", "data_dir", "image_size", "train_images", "validation_images", "split_seed", *OPTIONAL_SETTINGS,
)  # fmt: skip
LOG = logging.getLogger("hybrid_search.data")
_stamps: dict[Settings, int] = {}  # the last stamp of the files of each selection
REMEDY = "drop_duplicates=true (--set) removes them from train"


def load(settings: Settings) -> Dataset:
    """Return the training and validation images.

    Args:
        settings: data set, folder, image size, number of images and split seed are used.

    Returns:
        The data set. Repeated calls in one process return the same object.

    Raises:
        DataError: the images are missing, damaged or too few.
        PluginError: the data set comes from a package that cannot be used.

    Example:
        >>> load(Settings(data="digits")).input_size
        (1, 16, 16)
    """
    return _load(*_current(settings))


def input_size_and_classes(settings: Settings) -> tuple[Size, int]:
    """Return the size of an image and the number of classes. All checks are made, but no pixel is decoded or resized.

    A search begins with this call. Files of the user's own are read anew, because they may have changed since an
    earlier search of this process.

    Args:
        settings: as for `load`.

    Returns:
        (channels, rows, columns), and the number of classes.

    Raises:
        DataError: `load` would fail for a reason that is visible without decoding the images.
    """
    if settings.data_dir is not None:
        clear_cache()
    contents, _ = _current_plan(settings)
    return contents.input_size, len(contents.classes)


def prepare(
    settings: Settings, notice: Callable[[str], None], decode: bool = True, image_sizes: Sequence[int] = ()
) -> tuple[str, ...]:
    """Check the images of a search before its first trial, and return what a person should know about them.

    A mistake in the data is found here, and not by the trials or by a confirmation. Decoded images are cached for the
    workers. No number is computed from the images.

    Args:
        settings: as for `load`.
        notice: called with lines about the progress if it takes long.
        decode: whether the images of all splits are decoded; otherwise they are listed and compared only.
        image_sizes: every image size of the search, if its space offers several.

    Returns:
        Lines about images that are left out, reinterpreted or contained twice.

    Raises:
        DataError: an image is damaged, or `load` would fail for another reason.

    Example:
        >>> for line in prepare(Settings(data="imagefolder", data_dir="photos"), print):
        ...     print(line)
    """
    contents, parts = _current_plan(settings)
    notes = [*contents.notes]
    found = find_duplicates(divide(contents, settings.split_seed), notice)
    if found.in_train_fact:
        ending = "drop_duplicates removed them from train" if settings.drop_duplicates else REMEDY
        notes.append(f"{found.in_train_fact}; {ending}")
    notes += found.facts
    notes += notes_on_classes(parts, contents.classes)
    for size in (settings.image_size, *(each for each in image_sizes if each != settings.image_size)):
        each, each_parts = _current_plan(settings.with_(image_size=size))
        if each.prepare is not None and decode:
            notes += each.prepare([each_parts[name] for name in ("train", "validation", "test")], notice)
    return tuple(dict.fromkeys(notes))  # most of what one size says, the others say too


def open_test(settings: Settings, reason: str) -> Split:
    """Return the whole test split, and log this use as a warning on the logger `hybrid_search.data`.

    A search uses train and validation only. The test split is used after the search, to confirm its front.

    Args:
        settings: as for `load`.
        reason: why the test split is needed; it appears in the log.

    Raises:
        DataError: the reason is empty, or the images cannot be used.
    """
    if not reason.strip():
        raise DataError("a use of the test split needs a reason for the log; got an empty one.")
    contents, parts = _current_plan(settings)
    test = _read(*parts["test"])
    digits = fingerprint((test,), contents.classes)
    LOG.warning("used the test split of %s (%d images, fingerprint %s): %s", settings.data, len(test), digits, reason)
    return test


def fingerprint_of(split: Split, settings: Settings) -> str:
    """Return the fingerprint of one split, as the log of uses of the test split shows it.

    Args:
        split: a split of these settings.
        settings: as for `load`.

    Returns:
        Sixteen hexadecimal digits over the split and the class names.
    """
    contents, _ = _current_plan(settings)
    return fingerprint((split,), contents.classes)


def validation_images_in_test(settings: Settings) -> Indices:
    """Return the positions in the validation split of images whose content is in the test split too.

    Nothing is found in a source with neither a file nor an array of each image.

    Args:
        settings: as for `load`.
    """
    contents, parts = _current_plan(settings)
    whole = divide(contents, settings.split_seed)
    copies = whole["validation"][1][find_duplicates(whole).validation_in_test]
    return np.flatnonzero(np.isin(parts["validation"][1], copies))


def clear_cache() -> None:
    """Remove all loaded images from memory."""
    _plan.cache_clear()
    _load.cache_clear()
    _stamps.clear()


def selecting_values(settings: Settings) -> dict[str, Any]:
    """Return the values of the settings that select the images and the size at which they are stored.

    Args:
        settings: as for `load`.

    Returns:
        Setting name -> value; `augment` is "crop" if images are stored larger because of it, otherwise absent.
    """
    selected = {name: getattr(settings, name) for name in SELECTED_BY}
    if settings.stored_size is None and settings.augment.startswith("crop"):
        selected["augment"] = "crop"
    return selected


def _selection(settings: Settings) -> Settings:
    """Return the settings with everything that does not select images at its default."""
    selected = selecting_values(settings)
    if settings.data_dir is not None:  # the caches must not depend on the current folder
        selected["data_dir"] = data_location("data_dir", settings.data_dir)
    return Settings(**selected)


def _current(settings: Settings) -> tuple[Settings, int | None]:
    """Return what selects the images: the settings, and a stamp of the files, which may change during this process."""
    selection = _selection(settings)
    now = stamp(selection.data_dir)
    if now is not None:
        _stamps[selection] = now
    return selection, _stamps.get(selection)  # files that are away for a while do not end a search that has read them


def _current_plan(settings: Settings) -> tuple[Contents, dict[str, tuple[Part, Indices]]]:
    return _plan(*_current(settings))


@table_cache(maxsize=2)
def _plan(settings: Settings, _stamp: int | None) -> tuple[Contents, dict[str, tuple[Part, Indices]]]:
    """Return the contents, and for each split the part that it comes from and the indices in that part."""
    source = DATASETS[settings.data]
    _check_settings(source, settings)
    contents = source.read(settings)
    _check_size(source, contents, settings)
    check_classes(settings.data, contents)
    return contents, plan_splits(contents, settings)


def _check_settings(source: Source, settings: Settings) -> None:
    """Raise DataError if a setting is given that the source has no use for."""
    for name in OPTIONAL_SETTINGS:
        value = getattr(settings, name)
        if name not in source.reads and value != getattr(Settings(), name):
            users = ", ".join(each for each in DATASETS.usable() if name in DATASETS[each].reads)
            raise DataError(f"{name} is a setting of the data sets {users}; got {value!r} with data {source.name}.")


def _check_size(source: Source, contents: Contents, settings: Settings) -> None:
    """Raise DataError if the source does not state the image size of the settings: its images may not be resized."""
    size, (_, rows, cols) = settings.image_size, contents.input_size
    if size is not None and (rows, cols) != (size, size):
        raise DataError(
            f"image_size must be a size to which data {source.name} resizes its images; got {size}. It states "
            f"images of {rows}x{cols} pixels: leave image_size out."
        )


def _read(part: Part, indices: Indices) -> Split:
    return Split(part.take(indices), part.labels[indices])


@table_cache(maxsize=2)
def _load(settings: Settings, stamp_of_files: int | None) -> Dataset:
    contents, parts = _plan(settings, stamp_of_files)
    train, validation = _read(*parts["train"]), _read(*parts["validation"])
    digits, mean, std = statistics(train, validation, contents.classes)
    licence = DATASETS[settings.data].licence
    size = contents.input_size[1:]
    return Dataset(settings.data, train, validation, contents.classes, licence, digits, mean, std, size)
