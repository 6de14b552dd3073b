"""An installed package with one plugin for every table: contracts, a search with all of them, front, export, replay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("plugins")]
EXAMPLE = Path(__file__).parent / "plugin_example"
ROOT = EXAMPLE.parent.parent
SPACE = """
data: stripes
settings: {epochs: 3, batch_size: 16}
expansion: 2
stem: {patches: {width: [8, 12], stride: 2}}
stages:
  - depth: 1
    width: [8, 16]
    stride: 2
    operator: {conv: {kernel_size: 3}, shift: {reach: [1, 2]}, local_attention: {extent: 3, heads: 2}}
"""
PLUGINS = {
    "hybrid_search.operators": "shift",
    "hybrid_search.blocks": "plain",
    "hybrid_search.stems": "patches",
    "hybrid_search.datasets": "stripes",
    "hybrid_search.samplers": "sobol",
    "hybrid_search.objectives": "train_loss",
    "hybrid_search.pruners": "low-accuracy",
    "hybrid_search.engines": "serial",
    "hybrid_search.checkpoint_stores": "shelf",
    "hybrid_search.export_formats": "arrays",
    "hybrid_search.loggers": "lines",
    "hybrid_search.charts": "seconds",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Install the example package into a folder, as pip does for a user."""
    folder = tmp_path_factory.mktemp("site")
    copy = tmp_path_factory.mktemp("source") / "plugin_example"
    copy.mkdir()
    subprocess.run(["cp", "-r", *map(str, EXAMPLE.iterdir()), str(copy)], check=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(folder), str(copy)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def searched(site, tmp_path_factory):
    """Run one search that uses a plugin of every kind; return its folder and a function that runs a command there."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "space.yaml").write_text(SPACE)

    def command(*arguments, packages=site):
        """Return the finished process of a command; `packages` is where plugins are installed."""
        path = os.pathsep.join(map(str, filter(None, (packages, ROOT))))
        environment = {**os.environ, "PYTHONPATH": path, "HYBRID_SEARCH_DB": f"sqlite:///{folder}/search.db"}
        return subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)

    words = "run space.yaml --trials 8 --objectives accuracy,train_loss,flops --sampler sobol --pruner low-accuracy"
    words += f" --engine serial --checkpoints shelf://{folder}/shelf --log lines:{folder}/lines.txt --quiet"
    done = command(program(), *words.split())
    assert done.returncode == 0, done.stderr
    return folder, command


def program():
    return str(Path(sys.executable).parent / "hybrid-search")


def test_every_table_has_a_plugin_of_the_example(searched):
    _, command = searched
    done = command(program(), "doctor", "--format", "json")
    assert done.returncode == 0, done.stderr
    listed = json.dumps(json.loads(done.stdout))
    for group, name in PLUGINS.items():
        assert group.removeprefix("hybrid_search.") in listed or group in listed
        assert name in listed
    assert "hybrid-search-example" in listed
    assert "1.2.3" in listed


def test_the_plugins_pass_the_contracts_of_their_tables(searched):
    _, command = searched
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", "-c", os.devnull]
    done = command(sys.executable, *tests, f"--rootdir={EXAMPLE}", str(EXAMPLE / "contracts_of_plugins.py"))
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_search_uses_all_plugins(searched):
    _, command = searched
    done = command(program(), "front", "space", "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["trials"] if isinstance(json.loads(done.stdout), dict) else json.loads(done.stdout)
    assert rows
    assert {"accuracy", "train_loss", "flops"} <= rows[0].keys()
    assert any("patches" in json.dumps(row) for row in rows)


def test_the_front_is_readable_without_the_plugins(searched):
    _, command = searched
    done = command(program(), "front", "space", packages=None)
    assert done.returncode == 0, done.stderr
    assert "train loss" in done.stdout
    assert "nats" in done.stdout


def test_the_charts_of_the_search_are_drawn(searched):
    _, command = searched
    code = """
from hybrid_search import Ledger
from hybrid_search.charts import CHARTS, draw_chart
with Ledger(read_only=True) as ledger:
    search = ledger.search("space")
    for name in CHARTS:
        draw_chart(name, ledger, search, (0,) if CHARTS[name].subject == "trials" else ())
        print(name)
"""
    done = command(sys.executable, "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    assert {"seconds", "front", "architecture"} <= set(done.stdout.split())


def test_a_trial_is_exported_in_the_plugins_format(searched):
    folder, command = searched
    code = """
from pathlib import Path
from hybrid_search import Ledger
from hybrid_search.export import export_trial
with Ledger(read_only=True) as ledger:
    export_trial(ledger, "space", Path("exported"), "best", formats=["safetensors", "arrays"])
"""
    done = command(sys.executable, "-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((folder / "exported" / "manifest.json").read_text())
    assert "weights.npz" in json.dumps(manifest)
    assert (folder / "exported" / "weights.npz").is_file()


def test_the_search_is_replayed(searched):
    _, command = searched
    words = "replay space --objectives accuracy,flops --samplers sobol,random --seeds 1 --format json"
    done = command(program(), *words.split())
    assert done.returncode == 0, done.stderr
    assert {"sobol", "random"} <= {row["sampler"] for row in json.loads(done.stdout)}
