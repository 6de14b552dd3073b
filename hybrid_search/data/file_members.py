"""The files of a data set in a folder, or in an archive (.tar.gz) that is read without unpacking it."""

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from hybrid_search._internal.shown_path import shown
from hybrid_search._internal.unreadable_file import what_is_wrong
from hybrid_search.data.memory import check_fits
from hybrid_search.errors import DataError


def read_files(place: Path, folder: str, names: Sequence[str], optional: Sequence[str] = ()) -> dict[str, bytes]:
    """Return the contents of files.

    Args:
        place: the folder of the files, or an archive that has them in `folder`.
        folder: the name of the folder inside an archive.
        names: the names of the files.
        optional: names of files that may be missing.

    Returns:
        name -> content, without the optional files that are missing.

    Raises:
        DataError: a file is missing or cannot be read, or the archive is damaged.
    """
    found = (
        _from_folder(place, [*names, *optional])
        if place.is_dir()
        else _from_archive(place, folder, [*names, *optional])
    )
    for name in names:
        if name not in found:
            where = shown(place / name) if place.is_dir() else f"{folder}/{name} in {shown(place)}"
            raise DataError(f"a data set needs {', '.join(names)}; {where} is missing.")
    return found


def _from_folder(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        try:
            check_fits(shown(path), path.stat().st_size)
            found[name] = path.read_bytes()
        except OSError as error:
            raise DataError(f"{shown(path)} {what_is_wrong(path, error)}.") from error
    return found


def _from_archive(path: Path, folder: str, names: Sequence[str]) -> dict[str, bytes]:
    found = {}
    wanted = {f"{folder}/{name}": name for name in names}
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                name = wanted.get(member.name.removeprefix("./"))
                if name is None or not member.isfile():
                    continue
                check_fits(f"{member.name} in {shown(path)}", member.size)
                file = archive.extractfile(member)
                assert file is not None  # it is an ordinary file
                found[name] = file.read()
    except DataError:
        raise
    except (OSError, tarfile.TarError, EOFError, zlib.error, ValueError, MemoryError) as error:
        raise DataError(f"an archive must be complete; {shown(path)} {what_is_wrong(path, error)}.") from error
    return found
