"""Data sets: images with classes, split into train, validation and test.

Files:
    dataset.py           the values: Split, Part, Contents, Source, Dataset
    table.py             DATASETS, the table of data sets
    loading.py           load, prepare, input_size_and_classes, open_test, fingerprint_of
    all_images.py        AllImages: training and validation images as one training split
    progress_lines.py    lines about the progress of long work
    duplicates.py        images that are in several splits or classes
    class_counts.py      checks of the number of images of each class
    stamp.py             a number that changes when the files of a data set change
    splits.py            stratified, seeded splits
    pixel_statistics.py  fingerprint, mean and standard deviation
    stored_size.py       the size at which decoded files are stored, and its central part
    on_demand.py         images that are decoded when they are read
    resizing.py          bilinear resizing, exact on every machine
    downloads.py         downloads into the cache folder
    memory.py            the memory that arrays may use
    digits.py, fashion_mnist.py, cifar.py, npz.py    one file for each kind of source
    packed/              images in the rows of Parquet or Arrow files
    packed_image.py      one of these rows, read like a file
    image_folder/        the kind of source with one file for each image
    cifar_formats.py, restricted_pickle.py, file_members.py    the files of cifar
    npz_archive.py, array_keys.py, array_images.py, array_labels.py, class_names.py    the parts of an npz file
"""

from hybrid_search.data.dataset import Contents, Dataset, Part, Source, Split
from hybrid_search.data.loading import clear_cache, fingerprint_of, input_size_and_classes, load, open_test, prepare
from hybrid_search.data.table import DATASETS

__all__ = [
    "DATASETS",
    "Contents",
    "Dataset",
    "Part",
    "Source",
    "Split",
    "clear_cache",
    "fingerprint_of",
    "input_size_and_classes",
    "load",
    "open_test",
    "prepare",
]
