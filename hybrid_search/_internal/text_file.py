"""Read a text file that a user wrote. If that fails, the error states the reason in one line."""

import codecs
import os
import stat
from collections.abc import Callable
from pathlib import Path

from hybrid_search.errors import UserError

LARGEST = 1_000_000  # bytes
BYTE_ORDER_MARKS = (  # UTF-32 first, because its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
KINDS = ((stat.S_ISDIR, "it is a folder"), (stat.S_ISFIFO, "it is a pipe"), (stat.S_ISSOCK, "it is a socket"))


def file_name(path: Path) -> str:
    """Return a path as a message shows it: in one line, and the end of a long one."""
    text = str(path)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 120 else f"...{text[-117:]}"


def read_text(path: Path, law: str, error: type[UserError]) -> str:
    """Return the text of a file: UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Only an ordinary file of at most 1 MB is read, so that a pipe, a device or a huge file cannot block the command.

    Args:
        path: the file.
        law: what is required, the first words of a message: "a space must be a readable YAML file".
        error: class of the error.

    Raises:
        UserError: the file cannot be read; the message is one line.
    """

    def refused(reason: str) -> UserError:
        return error(f"{law}; {file_name(path)} is not: {reason}.")

    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise refused(_kind(status.st_mode))
            if status.st_size > LARGEST:
                raise refused(f"it has {status.st_size:,} bytes, and at most {LARGEST:,} are read")
            content = file.read(LARGEST + 1)
    except UserError:
        raise
    except OSError as failure:
        raise refused(_why(failure)) from None
    except ValueError:  # a NUL in the name
        raise refused("its name has a NUL character") from None
    return _decoded(content, refused)


def exists(path: Path) -> bool:
    """Return whether there is anything under this path: a file, a folder, a pipe."""
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long, or has a NUL
        return False


def _without_waiting(name: str, flags: int) -> int:
    return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would wait for one


def _kind(mode: int) -> str:
    return next((text for test, text in KINDS if test(mode)), "it is a device")


def _why(failure: OSError) -> str:
    if isinstance(failure, FileNotFoundError):
        return "no such file"
    if isinstance(failure, IsADirectoryError):
        return "it is a folder"
    return str(failure.strerror or type(failure).__name__).lower()


def _decoded(content: bytes, refused: Callable[[str], UserError]) -> str:
    encoding = next((name for mark, name in BYTE_ORDER_MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as failure:
        line = content[: failure.start].count(b"\n") + 1
        what = "UTF-8" if encoding.startswith("utf-8") else encoding.upper()
        raise refused(f"it is not {what} text (line {line}, byte 0x{content[failure.start]:02x})") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise refused(f"it has a NUL character in line {line}")
    return text
