"""Where cached files lie: the user's cache folder, or a private temporary one if that cannot be written."""

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from hybrid_search._internal import cache_folder as cache
from hybrid_search.errors import SettingsError


@pytest.fixture(autouse=True)
def lines(monkeypatch, tmp_path):
    """Collect the notices of a process that starts now, whose temporary folder is empty."""
    said = []
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.delenv("HYBRID_SEARCH_CACHE", raising=False)
    monkeypatch.setattr(cache, "_noticed", set())
    cache._why_not.cache_clear()
    yield said
    cache._why_not.cache_clear()


def private(tmp_path):
    return tmp_path / "tmp" / f"hybrid-search-{os.getuid()}" / "cache"


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        ({"XDG_CACHE_HOME": "{0}/xdg"}, "xdg/hybrid-search/kernels"),
        ({"XDG_CACHE_HOME": "{0}/xdg", "HYBRID_SEARCH_CACHE": "{0}/mine"}, "mine/kernels"),
        ({"HYBRID_SEARCH_CACHE": "relative"}, "relative/kernels"),
        ({"HOME": "{0}", "HYBRID_SEARCH_CACHE": "~/mine"}, "mine/kernels"),
        ({"HOME": "{0}", "XDG_CACHE_HOME": ""}, ".cache/hybrid-search/kernels"),
        ({"HOME": "{0}", "XDG_CACHE_HOME": "relative"}, ".cache/hybrid-search/kernels"),
    ],
)
def test_the_environment_names_the_cache_folder(names, folder, tmp_path, monkeypatch, lines):
    monkeypatch.chdir(tmp_path)
    for name, value in names.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert cache.cache_folder("kernels", lines.append) == tmp_path / folder
    assert lines == []


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ({"XDG_CACHE_HOME": "/dev/null/x"}, "Not a directory"),
        ({"HOME": "/proc/nope", "XDG_CACHE_HOME": ""}, "No such file or directory"),
        ({"HYBRID_SEARCH_CACHE": "/dev/null"}, "File exists"),
        ({"HYBRID_SEARCH_CACHE": "/proc/self"}, "No such file or directory"),
        ({"HYBRID_SEARCH_CACHE": "/" + "x" * 300}, "File name too long"),
    ],
)
def test_a_private_temporary_folder_takes_the_place_of_one_that_cannot_be_written(
    names, reason, tmp_path, monkeypatch, lines
):
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder("kernels", lines.append) == private(tmp_path) / "kernels"
    assert cache.cache_folder("imagefolder", lines.append) == private(tmp_path) / "imagefolder"
    (line,) = lines
    assert f"cannot be written ({reason}): {private(tmp_path)} is used" in line
    for folder in (private(tmp_path), private(tmp_path).parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_user_without_a_home_gets_the_temporary_folder(tmp_path, monkeypatch, lines):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: cache.Path("~/.cache") / name)
    assert cache.cache_folder("kernels", lines.append) == private(tmp_path) / "kernels"
    assert "the user has no home folder" in lines[0]


@contextmanager
def full_disk(dir):
    with Path("/dev/full").open("wb") as file:
        yield file


def test_a_full_disk_counts_as_a_folder_that_cannot_be_written(tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "full"))
    monkeypatch.setattr(cache.tempfile, "TemporaryFile", full_disk)
    assert cache.cache_folder("kernels", lines.append).is_relative_to(private(tmp_path))
    assert "No space left on device" in lines[0]


def test_a_file_that_the_cache_has_is_found_although_the_cache_cannot_be_written(tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", str(tmp_path / "read-only"))
    (tmp_path / "read-only" / "kernels").mkdir(parents=True)
    (tmp_path / "read-only" / "kernels" / "a.so").touch()
    monkeypatch.setattr(cache, "why_not_writable", lambda folder: "Read-only file system")
    assert cache.cached_file("kernels", "a.so", lines.append) == tmp_path / "read-only" / "kernels" / "a.so"
    assert lines == []
    assert cache.cached_file("kernels", "b.so", lines.append) == private(tmp_path) / "kernels" / "b.so"
    assert len(lines) == 1


@pytest.mark.parametrize("kind", ["open to others", "a link", "of another user", "a file"])
def test_a_temporary_folder_that_others_may_have_filled_is_refused(kind, tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HYBRID_SEARCH_CACHE", "/dev/null/x")
    if kind == "of another user":
        monkeypatch.setattr(cache.os, "getuid", lambda: 12345)
    folder = private(tmp_path).parent
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o770 if kind == "open to others" else 0o700)
    with pytest.raises(SettingsError, match=r"got .*hybrid-search-\d+.*HYBRID_SEARCH_CACHE|got .*File exists"):
        cache.cache_folder("kernels", lines.append)
    assert not (tmp_path / "elsewhere" / "cache").exists()


def test_without_any_temporary_folder_the_error_names_the_variable(monkeypatch, lines):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setenv("HYBRID_SEARCH_CACHE", "/dev/null/x")
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(SettingsError, match=r"No usable temporary directory found.*TMPDIR names another folder"):
        cache.cache_folder("kernels", lines.append)
