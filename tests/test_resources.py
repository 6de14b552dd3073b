"""Resources of a trial: every wrong amount is an error of one line, before anything is written."""

import numpy as np
import pytest
from support.fakes import scored, tiny_space

from hybrid_search.cli.options import amounts
from hybrid_search.engines.ray import local_session
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from hybrid_search.search.spec import SearchSpec


def refused(ledger, resources):
    run(tiny_space(), trials=1, evaluate=scored(), ledger=ledger, resources=Resources(**resources))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"custom": {"GPU": 1}}, r"besides CPU and GPU; got GPU. Use gpus_per_trial \(--gpus-per-trial\)"),
        ({"custom": {"fast": 0}}, r"custom \(--resources\) fast must be a number above 0; got 0"),
        ({"custom": {"fast": float("nan")}}, r"custom \(--resources\) fast must be a number above 0; got nan"),
        ({"custom": {"fast": 1}}, r"nodes of a cluster declare; got 1 fast on this machine alone. Give .*--address"),
        ({"workers": 1.5}, "workers must be a whole number from 1 up; got 1.5"),
        ({"workers": 0}, "workers must be a whole number from 1 up; got 0"),
        ({"lease_seconds": 0.5}, r"lease_seconds \(--lease\) must be at least 1 second; got 0.5"),
        ({"timeout_seconds": float("inf")}, r"timeout_seconds \(--timeout\) must be at least 1 second; got inf"),
        ({"cpus_per_trial": -1}, r"cpus_per_trial must be a number from 0 up; got -1"),
        ({"engine": "tune", "custom": {"fast": 1}}, r"got 1 fast on this machine alone"),
        ({"engine": "local", "custom": {"fast": 1}}, r"engine local has no nodes; got custom resource fast"),
        ({"engine": "local", "timeout_seconds": 5}, r"engine local cannot enforce a time limit; got timeout_seconds 5"),
        (
            {"engine": "local", "gpus_per_trial": 1},
            r"engine local does not share GPUs among trials; got gpus_per_trial 1",
        ),
    ],
)
def test_resources_out_of_range_are_refused_before_anything_is_written(tmp_path, monkeypatch, more, said):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match=said):
        refused(f"sqlite:///{tmp_path}/none.db", more)
    assert not (tmp_path / "none.db").exists()


def test_whole_numbers_are_those_of_the_settings():
    assert [Resources(workers=given).workers for given in (4, 4.0, "4", np.int64(4))] == [4] * 4
    spec = SearchSpec.create("digits", trials=4.0, seed="1")
    assert (spec.trials, spec.seed) == (4, 1)


def test_a_gpu_that_this_machine_lacks_is_refused_before_ray_starts(monkeypatch, tmp_path):
    monkeypatch.setattr(local_session, "count_gpus", lambda: 1)
    with pytest.raises(SettingsError, match=r"where Ray finds 1 GPU; got gpus_per_trial 2 \(--gpus-per-trial\)"):
        refused(f"sqlite:///{tmp_path}/l.db", {"engine": "ray", "gpus_per_trial": 2})


def test_resources_are_names_and_amounts():
    assert amounts(["fast_disk=1", "licence=0.5"]) == {"fast_disk": 1.0, "licence": 0.5}
    assert amounts(None) == {}


@pytest.mark.parametrize("pair", ["fast", "=1", "fast=", "fast=much"])
def test_a_resource_without_name_or_amount_is_refused(pair):
    with pytest.raises(SettingsError, match=r"--resources must be NAME=AMOUNT, such as .*; got"):
        amounts([pair])
