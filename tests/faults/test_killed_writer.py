"""Checkpoints whose writer is killed, and a disk that is really full (short forms: tests/test_checkpoints.py)."""

import os
import subprocess

import pytest
import torch
from support.killing import json_output_of

from hybrid_search.errors import CheckpointError
from hybrid_search.training.checkpoints import Checkpoint, TrialCheckpoints
from hybrid_search.training.checkpoints.packing import Owner

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("seed", [1, 2])
def test_a_writer_killed_at_thirty_instants_leaves_the_latest_whole(tmp_path, seed):
    assert json_output_of("killed_writer.py", tmp_path, 30, seed) == {"kills": 30, "whole": 30}


def test_the_error_names_the_full_disk_and_checkpoints_are_written_again_once_it_has_room(tmp_path):
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small file system")
    try:
        checkpoints = TrialCheckpoints(str(tmp_path), Owner("ab" * 16, 0, "a", "s"), 0)

        def write(rung):
            checkpoints.write(Checkpoint(rung, {"weight": torch.full((60_000,), float(rung))}, {rung: {}}, {}))

        for rung in (1, 2, 3):
            write(rung)
        filler = tmp_path / "filler"
        with pytest.raises(OSError, match="No space left"):
            filler.write_bytes(bytes(2**20))
        before = sorted(os.listdir(tmp_path / checkpoints.folder))
        for rung in (4, 5):
            with pytest.raises(
                CheckpointError, match=rf"{tmp_path}/.*00000{rung}.safetensors cannot be .*: No space left"
            ):
                write(rung)
            assert sorted(os.listdir(tmp_path / checkpoints.folder)) == before
            assert checkpoints.latest().checkpoint.rung == 3
        filler.unlink()
        write(6)
        assert checkpoints.latest().checkpoint.rung == 6
    finally:
        subprocess.run(["umount", tmp_path], check=True)
