"""Small data sets in the file formats of the built-in sources."""

import gzip
import struct

import numpy as np


def random_pixels(count, rows=6, cols=9, channels=1, seed=0):
    """Return random images, uint8 (count, channels, rows, cols)."""
    return np.random.default_rng(seed).integers(0, 256, (count, channels, rows, cols), dtype=np.uint8)


def write_idx(path, array, zipped=False):
    """Write an array of bytes as an IDX file."""
    raw = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw) if zipped else raw)


def write_fashion_mnist(folder, train=50, test=20, rows=28, cols=28):
    """Write the four files of fashion-mnist: the training part gzipped, the test part not."""
    for seed, (stem, count, suffix) in enumerate((("train", train, ".gz"), ("t10k", test, ""))):
        images = random_pixels(count, rows, cols, seed=seed)[:, 0]
        write_idx(folder / f"{stem}-images-idx3-ubyte{suffix}", images, bool(suffix))
        labels = (np.arange(count) % 10).astype(np.uint8)
        write_idx(folder / f"{stem}-labels-idx1-ubyte{suffix}", labels, bool(suffix))


def write_cifar(folder, files, label_bytes, classes, per_file=20):
    """Write files of records in the binary version of cifar."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(files):
        records = np.random.default_rng(seed).integers(0, 256, (per_file, label_bytes + 3072), dtype=np.uint8)
        records[:, :label_bytes] = (np.arange(per_file) % classes)[:, None]
        records.tofile(folder / name)
