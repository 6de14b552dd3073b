"""What a trial may take, and how long it may: every wrong amount is refused in one line, before anything is written."""

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.cli.run import amounts
from hybrid_search.errors import SettingsError
from hybrid_search.runs.run import run


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"resources": {"GPU": 1}}, r"besides CPU and GPU; got GPU. Use --gpus-per-trial"),
        ({"resources": {"fast": 0}}, r"--resources fast must be a number above 0; got 0"),
        ({"resources": {"fast": float("nan")}}, r"--resources fast must be a number above 0; got nan"),
        ({"resources": {"fast": 1}}, r"nodes of a cluster declare; got 1 fast on this machine alone. Give .*--address"),
        ({"lease": 0.5}, r"lease must be at least 1 second; got 0.5"),
        ({"timeout": float("inf")}, r"timeout must be at least 1 second; got inf"),
        ({"engine": "tune", "resources": {"fast": 1}}, r"got 1 fast on this machine alone"),
        ({"engine": "local", "resources": {"fast": 1}}, r"engine local has no nodes; got --resources fast"),
        ({"engine": "local", "timeout": 5}, r"engine local cannot end a rung; got --timeout 5"),
    ],
)
def test_an_amount_that_nobody_can_have_is_refused(tmp_path, monkeypatch, more, said):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SettingsError, match=said):
        run(tiny_space(), trials=1, evaluate=scored(), ledger=f"sqlite:///{tmp_path}/none.db", **more)
    assert not (tmp_path / "none.db").exists()


def test_resources_are_names_and_amounts():
    assert amounts(["fast_disk=1", "licence=0.5"]) == {"fast_disk": 1.0, "licence": 0.5}
    assert amounts(None) == {}


@pytest.mark.parametrize("pair", ["fast", "=1", "fast=", "fast=much"])
def test_a_resource_without_name_or_amount_is_refused(pair):
    with pytest.raises(SettingsError, match=r"--resources must be NAME=AMOUNT, such as .*; got"):
        amounts([pair])
