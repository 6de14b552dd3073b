"""Describe a file that is not what was expected: missing, empty, a Git LFS pointer, a web page, a pickle."""

from pathlib import Path

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
WEB_PAGE = (b"<!doctype", b"<html", b"<?xml")
LONGEST = 150  # characters of a quoted reason
OTHER_KINDS = {  # first bytes -> what the file is, if it cannot be read as what was expected
    b"\x93NUMPY": "one NumPy array (.npy)",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
}
HEAD = 512  # bytes that are enough to recognise a file


def what_is_wrong(path: Path, error: BaseException | None = None) -> str:
    """Return what is wrong with a file, as the end of a sentence that begins with its path.

    Args:
        path: the file.
        error: the exception that reading it raised; its first line is quoted if the file itself explains nothing.

    Returns:
        A text of one line such as "is empty" or "is damaged or incomplete (File is not a zip file)".

    Example:
        >>> what_is_wrong(Path("photos.npz"))
        'is a Git LFS pointer without the contents; fetch them with `git lfs pull`'
    """
    try:
        if path.is_dir():
            return "is a folder"
        if not path.exists():
            return "is missing"
        if not path.is_file():
            return "is no ordinary file"
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as unreadable:
        return f"cannot be read ({unreadable.strerror or type(unreadable).__name__})"
    except ValueError:  # a null character in the path
        return "is not a path"
    if known := what_content_is(head):
        return known
    for beginning, kind in OTHER_KINDS.items():
        if head.startswith(beginning) and error is not None:
            return f"is {kind}"
    if error is None:
        return "is damaged or incomplete"
    reason = error.strerror if isinstance(error, OSError) else None
    lines = (reason or str(error)).splitlines()
    return f"is damaged or incomplete ({lines[0][:LONGEST] if lines and lines[0] else type(error).__name__})"


def what_content_is(content: bytes) -> str | None:
    """Return what is wrong with the content of a file, judged by its beginning; None if nothing is known to be wrong.

    Args:
        content: the bytes of the file, or the first ones.
    """
    head = content[:HEAD]
    if not head:
        return "is empty"
    if head.startswith(LFS_POINTER):
        return "is a Git LFS pointer without the contents; fetch them with `git lfs pull`"
    if head.lstrip().lower().startswith(WEB_PAGE):
        return "is a web page, not the file; the download failed"
    return None
