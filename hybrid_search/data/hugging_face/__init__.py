"""`hf`: images in the rows of Parquet or Arrow files, as Hugging Face writes them, from disk or from the hub.

Files:
    tables.py   the files of each split
    columns.py  which columns are image and label, and the classes
    hub.py      `hf://owner/name`, downloaded once

pyarrow reads both formats, and Ray needs it anyway; the package `datasets` would only add its own cache.
"""

from functools import partial
from pathlib import Path

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.embedded_image import EmbeddedImage, ImageTable
from hybrid_search.data.hugging_face.columns import Columns, classes_of, find_columns, labels_of
from hybrid_search.data.hugging_face.hub import HUB, local_copy
from hybrid_search.data.hugging_face.tables import find_tables
from hybrid_search.data.image_folder.decoding import MAX_PIXELS
from hybrid_search.data.image_folder.image_files import ImageFiles
from hybrid_search.data.stored_size import SIZE, size_notes, stored_side
from hybrid_search.errors import DataError
from hybrid_search.records import Settings


def read(settings: Settings) -> Contents:
    """Find images and labels below `data_dir` without decoding an image.

    Args:
        settings: `data_dir` (required: a folder, a file or `hf://owner/name`), `image_column`, `label_column`,
            `image_size`, `stored_size`, `augment`, `ignore_test`, `cache` and `max_image_pixels` are used.

    Raises:
        DataError: There is no such file, no or more than one possible column, a row without a label, or a label that is
            no class of train.
    """
    if settings.data_dir is None:
        raise DataError(
            "hf needs data_dir (--data-dir), a folder of Parquet or Arrow files or hf://owner/name; got none."
        )
    size = settings.image_size or SIZE
    stored = stored_side(settings, size)
    base = local_copy(settings.data_dir) if settings.data_dir.startswith(HUB) else Path(settings.data_dir)
    files, notes = find_tables(base)
    if settings.ignore_test and "test" in files:
        del files["test"]
        notes.append("the test split is left out (ignore_test); it is cut from train")
    tables = {split: [ImageTable(path) for path in paths] for split, paths in files.items()}
    every_table = [table for each in tables.values() for table in each]
    _check_formats(every_table, settings.cache)
    columns = find_columns(every_table, settings.image_column, settings.label_column)
    classes = classes_of(tables["train"], columns)
    rows = {split: _images(each, columns) for split, each in tables.items()}
    images = ImageFiles(
        base, [image for each in rows.values() for image in each], stored, settings.max_image_pixels or MAX_PIXELS,
        stores=settings.cache == "disk",
    )  # fmt: skip
    parts = {
        split: Part(labels_of(each, columns, classes), partial(images.take, rows[split]), rows[split])
        for split, each in tables.items()
    }
    notes.append(f"images are in column {columns.image}, labels in {columns.label}")
    notes += size_notes(settings, size, stored)
    return Contents(
        (3, size, size), classes, parts["train"], parts.get("val"), parts.get("test"), tuple(notes), images.prepare
    )


def _images(tables: list[ImageTable], columns: Columns) -> tuple[EmbeddedImage, ...]:
    return tuple(EmbeddedImage(table, columns.image, row) for table in tables for row in range(table.rows))


def _check_formats(tables: list[ImageTable], cache: str) -> None:
    """Raise DataError if rows would be read in any order from files that are compressed row group by row group."""
    packed = next((table for table in tables if table.is_parquet), None)
    if cache == "none" and packed is not None:
        raise DataError(
            f"cache=none needs image files or Arrow files, which can be read in any order; {shown(packed.path)} is a "
            "Parquet file. Use cache=disk, or save it with save_to_disk of the package datasets."
        )


HF = Source(
    "hf",
    "images in Parquet files or a folder of Hugging Face datasets, from disk or hf://owner/name",
    "set by the owner",
    read,
    reads=(
        "drop_duplicates", "ignore_test", "max_image_pixels", "stored_size", "cache", "image_column", "label_column",
    ),
)  # fmt: skip
