"""`hybrid-search space`: its costs are those of the search that `run` would make with the same data and settings."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.datasets import random_pixels

from hybrid_search import cli
from hybrid_search.records import Settings
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace, load_space

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/own-data.md", "docs/own-space.md")


@pytest.fixture
def photos(tmp_path):
    """Return an image folder of four classes, six pictures of 20 x 30 each."""
    for number, name in enumerate(("cat", "ship", "tree", "fox")):
        (folder := tmp_path / "photos" / "train" / name).mkdir(parents=True)
        for index, pixels in enumerate(random_pixels(6, 20, 30, 3, seed=number)):
            Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{index}.png")
    return tmp_path / "photos"


def shown(capsys, *words):
    assert cli.run(["space", *map(str, words), "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)[0]


def refused(capsys, *words):
    assert cli.run(["space", *map(str, words)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_the_costs_are_those_of_a_run_with_the_same_data_and_settings(photos, capsys):
    facts = shown(
        capsys, "digits", "--data", "imagefolder", "--data-dir", photos, "--set", "image_size=16",
        "--max-flops", "1.5e6", "--max-params", "1e5",
    )  # fmt: skip
    settings = Settings(data="imagefolder", data_dir=str(photos), image_size=16)
    spec = SearchSpec.create("digits", trials=1, settings=settings, objectives=("accuracy", "flops", "params"))
    assert facts["images"] == "x".join(map(str, spec.input_size)) == "3x16x16"
    assert facts["classes"] == spec.classes == 4
    largest = spec.reference_costs()  # 1.1 times the largest cost of the space
    assert facts["largest_flops"] * 1.1 == pytest.approx(largest["flops"])
    assert facts["largest_params"] * 1.1 == pytest.approx(largest["params"])
    first = spec.cost(spec.architecture(FixedChoices({})))
    assert facts["smallest_flops"] <= first["flops"] <= facts["largest_flops"]
    assert 0 < facts["share_within_budget"] < 1


def test_the_share_of_a_small_space_is_counted_and_not_estimated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = "data: digits\nstem: {conv3x3: {width: [8, 16]}}\nstages:\n- {depth: 1, width: [8, 16], operator: conv}\n"
    Path("small.yaml").write_text(space)
    every = sorted(facts["largest_flops"] for facts in [shown(capsys, "small.yaml")])
    assert shown(capsys, "small.yaml", "--max-flops", every[-1] - 1)["share_within_budget"] == 0.75
    assert cli.run(["space", "small.yaml", "--max-flops", str(every[-1] - 1)]) == 0
    assert "75.0%\n" in re.sub(" +\n", "\n", capsys.readouterr().out)


def test_the_share_within_the_budget_is_that_of_the_proposals(capsys):
    facts = shown(capsys, "digits", "--max-flops", 5e5)
    spec = SearchSpec.create("digits", trials=1, max_flops=5e5)
    rng = np.random.default_rng(1)

    class Chooser:
        def suggest_categorical(self, name, choices):
            return choices[rng.integers(len(choices))]

    within = np.mean([spec.budget_excess(spec.architecture(Chooser())) <= 0 for _ in range(400)])
    assert facts["share_within_budget"] == pytest.approx(within, abs=0.12)  # two samples of 400


BUDGETED = """
stem: {conv3x3: {width: 8, stride: 2}}
stages: [{depth: 1, width: [8, 16, 32], operator: conv}]
"""


def test_a_space_has_a_default_budget_that_options_replace(tmp_path, capsys):
    plain, bounded = tmp_path / "plain.yaml", tmp_path / "bounded.yaml"
    plain.write_text(BUDGETED)
    bounded.write_text(f"budget: {{flops: 0.9M, params: 300k}}\n{BUDGETED}")
    space = load_space(bounded)
    assert space.digest == load_space(plain).digest
    assert SearchSpace.from_dict(space.to_dict()).budget == space.budget == {"flops": 900_000, "params": 300_000}
    assert "budget" not in load_space(plain).to_dict()
    spec = SearchSpec.create(bounded, trials=1)
    assert (spec.record.max_flops, spec.record.max_params) == (900_000, 300_000)
    spec = SearchSpec.create(bounded, trials=1, max_flops="none", max_params="0.4M")
    assert (spec.record.max_flops, spec.record.max_params) == (None, 400_000)
    facts = shown(capsys, bounded)
    assert (facts["max_flops"], facts["max_params"]) == (900_000, 300_000)
    assert 0.5 < facts["share_within_budget"] < 0.8
    assert shown(capsys, bounded, "--max-flops", "1.5G")["share_within_budget"] == 1
    assert "max_flops (--max-flops) must allow at least one design" in refused(capsys, bounded, "--max-flops", "1k")
    for wrong, message in (
        ("{flop: 40M}", "line 1: budget must have the keys flops or params; got 'flop'. Did you mean 'flops'?"),
        ("{flops: lots}", "line 1: budget.flops must be a number; got 'lots'."),
        ("{flops: 0}", "line 1: budget.flops must be more than 0; got 0."),
        ("40M", "line 1: budget must be a mapping of names to values; got '40M'."),
    ):
        bounded.write_text(f"budget: {wrong}\n{BUDGETED}")
        assert message in refused(capsys, bounded)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--data-dir", "photos"], "digits are part of scikit-learn and need no data_dir (--data-dir)"),
        (["digits", "--data", "nope"], "data must be one of digits"),
        (["digits", "--data", "imagefolder", "--data-dir", "missing"], "missing"),
        (["digits", "--data", "npz", "--data-dir", "missing.npz"], "missing.npz"),
        (["digits", "--data", "imagefolder"], "imagefolder needs data_dir (--data-dir)"),
        (["sasa-resnet26", "--max-flops", "1e9"], "imagefolder needs data_dir (--data-dir)"),
        (["digits", "--set", "image_size=0"], "image_size must be"),
        (["digits", "--set", "depth=3"], "depth"),
        (["digits", "--data-dir", ""], "--data-dir"),
    ],
)
def test_unknown_or_unusable_data_is_refused_in_one_line(words, message, photos, capsys):
    assert message in refused(capsys, *words)


def test_a_space_without_data_of_its_own_is_shown_without_costs(capsys):
    assert cli.run(["space", "sasa-resnet26", "--format", "json"]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)[0]
    assert facts["designs"] > 10**9
    assert facts["parameters"]
    assert not [name for name in facts if "flops" in name or "params" in name]
    assert "costs are left out" in printed.err
    assert cli.run(["space", "sasa-resnet26"]) == 0
    assert "sasa-resnet26" in capsys.readouterr().out


def budgets():
    """Yield page, space and budget of every `--max-flops` in a command of the documentation."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"hybrid-search (?:run|space) .*--max-flops.*", text):
            words = shlex.split(line.split("#")[0])
            yield pytest.param(page, words[2], words[words.index("--max-flops") + 1], id=f"{page} {words[1]}")


@pytest.mark.parametrize(("page", "space", "budget"), list(budgets()))
def test_a_budget_in_the_documentation_excludes_some_designs_and_keeps_some(page, space, budget, photos, capsys):
    words = [space, "--max-flops", budget]
    if space.endswith(".yaml"):
        text = (ROOT / page).read_text(encoding="utf-8")
        Path(space).write_text(re.search(rf'```yaml title="{space}"\n(.*?)```', text, re.DOTALL)[1], encoding="utf-8")
    elif space.startswith("photos"):
        words += ["--data", "imagefolder", "--data-dir", photos, "--set", "image_size=32"]
    assert 0.05 < shown(capsys, *words)["share_within_budget"] < 0.95
