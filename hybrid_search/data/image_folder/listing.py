"""List the image files of a class: select files by name, follow links, count what is left out."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from hybrid_search._internal.shown_path import shown
from hybrid_search.data.image_folder.left_out import LeftOut
from hybrid_search.errors import DataError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
OPTIONAL = {".avif": "avif", ".jp2": "jpg_2000"}  # suffix -> the feature of Pillow that decodes it
# Folders and files of operating systems and storage systems; those whose names begin with a dot are hidden anyway.
SYSTEM = ("@eadir", "__macosx", "#recycle", "@recycle", "$recycle.bin", "system volume information", "lost+found",
          "thumbs.db", "ehthumbs.db", "desktop.ini")  # fmt: skip
HIDDEN_FILES, HIDDEN_IMAGES = "hidden or system files", "images in hidden or system folders"
DANGLING, REPEATED = "links to nothing", "links to folders that are read already"
SPECIAL = "files that are no ordinary files"

Identity = tuple[int, int]  # device and inode of a folder


@cache
def suffixes() -> tuple[str, ...]:
    """Return the suffixes of image files that the installed Pillow can decode, in lower case."""
    from PIL import features

    return (*SUFFIXES, *(suffix for suffix, feature in OPTIONAL.items() if features.check(feature)))


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by an operating system or storage system."""
    return name.startswith(".") or name.lower() in SYSTEM


def is_image(name: str) -> bool:
    """Return whether the name is that of an image file: not hidden, with a known suffix."""
    return not is_hidden(name) and os.path.splitext(name)[1].lower() in suffixes()


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, sorted by the bytes of their names.

    Raises:
        DataError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        raise DataError(f"a folder of images must be readable; {shown(folder)}: {error.strerror}.") from error


def kind_of(entry: os.DirEntry[str]) -> str:
    """Return what an entry is after its links are followed: folder, file, special or nothing."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "special" if os.path.exists(entry.path) else "nothing"
    except OSError:  # a link to itself
        return "nothing"


def identity(folder: Path) -> Identity:
    """Return device and inode of a folder, the same for every path that leads to it."""
    found = folder.stat()
    return found.st_dev, found.st_ino


def ancestors(folder: Path) -> set[Identity]:
    """Return the identities of a folder and of all folders that contain it, along its path and along its target."""
    absolute = folder.absolute()
    return {identity(each) for path in (absolute, folder.resolve()) for each in (path, *path.parents)}


def list_images(folder: Path, left_out: LeftOut) -> list[Path]:
    """Return the image files below a folder, sorted.

    Links to files and folders are followed. Every folder is read once, so a loop of links ends.

    Args:
        folder: The folder of one class, which exists.
        left_out: Everything that is not an image is counted here, and images in deeper folders.

    Raises:
        DataError: A folder cannot be read.
    """
    seen = ancestors(folder)
    images: list[Path] = []
    pending, links = [folder], list[Path]()
    while pending or links:
        if not pending:  # folders come before links to them, so that a link is what is left out
            link = links.pop(0)
            if identity(link) in seen:
                left_out.add(REPEATED, link)
                continue
            pending.append(link)
        here = pending.pop()
        seen.add(identity(here))
        for entry in entries(here):
            path, kind = here / entry.name, kind_of(entry)
            if kind == "folder" and not is_hidden(entry.name):
                (links if entry.is_symlink() else pending).append(path)
            elif kind == "file" and is_image(entry.name):
                images.append(path)
                if here != folder:
                    left_out.add_deeper(path)
            else:
                _leave_out(path, kind, left_out)
    return sorted(images)


def _leave_out(path: Path, kind: str, left_out: LeftOut) -> None:
    """Count an entry that is neither an image nor a folder to read."""
    suffix = os.path.splitext(path.name)[1].lower()
    if kind == "nothing":
        left_out.add(DANGLING, path)
    elif kind == "folder":
        left_out.add(HIDDEN_IMAGES, path, sum(1 for _ in images_within(path)))
    elif is_hidden(path.name):
        left_out.add(HIDDEN_FILES, path)
    elif kind == "special":
        left_out.add(SPECIAL, path)
    else:
        left_out.add(f"files {suffix}" if suffix else "files without a suffix", path)


def images_within(folder: Path) -> Iterator[str]:
    """Yield the names of all files with a known suffix below a folder that is left out; no link is followed."""
    for _, _, names in os.walk(folder):
        yield from (name for name in names if os.path.splitext(name)[1].lower() in suffixes())
