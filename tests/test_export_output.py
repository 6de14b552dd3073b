"""An export is written into OUT, which may be any empty folder; every refusal comes before any work."""

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from support.exports import network

from hybrid_search.errors import SettingsError
from hybrid_search.export import export_network
from hybrid_search.export.output_folder import UNFINISHED, output_folder
from hybrid_search.testing import ExportFormatContract

FILES = {"model.safetensors", "architecture.json", "architecture.svg", "README.md", "manifest.json"}
LONG = "n" * 300


def put(out, names=("weights.bin", "manifest.json"), during=lambda folder: None):
    """Write small files into OUT as an export does; `during` is called before they are renamed."""
    with output_folder(out) as folder:
        for name in names:
            (folder.unfinished / name).write_text(name)
        during(folder)
        folder.finish("manifest.json")


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def here(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("out", [".", "empty", "empty/", "./empty/.", "link", "link/", "empty/../empty", "disk"])
def test_files_are_written_into_a_folder_that_exists(here, monkeypatch, out):
    if out == ".":
        monkeypatch.chdir("empty")
    folder = Path(out).resolve()
    before = folder.stat()
    put(out)
    assert {"weights.bin", "manifest.json"} <= set(os.listdir(folder)) <= {"weights.bin", "manifest.json", "lost+found"}
    assert (folder.stat().st_ino, folder.stat().st_dev) == (before.st_ino, before.st_dev)
    assert (here / "link").is_symlink()


@pytest.mark.parametrize(
    "out", ["new", "new/", "a/b/c", "link/new", "~/new", b"\xff\xfe new".decode(errors="surrogateescape")]
)
def test_a_folder_that_is_missing_is_created_with_its_parents(here, monkeypatch, out):
    monkeypatch.setenv("HOME", str(here / "empty"))
    put(out)
    assert contents(Path(out).expanduser()) == ["manifest.json", "weights.bin"]


def test_manifest_is_renamed_last(here, monkeypatch):
    renamed = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, target: (renamed.append(self.name), rename(self, target)))
    put("new", ("manifest.json", "a", "z", "README.md"))
    assert renamed == ["README.md", "a", "z", "manifest.json"]


REFUSED = {
    "": "OUT must be a path; got an empty one",
    "a\0b": "NUL character",
    "file": "OUT must be a new or empty folder; .*/file is a file",
    "file/below": "OUT must be a folder that can be written; .*/file/below cannot: Not a directory",
    "full": "full is not empty: it contains a.txt and 1 more",
    "dangling": "dangling is a symbolic link to nowhere, which does not exist",
    LONG: "cannot: File name too long",
    f"new/{LONG}": "cannot: File name too long",
    "~no-such-user/out": "There is no user 'no-such-user'. Write ./~no-such-user/out",
    "killed": "contains .hybrid-search-export of an export that is running or was killed",
    "/proc/out": "OUT must be a folder that can be written; /proc/out cannot",
}


@pytest.mark.parametrize("out", REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_a_place_that_cannot_be_used_is_refused_and_nothing_is_written(here, out):
    (here / "file").write_text("mine")
    (here / "full").mkdir()
    (here / "full" / "a.txt").write_text("mine")
    (here / "full" / "b.txt").write_text("mine")
    (here / "dangling").symlink_to("nowhere")
    (here / "killed" / UNFINISHED).mkdir(parents=True)
    before = contents(here)
    with pytest.raises(SettingsError, match=REFUSED[out]) as error:
        put(out)
    assert "\n" not in str(error.value)
    assert contents(here) == before


def test_a_folder_without_write_permission_is_refused(here, monkeypatch):
    def no_permission(self, *_args, **_more):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", no_permission)  # root may write everywhere
    for out in ("empty", "new"):
        with pytest.raises(SettingsError, match=f"{out} cannot: Permission denied"):
            put(out)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("out", ["empty", "a/b/c"])
def test_nothing_is_left_after_a_failure_or_ctrl_c(here, out, error):
    before = contents(here)

    def fail(_folder):
        raise error

    with pytest.raises(error):
        put(out, during=fail)
    assert contents(here) == before


def test_nothing_is_left_after_ctrl_c_between_two_renames(here, monkeypatch):
    rename = Path.rename

    def interrupted(self, target):
        if self.name == "manifest.json":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        put("empty")
    assert contents(here / "empty") == []


def test_a_file_that_another_program_writes_meanwhile_is_kept(here):
    def write(folder):
        (folder.path / "weights.bin").write_text("theirs")

    with pytest.raises(SettingsError, match=r"weights\.bin was written by another program"):
        put("empty", during=write)
    assert contents(here / "empty") == ["weights.bin"]
    assert (here / "empty" / "weights.bin").read_text() == "theirs"


def test_one_of_two_exports_into_one_folder_is_refused(here):
    with output_folder("empty"), pytest.raises(SettingsError, match="an export that is running"):
        put("empty")


@pytest.mark.parametrize(("free", "shown"), [(0, "0.0 kB"), (1_000_000, "1.0 MB")])
def test_a_full_disk_is_an_error_before_anything_is_written(here, monkeypatch, free, shown):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "total used free")(1, 1, free))
    message = rf"OUT must be on a disk with 2\.1 MB of free space; .*/empty has {shown}"
    with pytest.raises(SettingsError, match=message):
        put("empty", during=lambda folder: folder.check_space(2_000_000))
    assert contents(here / "empty") == []


def test_a_disk_that_becomes_full_is_one_line(here):
    def fill(folder):
        with folder.writing():
            raise OSError(28, "No space left on device")

    with pytest.raises(SettingsError, match="cannot: No space left on device"):
        put("empty", during=fill)
    assert contents(here / "empty") == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_files_have_the_permissions_of_new_files(here, umask, mode):
    before = os.umask(umask)
    try:
        with output_folder("new") as out:
            (out.unfinished / "weights.bin").touch(0o600)  # as safetensors writes its files
            (out.unfinished / "manifest.json").write_text("{}")
            out.finish("manifest.json")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (here / "new").iterdir()} == {mode}


def test_a_format_may_write_folders(here):
    with output_folder("new") as out:
        (out.unfinished / "shards").mkdir()
        (out.unfinished / "shards" / "1.bin").write_text("1")
        (out.unfinished / "manifest.json").write_text("{}")
        out.finish("manifest.json")
    assert contents(here / "new") == ["manifest.json", "shards", "shards/1.bin"]


def test_a_whole_export_into_the_current_folder_is_complete(here, monkeypatch):
    monkeypatch.chdir("empty")
    (proof,) = export_network(network(), ".", ExportFormatContract.images(2))
    assert set(os.listdir(".")) == FILES
    assert proof.folder == here / "empty"


def test_sigterm_leaves_nothing(here):
    code = (
        "import sys, time\nfrom hybrid_search.cli.signals import exit_on_signals\n"
        "from hybrid_search.export.output_folder import output_folder\n"
        "with exit_on_signals(), output_folder('empty') as out:\n"
        "    (out.unfinished / 'a').write_text('half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=here) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert contents(here / "empty") == []


def test_a_name_with_a_newline_is_shown_in_one_line(here):
    (here / "two\nlines").mkdir()
    (here / "two\nlines" / "a\nb").write_text("mine")
    with pytest.raises(SettingsError, match=r"/two\\nlines' is not empty: it contains 'a\\nb'\.$") as error:
        put("two\nlines")
    assert "\n" not in str(error.value)


def test_a_relative_path_in_a_folder_that_was_removed_is_one_line(here, monkeypatch):
    monkeypatch.chdir("empty")
    (here / "empty").rmdir()
    with pytest.raises(
        SettingsError, match="got net, and the current folder cannot be used: No such file or directory"
    ):
        put("net")
    put(here / "net")
