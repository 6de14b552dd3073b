"""Folders of small images, and the command line on them."""

from pathlib import Path

import numpy as np
from PIL import Image

from hybrid_search import cli
from hybrid_search.records import Settings

RAMP = np.arange(64 * 64).reshape(64, 64) // 16  # 0 to 255, each value 16 times
CLASSES = ("cat", "dog")
SPACE = """
name: small
stem: {conv3x3: {width: 8}}
stages: [{depth: 1, width: [8, 16], operator: {conv: {kernel_size: [3, 5]}}}]
"""


def picture(seed, label=0, size=16):
    """Return an 8-bit RGB image of noise, brighter in the channel of its label."""
    pixels = np.random.default_rng(seed).integers(0, 80, (size, size, 3), dtype=np.uint8)
    pixels[:, :, label % 3] += 100
    return Image.fromarray(pixels)


def write_folder(root, splits=("train",), count=8, classes=CLASSES):
    """Write `count` different PNG images of every class into every split; return the settings that read them."""
    for number, split in enumerate(splits):
        for label, name in enumerate(classes):
            folder = Path(root, split, name)
            folder.mkdir(parents=True)
            for each in range(count):
                picture((number, label, each), label).save(folder / f"{each}.png")
    return settings_of(root)


def settings_of(root, **changes):
    """Return the settings of an image folder of 8 x 8 pixels."""
    return Settings(data="imagefolder", data_dir=str(root), image_size=8, **changes)


def run_on(root, *words, db="results.db"):
    """Run one trial on an image folder with the command line; return its exit code."""
    Path("small.yaml").write_text(SPACE)
    fixed = ["run", "small.yaml", "--data", "imagefolder", "--data-dir", str(root), "--set", "image_size=8"]
    fixed += ["--trials", "1", "--epochs", "1", "--engine", "local", "--db", f"sqlite:///{db}"]
    return cli.run([*fixed, *map(str, words)])
