"""`balanced_accuracy` and `macro_f1`: their values, where they are measured, and what accuracy hides without them."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score
from torch import nn

from hybrid_search import cli, data
from hybrid_search.analysis.confidence import class_step, read_confidence, trial_confidence
from hybrid_search.data import load
from hybrid_search.ledger import Ledger, Repeats, reads
from hybrid_search.objectives import BUILT_IN
from hybrid_search.pareto import front_rows
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.training.class_scores import class_scores
from hybrid_search.training.loop import score

OBJECTIVES = ("balanced_accuracy", "flops")


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """Write 203 training images of two classes, 200 : 3, and the same numbers for validation and test."""
    rng = np.random.default_rng(0)
    labels = np.array([0] * 200 + [1] * 3)
    arrays = {}
    for part in ("train", "val", "test"):
        images = rng.integers(0, 90, (203, 12, 12)) + 90 * labels[:, None, None]
        arrays |= {f"x_{part}": images.astype(np.uint8), f"y_{part}": labels}
    path = tmp_path_factory.mktemp("rare") / "rare.npz"
    np.savez(path, **arrays, classes=["frequent", "rare"])
    return Settings(data="npz", data_dir=str(path), epochs=2, device="cpu", ema=0.0)


@pytest.fixture(scope="module")
def searched(rare, tmp_path_factory):
    """Return the URL of a database with a search by balanced accuracy that was confirmed with two fresh seeds."""
    url = f"sqlite:///{tmp_path_factory.mktemp('search')}/rare.db"
    data.clear_cache()
    options = {"resources": Resources(engine="local"), "notice": lambda line: None}
    with Ledger(url) as ledger:
        run("digits", trials=3, objectives=OBJECTIVES, settings=rare, ledger=ledger, name="rare", **options)
        confirm("rare", ledger=ledger, seeds=2, trials=2, references=False, **options)
    return url


@pytest.mark.parametrize("seed", range(20))
def test_both_scores_equal_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    labels = np.concatenate([np.arange(classes), rng.integers(0, rng.integers(1, classes + 1), 60)])
    predicted = np.where(rng.random(len(labels)) < 0.5, labels, rng.integers(0, classes, len(labels)))
    found = class_scores(labels, predicted, classes)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted), abs=1e-12)
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"), abs=1e-12)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_without_images_is_left_out_of_both_means():
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 1])
    found = class_scores(labels, predicted, 4)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.macro_f1 == pytest.approx(f1_score(labels, predicted, labels=[0, 2], average="macro"))


class Constant(nn.Module):
    """A network that answers "frequent" to every image."""

    def forward(self, images):
        return torch.tensor([[1.0, 0.0]]).expand(len(images), 2)


class Threshold(nn.Module):
    """A network that finds every rare image, and takes the brightest sixth of the frequent ones for rare too."""

    def __init__(self, bound):
        super().__init__()
        self.bound = bound

    def forward(self, images):
        bright = images.mean(dim=(1, 2, 3)) - self.bound
        return torch.stack([-bright, bright], dim=1)


def test_accuracy_prefers_the_network_that_never_finds_the_rare_class_and_balanced_accuracy_does_not(rare):
    data.clear_cache()
    dataset = load(rare)
    frequent = dataset.validation.images[:200].reshape(200, -1) / 255
    normalised = (frequent.mean(axis=1) - dataset.mean[0]) / dataset.std[0]
    constant = score(Constant(), dataset.validation, dataset, rare)
    useful = score(Threshold(float(np.quantile(normalised, 5 / 6))), dataset.validation, dataset, rare)
    assert constant.accuracy == pytest.approx(200 / 203)
    assert constant.accuracy > useful.accuracy
    assert constant.classes.balanced_accuracy == 0.5
    assert useful.classes.balanced_accuracy == pytest.approx((5 / 6 + 1) / 2, abs=0.01)
    assert constant.classes.macro_f1 == pytest.approx(200 / 403, abs=1e-3)
    rows = [(0, {"accuracy": constant.accuracy, "balanced_accuracy": constant.classes.balanced_accuracy, "flops": 1e6})]
    rows += [(1, {"accuracy": useful.accuracy, "balanced_accuracy": useful.classes.balanced_accuracy, "flops": 1e6})]
    assert front_rows(rows, [BUILT_IN["accuracy"], BUILT_IN["flops"]]) == [0]
    assert front_rows(rows, [BUILT_IN["balanced_accuracy"], BUILT_IN["flops"]]) == [1]


def test_a_search_by_balanced_accuracy_measures_all_three_after_every_epoch(searched):
    with Ledger(searched, read_only=True) as ledger:
        record = ledger.search("rare")
        for trial in ledger.read(reads.trials, record.id):
            assert {"accuracy", "balanced_accuracy", "macro_f1"} <= trial.measurements.keys()
            for _, numbers in ledger.read(reads.curve, trial.id):
                assert {"accuracy", "balanced_accuracy", "macro_f1"} <= numbers.keys()
            assert (trial.facts["validation_classes"], trial.facts["smallest_class"]) == ("2", "3")


def test_a_confirmed_front_has_intervals_and_the_same_score_on_the_test_split(searched, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.run(["front", "rare", "--db", searched, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    confirmed = [row for row in rows if row["seeds"] == 2]
    assert confirmed
    for row in confirmed:
        low, high = row["balanced_accuracy_interval"]
        assert low <= row["balanced_accuracy"] <= high
        assert 0 <= row["test_balanced_accuracy"] <= 1
    assert cli.run(["front", "rare", "--db", searched]) == 0
    assert "test bal. acc." in " ".join(capsys.readouterr().out.split())


def test_seeds_that_agree_on_three_images_give_no_narrow_interval(searched):
    with Ledger(searched, read_only=True) as ledger:
        record = ledger.search("rare")
        step = class_step(ledger, record.id)
        assert read_confidence(ledger, record)
    assert step == pytest.approx(1 / 6)
    same = {"balanced_accuracy": 0.75, "accuracy": 0.75}
    repeats = {0: Repeats(same, {1: same, 2: same, 3: same})}
    intervals = trial_confidence(repeats, {0: same}, ("balanced_accuracy",), step)[0].intervals
    narrow, wide = intervals["accuracy"], intervals["balanced_accuracy"]
    assert narrow[1] - narrow[0] < 0.03
    assert wide[1] - wide[0] > 0.2


@pytest.mark.slow
def test_the_card_of_an_export_has_the_class_means(searched, tmp_path):
    assert cli.run(["export", "rare", str(tmp_path / "out"), "--pick", "best", "--db", searched]) == 0
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "balanced validation accuracy" in card
    assert "test balanced accuracy" in card


@pytest.mark.parametrize("objectives", [[], ["--objectives", "macro_f1,flops"]])
def test_a_search_by_the_class_means_is_replayed(searched, objectives, capsys):
    words = ["replay", "rare", "--samplers", "random,known-cost", "--seeds", "2", "--db", searched, *objectives]
    assert cli.run(words) == 0
    assert "known-cost" in capsys.readouterr().out


@pytest.mark.parametrize("objectives", ["macro_f1,flops", "balanced_accuracy,macro_f1,params"])
def test_the_command_line_takes_both_with_sampler_and_pruner(rare, objectives, tmp_path, capsys):
    words = ["run", "digits", "--data", "npz", "--data-dir", rare.data_dir, "--objectives", objectives]
    words += ["--trials", "3", "--epochs", "2", "--engine", "local", "--pruner", "front-probability", "--set", "ema=0"]
    assert cli.run([*words, "--db", f"sqlite:///{tmp_path}/x.db", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows
    assert all(0 <= row[objectives.split(",")[0]] <= 1 for row in rows)
