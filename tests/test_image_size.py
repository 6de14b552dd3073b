"""Image size as a choice of a space: costs, data, training, confirmation and export are those of each design's size."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.analysis.baseline_results import read_baselines
from hybrid_search.charts.front import read_front
from hybrid_search.charts.front_figure import front_figure
from hybrid_search.charts.theme import LIGHT
from hybrid_search.dashboard.columns import table_columns, table_row
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.data import DATASETS, load
from hybrid_search.data.dataset import Contents, Part, Source
from hybrid_search.errors import ArchitectureError, DataError, LedgerError, SettingsError, SpaceError
from hybrid_search.export import export_model, export_trial, load_exported
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.baseline_rows import baseline_trainings
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import cost, explain, simplified_for, total_cost
from hybrid_search.networks.model import build_model
from hybrid_search.networks.references import reference
from hybrid_search.networks.stems import make_stem
from hybrid_search.networks.stored_architecture import readable_line
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.baseline import baseline
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.known_designs import known_designs
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.training.evaluation import evaluate

SIZES = [8, 12]
LOCAL = {"resources": Resources("local")}
PLAIN = Architecture(
    make_stem("conv3x3", {"width": 8}),
    (Stage("conv", 1, 16), Stage("local_attention", 1, 16, 2, {"extent": 5, "heads": 2})),
)


def sized(sizes=SIZES, **more):
    return tiny_space(name="sized", image_size=sizes, **more)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return settings of an npz file with non-square images of three classes: a bright row that differs by class."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 3
    pixels = rng.integers(0, 120, (120, 1, 20, 14), dtype=np.uint8)
    for pixel, label in zip(pixels, labels, strict=True):
        pixel[0, 6 * label : 6 * label + 4] += 120
    path = tmp_path_factory.mktemp("images") / "rows.npz"
    np.savez(path, x_train=pixels, y_train=labels)
    return Settings(data="npz", data_dir=str(path), epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, images):
    """Return the ledger of a search with ten networks, trained on images of two sizes in two runs."""
    with Ledger(f"sqlite:///{tmp_path_factory.mktemp('sized')}/l.db") as opened:
        for total in (6, 10):
            run(sized(), trials=total, ledger=opened, settings=images, **LOCAL)
        yield opened


def trials_of(ledger):
    return ledger.read(reads.trials, ledger.search().id)


# -- architectures and costs --


@pytest.mark.parametrize("side", [8, 32])
def test_the_cost_of_a_design_with_a_size_is_that_of_the_plain_design_at_this_size(side):
    own = replace(PLAIN, image_size=side)
    assert cost(own, (3, 224, 160), 10) == cost(PLAIN, (3, side, side), 10)
    assert total_cost(own, (3, 20, 14), 10) == total_cost(PLAIN, (3, side, side), 10)
    assert explain(own, (3, 20, 14)) == explain(PLAIN, (3, side, side))


def test_an_extent_beyond_the_map_is_reduced_at_the_size_of_the_design_only():
    large, small = (simplified_for(replace(PLAIN, image_size=side), (3, 64, 64)).stages[1].options for side in (16, 2))
    assert dict(large)["extent"] == 5
    assert dict(small).get("extent") != 5


def test_a_design_without_a_size_keeps_its_digest_and_two_sizes_are_two_designs():
    assert reference("resnet-basic-16").digest == "48f94aef5266d4c8"
    assert "image_size" not in PLAIN.to_dict()
    sizes = [replace(PLAIN, image_size=side) for side in (None, *SIZES)]
    assert len({each.digest for each in sizes}) == 3
    assert [Architecture.from_dict(each.to_dict()) for each in sizes] == sizes
    assert str(sizes[1]) == readable_line(sizes[1].to_dict()) == f"8x8 images | {PLAIN}"


def test_the_line_of_a_design_whose_plugin_is_absent_has_its_size_too():
    stages = [{"operator": "absent", "depth": 1, "width": 8}]
    plain = {"stem": {"kind": "conv3x3", "width": 8}, "stages": stages, "image_size": 24}
    assert readable_line(plain).startswith("24x24 images | conv3x3")


@pytest.mark.parametrize("wrong", [0, -8, 2.5, True, "many", 100_001, [8]])
def test_a_wrong_size_of_a_stored_design_is_refused(wrong):
    with pytest.raises(ArchitectureError, match="image_size must be"):
        Architecture.from_dict({**PLAIN.to_dict(), "image_size": wrong})


# -- spaces --


def test_the_size_is_the_first_parameter_and_part_of_the_digest_of_the_space():
    space, plain = sized(), tiny_space()
    assert space.size() == 2 * plain.size() == len({each.digest for each in space.enumerate()})
    chooser = FixedChoices({"image_size": 12})
    assert space.choose(chooser).image_size == 12
    assert next(iter(chooser.params)) == "image_size"
    assert SearchSpace.from_dict(space.to_dict()).digest == space.digest != plain.digest
    assert "image_size" not in plain.to_dict()


def test_one_size_is_no_parameter_and_every_design_has_it():
    space = sized(8)
    assert {architecture.image_size for architecture in space.enumerate()} == {8}
    assert space.size() == tiny_space().size()


STEMS = {"attention": {}, "conv3x3": {"width": 8}}
TWO = [{"depth": 1, "width": 8, "stride": stride, "operator": ["conv"]} for stride in (2, 4)]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"image_size": 0}, "image_size must be a whole number from 1 up; got 0."),
        ({"image_size": []}, "image_size must have at least one choice; got none."),
        ({"image_size": [8, 8]}, "image_size must have choices that differ from each other; got 8 twice."),
        ({"image_size": "8, 12"}, r"image_size must be a whole number from 1 up; got '8, 12'. Use \[8, 12\]."),
        ({"image_size": [8, 100_001]}, r"image_size\[1\] must be a whole number from 1 to 100,?000; got 100001."),
        (
            {"image_size": [8, 14], "stem": STEMS},
            r"image_size\[1\] must be a size that stem attention can take; got 14.",
        ),
        (
            {"image_size": [16, 6], "stages": TWO},
            r"image_size\[1\] must be at least 8, the stride 1 of stem conv3x3 width=8 x the strides 2 x 4 of the",
        ),
        (
            {"image_size": list(range(8, 1200)), "stem": {"conv3x3": {"width": list(range(8, 100))}}},
            "image_size must have at most 100,000 combinations with the options of the stems; got 109,664.",
        ),
        (
            {"image_size": SIZES, "settings": {"image_size": 8}},
            "image_size must be a key of the space or of its settings, not of both; got 8, 12 in the space and 8",
        ),
    ],
)
def test_a_wrong_size_in_a_space_is_one_line_that_names_the_combination(keys, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict({**tiny_space().to_dict(), **keys})


def test_a_size_in_the_settings_and_in_the_space_is_refused():
    with pytest.raises(SettingsError, match=r"got 9, and space sized offers 8, 12\. Leave it out of the settings"):
        SearchSpec.create(sized(), trials=1, settings=Settings(image_size=9))


def test_a_search_has_the_largest_size_and_its_cost_is_that_of_the_design():
    spec = SearchSpec.create(sized(), trials=1)
    assert (spec.input_size, spec.settings.image_size, spec.record.image_sizes) == ((1, 12, 12), 12, (8, 12))
    small, large = (spec.architecture(FixedChoices({"image_size": side})) for side in SIZES)
    assert spec.cost(small)["flops"] < spec.cost(large)["flops"]
    assert spec.cost(large)["flops"] == total_cost(large, (1, 12, 12), 10)[0]


def test_a_budget_that_only_small_images_meet_reduces_the_known_designs():
    spec = SearchSpec.create(sized(), trials=1, max_flops=200_000)
    assert {each.architecture.image_size for each in spec.known_designs()} == {8}
    free = SearchSpec.create(sized(), trials=1)
    assert {each.architecture.image_size for each in known_designs(free.record)} == {12}


def test_a_reference_among_the_known_designs_has_the_largest_size():
    stages = [{"depth": 1, "width": [width, 2 * width], "operator": ["conv"]} for width in (8, 16, 32)]
    stages = [{**stage, "stride": stride} for stage, stride in zip(stages, (1, 2, 2), strict=True)]
    space = sized(stages=stages, block=["basic"], stem={"conv3x3": {"width": [8, 16], "stride": 2}})
    names = {each.name: each.architecture for each in known_designs(SearchSpec.create(space, trials=1).record)}
    assert names["resnet-basic-16"] == replace(reference("resnet-basic-16"), image_size=12)


# -- data and training --


def test_data_that_does_not_resize_is_refused(monkeypatch):
    monkeypatch.setattr(DATASETS, "_registered", {})
    pixels, labels = np.zeros((30, 1, 20, 14), np.uint8), np.arange(30) % 3
    fixed = Contents((1, 20, 14), ("a", "b", "c"), Part.from_arrays(pixels, labels))
    DATASETS.register("fixed", Source("fixed", "images of one size", "public domain", lambda settings: fixed))
    with pytest.raises(DataError, match=r"data fixed resizes its images; got 12\. It states images of 20x14 pixels"):
        SearchSpec.create(sized(data="fixed"), trials=1)


def test_a_design_trains_at_its_own_size_or_is_refused(images):
    own = replace(PLAIN, image_size=8)
    (report,) = evaluate(own, images)
    assert report.measurements["flops"] == cost(PLAIN, (1, 8, 8), 3).flops
    with pytest.raises(SettingsError, match="image_size must be that of the network, 8; got 12"):
        next(evaluate(own, images.with_(image_size=12)))


def test_every_trial_is_trained_on_images_of_its_size(trained, images):
    trials = trials_of(trained)
    assert {trial.settings["image_size"] for trial in trials} == set(SIZES)
    for trial in trials:
        side = trial.architecture["image_size"]
        assert side == trial.settings["image_size"] == trial.choices["image_size"]
        assert trial.facts["fingerprint"] == load(images.with_(image_size=side)).fingerprint
        assert trial.measurements["flops"] == cost(Architecture.from_dict(trial.architecture), (1, 1, 1), 3).flops


def test_a_search_that_was_resumed_proposes_what_an_uninterrupted_one_proposes(trained, images, tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/other.db") as other:
        run(sized(), trials=10, ledger=other, settings=images, **LOCAL)
        assert [trial.digest for trial in trials_of(other)] == [trial.digest for trial in trials_of(trained)]


def test_other_images_are_refused_when_the_search_continues(trained, images, tmp_path):
    assert trained.read(reads.fingerprints, trained.search().id).keys() == set(SIZES)
    with np.load(images.data_dir) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["x_train"][:, :, 0] = 255
    np.savez(tmp_path / "other.npz", **changed)
    moved = images.with_(data_dir=str(tmp_path / "other.npz"))
    with pytest.raises(LedgerError, match=r"npz had fingerprint \w{16} at image size 8, here it has"):
        run(sized(), trials=11, ledger=trained, settings=moved, **LOCAL)


def test_a_worker_with_other_images_of_a_size_is_found(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        search = open_search(SearchSpec.create(sized(), trials=4), ledger)
        data = search._state.data
        first = search.ask()
        second = replace(first, settings=first.settings.with_(image_size=8))
        data.check({"fingerprint": "a"}, replace(first, settings=first.settings.with_(image_size=12)))
        data.check({"fingerprint": "b"}, second)
        with pytest.raises(LedgerError, match=r"had fingerprint b at image size 8, trial 0 saw c on host:1"):
            data.check({"fingerprint": "c", "worker": "host:1"}, second)


# -- after the search --


@pytest.mark.usefixtures("_proof_in_this_process")
def test_an_export_has_the_size_of_its_design(trained, tmp_path, capsys):
    stored = {one.number for one in trained.read(reads.trials_with_weights, trained.search().id)}
    trials = trials_of(trained)
    trial = next(trial for trial in trials if trial.number not in stored and trial.architecture["image_size"] == 8)
    lines = []
    (proof,) = export_trial(trained, None, tmp_path / "net", str(trial.number), notice=lines.append)
    assert any("training it again" in line for line in lines)
    description = json.loads((tmp_path / "net" / "architecture.json").read_text())
    assert description["input_size"] == [1, 8, 8]
    assert description["origin"]["measurements"]["accuracy"] == trial.measurements["accuracy"]
    assert (proof.images, proof.max_difference) == (24, 0.0)
    assert load_exported(tmp_path / "net")(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    capsys.readouterr()
    assert cli.run(["cost", str(tmp_path / "net")]) == 0
    assert "at 1x8x8, 3 classes" in capsys.readouterr().out


def test_an_export_of_another_size_than_that_of_the_design_is_refused(tmp_path):
    more = {"classes": ("a", "b"), "mean": (0.5,), "std": (0.5,), "images": torch.zeros(2, 1, 12, 12)}
    model = build_model(PLAIN, 1, 2)
    with pytest.raises(SettingsError, match="input_size must be that of the architecture, 1x8x8; got 1x12x12"):
        export_model(model, replace(PLAIN, image_size=8), tmp_path / "net", input_size=(1, 12, 12), **more)


def test_a_confirmation_trains_and_tests_each_design_at_its_size(trained, images):
    confirmation = confirm(ledger=trained, seeds=1, trials=3, **LOCAL)
    repeats = trained.read(reads.repeats, trained.search().id, confirmed=True)
    values = [values for number in repeats for values in repeats[number].fresh.values()]
    assert confirmation.done == len(values) == 3
    assert all(0 <= each["test_accuracy"] <= 1 for each in values)
    (opening,) = trained.read(reads.openings, trained.search().id)
    assert opening.images == len(load(images).validation)


def test_a_baseline_is_trained_at_the_largest_size(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        run(sized(), trials=3, ledger=ledger, evaluate=scored(), **LOCAL)
        baseline(None, ["resnet-basic-8"], ledger=ledger, evaluate=scored(), **LOCAL)
        (training,) = ledger.read(baseline_trainings, ledger.search().id)
        assert training.network["image_size"] == training.settings["image_size"] == 12
        (result,) = read_baselines(ledger, ledger.search())
        assert result.values["flops"] == cost(reference("resnet-basic-8"), (1, 12, 12), 10).flops
        assert baseline(None, ["resnet-basic-8"], ledger=ledger, evaluate=scored(), **LOCAL).total == 0


def test_front_cost_and_page_show_the_size(trained, capsys):
    url = str(trained.url)
    assert cli.run(["front", "--db", url, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["image_size"] for row in rows} <= set(SIZES)
    assert all(row["architecture"]["image_size"] == row["image_size"] for row in rows)
    assert cli.run(["cost", "sized/0", "--db", url]) == 0
    side = trials_of(trained)[0].architecture["image_size"]
    assert f"at 1x{side}x{side}, 3 classes" in capsys.readouterr().out
    assert cli.run(["cost", "sized/0", "--input", "20", "--db", url]) == 0
    assert "at 1x20x20, 3 classes" in capsys.readouterr().out
    snapshot = Snapshot(url)
    view = snapshot.view(trained.search())
    assert "image_size" in [column["field"] for column in table_columns(view.search, view.axes)]
    assert all(table_row(view, number)["image_size"] in SIZES for number in view.points)
    snapshot.close()
    figure = front_figure(read_front(trained, trained.search()), LIGHT)
    assert "12x12 images" in figure.to_json()


def test_the_command_space_shows_the_sizes(tmp_path, capsys):
    (tmp_path / "sized.yaml").write_text(json.dumps(sized([12, 8]).to_dict()))
    assert cli.run(["space", "sized.yaml", "--format", "json"]) == 0
    (facts,) = json.loads(capsys.readouterr().out)
    assert facts["images"] == "1x8x8, 1x12x12"
    assert facts["parameters"]["image_size"] == [12, 8]
    assert facts["smallest_design"].startswith("8x8 images")
    assert facts["largest_design"].startswith("12x12 images")
