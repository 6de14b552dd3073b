"""Checkpoints in a folder and in a store: only a complete one of the same trial is loaded."""

import errno
import os
import pickle
import random
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch
from support.killing import json_output_of

from hybrid_search.errors import CheckpointError, SettingsError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import Settings
from hybrid_search.training import checkpoints
from hybrid_search.training.checkpoints import Checkpoint, SearchCheckpoints, check_writable, packing
from hybrid_search.training.checkpoints.packing import pack

SETTINGS = Settings()
KEY = "0f" * 16


def architecture(width=8):
    stage = {"operator": "conv", "depth": 1, "width": width}
    return Architecture.from_dict({"stem": {"kind": "conv3x3", "width": 8}, "stages": [stage]})


def at(rung):
    """Return a checkpoint whose parts all contain the rung."""
    state = {"weight": torch.full((5, 7), float(rung)), "rung": torch.tensor(rung)}
    curve = {passed: {"accuracy": passed / 10, "loss": 1 / 3} for passed in range(1, rung + 1)}
    return Checkpoint(rung, state, curve, {"device": "cpu"})


def same(found, rung):
    wanted = at(rung)
    assert (found.rung, found.curve, found.facts) == (wanted.rung, wanted.curve, wanted.facts)
    assert found.state.keys() == wanted.state.keys()
    assert all(torch.equal(found.state[name], value) for name, value in wanted.state.items())


@pytest.fixture(params=["folder", "objects", "folders behind a URL"])
def root(request, tmp_path):
    if request.param != "objects":
        (tmp_path / "kept").mkdir()
        behind = "local://" if request.param != "folder" else ""
        yield check_writable(f"{behind}{tmp_path}/kept")
        return
    yield check_writable("memory://kept")
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def trial_checkpoints(root):
    return SearchCheckpoints(root, KEY).of(3, architecture(), SETTINGS)


@pytest.fixture
def folder(tmp_path):
    """Return the checkpoints of a trial with two rungs in a local folder, and that folder."""
    (tmp_path / "kept").mkdir()
    trial_checkpoints = SearchCheckpoints(str(tmp_path / "kept"), KEY).of(3, architecture(), SETTINGS)
    for rung in (1, 2):
        trial_checkpoints.write(at(rung))
    return trial_checkpoints, tmp_path / "kept" / trial_checkpoints.folder


def test_the_newest_checkpoint_is_unchanged_and_two_are_stored(trial_checkpoints):
    assert trial_checkpoints.latest() == checkpoints.LoadedCheckpoint(None)
    for rung in (1, 2, 5):
        trial_checkpoints.write(at(rung))
        same(trial_checkpoints.latest().checkpoint, rung)
    names = [Path(name).name for name in checkpoints.store_at(trial_checkpoints.root).names(trial_checkpoints.folder)]
    assert names == [f"00000{rung}.safetensors{beside}" for rung in (2, 5) for beside in ("", ".sha256")]
    assert trial_checkpoints.latest().problems == ""


def test_a_checkpoint_and_its_name_are_on_the_disk_before_it_counts(folder, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(handle):
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    trial_checkpoints, place = folder
    trial_checkpoints.write(at(3))
    assert [path.parent for path in synced[:2]] == [place, place]  # the checkpoint and its checksum
    assert synced[2:] == [place]  # the folder, which lists them


def test_a_rung_that_is_reached_again_replaces_later_ones(trial_checkpoints):
    for rung in (4, 5, 2):
        trial_checkpoints.write(at(rung))
    same(trial_checkpoints.latest().checkpoint, 2)
    trial_checkpoints.write(at(2))
    trial_checkpoints.write(at(3))
    same(trial_checkpoints.latest().checkpoint, 3)


def test_dropped_checkpoints_are_gone_and_other_trials_stay(root):
    kept = SearchCheckpoints(root, KEY)
    for number, seed in ((3, 0), (3, 7), (4, 0)):
        kept.of(number, architecture(), SETTINGS.with_(seed=seed)).write(at(1))
    assert kept.trials() == {(3, 0), (3, 7), (4, 0)}
    assert SearchCheckpoints(root, "another").trials() == set()
    kept.drop(3, 0)
    kept.drop(9, 0)
    assert kept.trials() == {(3, 7), (4, 0)}
    same(kept.of(3, architecture(), SETTINGS.with_(seed=7)).latest().checkpoint, 1)
    for number, seed in kept.trials():
        kept.drop(number, seed)
    kept.remove_empty_folder()
    assert kept.trials() == set()


def test_a_state_that_is_not_a_mapping_of_tensors_is_an_error(trial_checkpoints):
    with pytest.raises(TypeError, match=r"must be a flat mapping of name to tensor; got 'epoch' = 3\."):
        trial_checkpoints.write(Checkpoint(1, {"weight": torch.zeros(2), "epoch": 3}, {}, {}))


def test_trial_checkpoints_can_be_sent_to_a_worker(trial_checkpoints):
    assert pickle.loads(pickle.dumps(trial_checkpoints)) == trial_checkpoints  # noqa: S301


def damages():
    """Yield (name, function of the bytes) for each way in which a file can be damaged."""
    rng = random.Random(5)
    for _ in range(20):
        place, bit = rng.random(), 1 << rng.randrange(8)

        def flip(data, place=place, bit=bit):
            where = int(place * len(data))
            return data[:where] + bytes([data[where] ^ bit]) + data[where + 1 :]

        yield f"bit {bit} flipped at {place:.3f}", flip
    for _ in range(20):
        share = rng.random()
        yield f"cut at {share:.3f}", lambda data, share=share: data[: int(share * len(data))]
    yield "empty", lambda data: b""
    yield "longer", lambda data: data + b"\0"


def test_every_damage_is_detected_and_the_previous_checkpoint_is_used(folder):
    trial_checkpoints, where = folder
    whole = (where / "000002.safetensors").read_bytes()
    found = []
    for name, damage in damages():
        (where / "000002.safetensors").write_bytes(damage(whole))
        latest = trial_checkpoints.latest()
        same(latest.checkpoint, 1)
        assert "000002.safetensors does not." in latest.problems, name
        found.append(name)
    assert len(found) == 42
    (where / "000002.safetensors").write_bytes(whole)
    same(trial_checkpoints.latest().checkpoint, 2)


def test_a_checkpoint_without_a_valid_checksum_is_not_loaded(folder):
    trial_checkpoints, where = folder
    beside = where / "000002.safetensors.sha256"
    was = beside.read_bytes()
    for spoilt in (b"", was[:-2], was.upper(), (where / "000001.safetensors.sha256").read_bytes()):
        beside.write_bytes(spoilt)
        same(trial_checkpoints.latest().checkpoint, 1)
    beside.unlink()
    assert "000002.safetensors has none" in trial_checkpoints.latest().problems
    (where / "000001.safetensors").write_bytes(b"")
    latest = trial_checkpoints.latest()
    assert latest.checkpoint is None
    assert "000002" in latest.problems
    assert "000001" in latest.problems


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"search": "ab" * 16}, f"is of search {'ab' * 16}, not {KEY}"),
        ({"trial": 4}, "is of trial 4, not 3"),
        ({"architecture": "beef"}, f"is of architecture beef, not {architecture().digest}"),
        ({"settings": "beef"}, f"is of settings beef, not {SETTINGS.digest}"),
        ({"trial": 4, "settings": "beef"}, "is of trial 4, not 3, of settings beef, not "),
    ],
)
def test_a_checkpoint_of_another_owner_is_refused_with_its_name(folder, other, said):
    trial_checkpoints, where = folder
    theirs = replace(trial_checkpoints, owner=replace(trial_checkpoints.owner, **other))
    path = where / "000002.safetensors"
    path.write_bytes(pack(theirs.owner, at(2)))
    Path(f"{path}.sha256").write_bytes(packing.checksum(path.read_bytes()))
    latest = trial_checkpoints.latest()
    same(latest.checkpoint, 1)
    assert f"{path} {said}" in latest.problems
    assert "must be of the trial it resumes" in latest.problems


def test_two_trials_whose_folders_were_swapped_both_start_again(tmp_path):
    kept = SearchCheckpoints(str(tmp_path), KEY)
    both = [kept.of(number, architecture(8 * number), SETTINGS) for number in (1, 2)]
    for trial_checkpoints in both:
        trial_checkpoints.write(at(1))
    one, two = (tmp_path / trial_checkpoints.folder for trial_checkpoints in both)
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    for trial_checkpoints in both:
        assert trial_checkpoints.latest().checkpoint is None
        assert "must be of the trial it resumes" in trial_checkpoints.latest().problems


def test_a_newer_format_and_a_file_that_is_no_checkpoint_are_refused(folder, monkeypatch):
    trial_checkpoints, where = folder
    monkeypatch.setattr(packing, "FORMAT", 2)
    trial_checkpoints.write(at(2))
    monkeypatch.undo()
    assert "must have format 1 or lower; " in trial_checkpoints.latest().problems
    assert "000002.safetensors has format 2" in trial_checkpoints.latest().problems
    for nonsense in (b"", b"\0" * 100, b"[]", pack(trial_checkpoints.owner, at(2))[:40]):
        (where / "000002.safetensors").write_bytes(nonsense)
        (where / "000002.safetensors.sha256").write_bytes(packing.checksum(nonsense))
        assert "must be one that this package wrote" in trial_checkpoints.latest().problems
        same(trial_checkpoints.latest().checkpoint, 1)


def test_a_full_disk_is_an_error_that_leaves_old_checkpoints_and_no_partial_file(folder, monkeypatch):
    trial_checkpoints, where = folder
    before = sorted(os.listdir(where))

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=rf"{where}/000003.safetensors cannot be written: No space left on dev"):
        trial_checkpoints.write(at(3))
    assert sorted(os.listdir(where)) == before
    monkeypatch.undo()
    trial_checkpoints.write(at(3))
    same(trial_checkpoints.latest().checkpoint, 3)


def test_a_file_size_limit_leaves_no_partial_file(folder):
    """Use a limit of the kernel: the write fails half way, like on a full disk."""
    trial_checkpoints, where = folder
    before, limits = sorted(os.listdir(where)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"000003.safetensors cannot be written: File too large"):
            trial_checkpoints.write(at(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(where)) == before
    same(trial_checkpoints.latest().checkpoint, 2)


def test_partial_files_of_a_killed_writer_are_deleted_with_the_next_checkpoint(folder):
    trial_checkpoints, where = folder
    (where / ".000003.safetensors.0123456789abcdef.part").write_bytes(b"half")
    same(trial_checkpoints.latest().checkpoint, 2)
    trial_checkpoints.write(at(3))
    assert not list(where.glob("*.part"))
    assert not list(where.glob(".*"))


def test_a_folder_that_this_machine_cannot_reach_is_an_error_and_is_not_created(tmp_path):
    trial_checkpoints = SearchCheckpoints(str(tmp_path / "elsewhere"), KEY).of(3, architecture(), SETTINGS)
    assert trial_checkpoints.latest().checkpoint is None
    with pytest.raises(CheckpointError, match="cannot be written: this machine does not see that folder"):
        trial_checkpoints.write(at(1))
    assert not (tmp_path / "elsewhere").exists()


def test_a_writer_killed_at_any_instant_leaves_the_latest_whole(tmp_path):
    """Short form of tests/faults/test_killed_writer.py."""
    assert json_output_of("killed_writer.py", tmp_path, 6, 0) == {"kills": 6, "whole": 6}


def test_a_root_is_checked_without_leaving_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_writable("kept/here") == str(tmp_path / "kept" / "here")
    assert check_writable(f"file://{tmp_path}/kept") == str(tmp_path / "kept")
    assert check_writable("memory://kept/") == "memory://kept"
    assert list(tmp_path.iterdir()) == []
    assert fsspec.filesystem("memory").find("/kept") == []


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (" ", "must be a folder or a URL; got an empty one"),
        (
            "/proc/kept",
            r"need a place that can be written; /proc/kept cannot: .*\. checkpoints 'none' \(--checkpoints none\) runs",
        ),
        ("file.txt/kept", r"/file.txt/kept cannot: Not a directory"),
        ("nosuch://bucket/kept", "nosuch://bucket/kept cannot: Protocol not known: nosuch"),
        ("ftp://me:secret@host/kept", "must contain no password"),
        ("simplecache::s3://me:secret@bucket", "must contain no password"),
        ("local:///no/such/folder", "local:///no/such/folder cannot: No such file or directory"),
    ],
)
def test_a_root_that_cannot_be_written_is_refused_in_one_line(tmp_path, monkeypatch, root, said):
    monkeypatch.chdir(tmp_path)
    Path("file.txt").touch()
    with pytest.raises(SettingsError, match=said) as caught:
        check_writable(root)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_root_that_cannot_be_created_is_an_error_of_one_line():
    with pytest.raises(
        CheckpointError, match=r"checkpoints need a folder; /proc/kept/here cannot be created: No such file"
    ):
        SearchCheckpoints("/proc/kept/here", KEY).create_root()


def test_an_unreachable_store_costs_only_the_checkpoint(tmp_path):
    (tmp_path / "kept").mkdir()
    trial_checkpoints = SearchCheckpoints(str(tmp_path / "kept"), KEY).of(3, architecture(), SETTINGS)
    trial_checkpoints.write(at(1))
    shutil.rmtree(tmp_path / "kept")
    (tmp_path / "kept").write_text("not a folder")
    assert trial_checkpoints.latest().checkpoint is None
    with pytest.raises(CheckpointError, match="cannot be written"):
        trial_checkpoints.write(at(2))
    SearchCheckpoints(str(tmp_path / "kept"), KEY).drop(3, 0)
