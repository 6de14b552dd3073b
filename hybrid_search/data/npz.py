"""`npz`: the user's images in one NumPy archive.

The archive contains x_train and y_train. It may contain x_val, y_val, x_test, y_test and classes (the class names).
Other usual names are read too; see `array_keys`.
"""

from pathlib import Path

from hybrid_search.data.array_images import pixels_of
from hybrid_search.data.array_keys import find_keys, notes_on_keys
from hybrid_search.data.array_labels import check_classes, class_numbers
from hybrid_search.data.class_names import names_from_array
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.data.npz_archive import array_headers, read_arrays
from hybrid_search.errors import DataError
from hybrid_search.records import Settings


def read(settings: Settings) -> Contents:
    """Return the parts of the archive `data_dir`.

    Args:
        settings: `data_dir` (required, the path of the archive), `image_size` and `ignore_test` are used.

    Raises:
        DataError: the archive cannot be read, or an array is missing or has the wrong type, shape or values.
    """
    if settings.data_dir is None:
        raise DataError("npz needs data_dir (--data-dir), the path of a .npz file; got none.")
    path = Path(settings.data_dir)
    headers, others = array_headers(path)
    keys = find_keys(path, list(headers), ignore_test=settings.ignore_test)
    arrays = read_arrays(path, {name: headers[name] for name in keys.used})
    labels, counts = {}, {}
    for part, name in keys.labels.items():
        shape = headers[keys.images[part]].shape
        labels[part], counts[name] = class_numbers(name, arrays.pop(name), shape[0] if shape else 0)
    images, notes = pixels_of({name: arrays[name] for name in keys.images.values()})
    size = settings.image_size
    first = keys.images["train"]
    for name, pixels in images.items():
        if pixels.shape[1:] != images[first].shape[1:]:
            raise DataError(
                f"{name} must have images of {images[first].shape[1:]} like {first}; got {pixels.shape[1:]}."
            )
    count = check_classes(counts, labels["train"], keys.labels["train"])
    if keys.classes:
        names = names_from_array(keys.classes, arrays[keys.classes], count)
    else:
        names = tuple(str(label) for label in range(count))
    parts = {part: Part.from_arrays(images[name], labels[part], size) for part, name in keys.images.items()}
    channels, rows, cols = images[first].shape[1:]
    return Contents(
        (channels, size or rows, size or cols),
        names,
        parts["train"],
        parts.get("val"),
        parts.get("test"),
        (*notes_on_keys(keys, others), *(f"npz: {note}" for note in notes)),
    )


NPZ = Source(
    "npz",
    "your own images in a .npz file: x_train, y_train, and x_val, y_val, x_test, y_test",
    "set by the owner",
    read,
    reads=("drop_duplicates", "ignore_test"),
)
