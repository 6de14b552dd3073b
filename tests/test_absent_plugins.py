"""A search whose operator comes from a plugin that is no longer installed: what is shown, what is refused, and how."""

import json
import os
import shutil
from contextlib import closing

import pytest
import torch
from sqlalchemy import text
from support.dilated_conv import SOURCE
from support.plugins import installed

from hybrid_search import cli
from hybrid_search.analysis.status import status_of
from hybrid_search.charts import CHARTS
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.errors import PluginError
from hybrid_search.export import export_model, load_exported
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import build_model
from hybrid_search.networks.stored_architecture import readable_line, stored_architecture
from hybrid_search.ops import OPERATORS
from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.spaces.budget import _largest_costs
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.stored_space import stored_space

UNREGISTERED = "is not installed here, or from an object that is not registered here."
ABSENT = f"operator 'dilated_conv' comes from a plugin that {UNREGISTERED}"
STAGE = {"depth": 1, "width": [8, 16], "operator": {"conv": {"kernel_size": 3}, "dilated_conv": {"dilation": [2, 3]}}}
PLAIN = {
    "version": 1,
    "stem": {"kind": "conv3x3", "width": 8, "stride": 1},
    "stages": [
        {"operator": "conv", "depth": 1, "width": 8, "stride": 1, "kernel_size": 3, "groups": 1},
        {"operator": "dilated_conv", "depth": 2, "width": 16, "stride": 2, "kernel_size": 3, "dilation": 2},
    ],
    "expansion": 4,
}


def space(stage=STAGE):
    return SearchSpace.from_dict({"name": "dilated", "stem": {"conv3x3": {"width": 8}}, "stages": [stage]})


def evaluate(architecture, settings):
    last = architecture.stages[0]
    yield {"accuracy": 0.5 + 0.1 * (last.operator == "dilated_conv") + 0.01 * last.width / 16, "loss": 1.0}


def searched(url, name="dilated", searched_space=None, **more):
    with Ledger(url) as ledger:
        run(
            searched_space or space(),
            trials=2 if name == "plain" else 6,
            name=name,
            ledger=ledger,
            evaluate=evaluate,
            resources=Resources("local"),
            **more,
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Run two searches while the plugin is installed; return the file of the database."""
    folder = tmp_path_factory.mktemp("installed")
    address = f"sqlite:///{folder}/l.db"
    with pytest.MonkeyPatch.context() as patch, installed(folder, patch, OPERATORS, "dilated_conv", SOURCE):
        searched(address, "without costs", objectives=("accuracy", "loss"))
        searched(address)
        searched(address, "plain", space({**STAGE, "operator": "conv"}))
        with Ledger(address, read_only=True) as ledger:
            assert status_of(ledger, ledger.search("dilated")).hypervolume > 0
    _largest_costs.cache_clear()
    return folder / "l.db"


@pytest.fixture
def url(database, tmp_path):
    """Return the URL of a copy of the database, on a machine without the plugin."""
    shutil.copy(database, tmp_path / "l.db")
    return f"sqlite:///{tmp_path}/l.db"


def test_the_hypervolume_is_not_computed_from_another_reference_point(url):
    with Ledger(url, read_only=True) as ledger:
        now = status_of(ledger, ledger.search("dilated"))
        assert (now.hypervolume, now.reference) == (None, None)
        assert now.unknown_reference == f"its reference point needs the largest cost of the space; {ABSENT}"
        other = status_of(ledger, ledger.search("without costs"))
        assert other.hypervolume > 0
        assert other.unknown_reference == ""


def test_the_charts_and_the_page_say_why_the_hypervolume_is_unknown(url):
    with Ledger(url, read_only=True) as ledger:
        search = ledger.search("dilated")
        numbers = CHARTS["hypervolume"].read(ledger, search, ())
        assert numbers.last is None
        assert ABSENT in numbers.unknown
    with closing(Snapshot(url)) as snapshot:
        assert snapshot.hypervolume(search) == numbers


def test_status_prints_a_dash_with_the_reason_and_otherwise_the_reference_point(url, capsys):
    assert cli.run(["status", "dilated", "--db", url]) == 0
    assert (
        f"hypervolume - (its reference point needs the largest cost of the space; {ABSENT})" in capsys.readouterr().out
    )
    assert cli.run(["status", "without costs", "--db", url]) == 0
    assert "(reference point accuracy 0.00 %, loss 1.1 nats)" in capsys.readouterr().out
    assert cli.run(["status", "dilated", "--db", url, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["hypervolume"], found["reference_point"]) == (None, None)
    assert ABSENT in found["unknown_reference"]


def test_the_front_shows_the_design_as_it_is_stored(url, capsys):
    assert cli.run(["front", "dilated", "--db", url, "--format", "csv"]) == 0
    designs = capsys.readouterr().out
    assert "conv3x3 width=8 | 1x16 dilated_conv kernel_size=3 dilation=" in designs
    assert "not readable" not in designs


def test_a_stored_design_is_read_as_far_as_it_can_be():
    assert (
        readable_line(PLAIN)
        == "conv3x3 width=8 | 1x8 conv kernel_size=3 | 2x16/2 dilated_conv kernel_size=3 dilation=2"
    )
    no_stem = {**PLAIN, "stem": {"kind": "patches", "width": 8}}
    assert readable_line(no_stem).startswith("patches width=8 | 1x8 conv kernel_size=3 | ")
    assert readable_line({"stages": []}).startswith("not readable here: ")


def test_confirm_refuses_before_a_use_of_the_test_split_is_recorded(url, tmp_path, capsys):
    with Ledger(url) as ledger, ledger._engine.begin() as connection:
        connection.execute(text("UPDATE search SET evaluation = 'trained'"))
    assert cli.run(["confirm", "dilated", "--db", url, "--engine", "local", "--quiet"]) == 2
    assert capsys.readouterr().err.strip().endswith(ABSENT)
    with Ledger(url, read_only=True) as ledger:
        search = ledger.search("dilated")
        assert ledger.read(reads.openings, search.id) == []
        assert ledger.read(reads.failures, search.id) == []


def test_confirm_from_python_refuses_as_well(url):
    with pytest.raises(PluginError, match=ABSENT):
        confirm("dilated", ledger=url, evaluate=evaluate, resources=Resources("local"))


@pytest.mark.parametrize("command", [["cost", "dilated/0"], ["cost", "dilated/5"]])
def test_a_command_that_needs_the_plugin_names_it_without_a_guess(url, capsys, command):
    with Ledger(url, read_only=True) as ledger:
        plain = ledger.read(reads.architectures, ledger.search("dilated").id)
    needed = "dilated_conv" in json.dumps(plain[int(command[1][-1])])
    code = cli.run([*command, "--db", url])
    error = capsys.readouterr().err
    assert code == (2 if needed else 0), error
    assert "Did you mean" not in error
    assert not needed or ABSENT in error


def test_a_stored_name_names_its_plugin_and_a_typed_name_gets_a_guess():
    with pytest.raises(PluginError, match=ABSENT):
        stored_architecture(PLAIN)
    with pytest.raises(PluginError, match=r"comes from the plugin my-ops 1\.2, which is not installed here"):
        stored_architecture(PLAIN, {"dilated_conv": "my-ops 1.2"})
    with pytest.raises(PluginError, match="stem 'patches' comes from a plugin that is not installed here"):
        stored_space({"stem": {"patches": [{}]}, "stages": []})
    typed = {**PLAIN, "stages": [{**PLAIN["stages"][0], "operator": "depthwise_cov"}]}
    with pytest.raises(
        ValueError, match=r"operator must be one of .*; got 'depthwise_cov'. Did you mean 'depthwise_conv'"
    ):
        Architecture.from_dict(typed)


@pytest.mark.slow
def test_an_export_lists_the_packages_it_needs_and_names_them_where_they_are_absent(tmp_path):
    out = tmp_path / "net"
    with pytest.MonkeyPatch.context() as patch, installed(tmp_path, patch, OPERATORS, "dilated_conv", SOURCE):
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        architecture = Architecture.from_dict(PLAIN)
        model = build_model(architecture, 1, 2).eval()
        images = torch.zeros(1, 1, 8, 8)
        sizes = {"input_size": (1, 8, 8), "classes": ("a", "b"), "mean": (0.0,), "std": (1.0,)}
        export_model(model, architecture, out, images=images, **sizes)
        assert load_exported(out)(images).shape == (1, 2)
    assert json.loads((out / "manifest.json").read_text())["plugins"] == {"dilated_conv": "other_package 1.2"}
    assert "`dilated_conv` comes from the package other_package 1.2. Install that" in (out / "README.md").read_text()
    with pytest.raises(PluginError, match=r"from the plugin other_package 1\.2, which is not installed here\."):
        load_exported(out)


def test_a_data_set_of_an_absent_plugin_is_named_before_anything_is_confirmed(url, capsys):
    with Ledger(url) as ledger, ledger._engine.begin() as connection:
        settings = json.loads(connection.execute(text("SELECT settings FROM search WHERE name = 'plain'")).scalar_one())
        values = {"settings": json.dumps({**settings, "data": "stripes"})}
        connection.execute(text("UPDATE search SET settings = :settings, evaluation = 'trained'"), values)
    assert cli.run(["confirm", "plain", "--db", url, "--engine", "local", "--quiet"]) == 2
    assert capsys.readouterr().err.strip().endswith(f"data 'stripes' comes from a plugin that {UNREGISTERED}")
    with Ledger(url, read_only=True) as ledger:
        assert ledger.read(reads.openings, ledger.search("plain").id) == []
