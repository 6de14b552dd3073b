"""`predict`: image files classified by an exported folder, as the search classified them."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.image_folders import write_folder

from hybrid_search import Architecture, DataError, SettingsError, Stage, build_model, cli, export_model
from hybrid_search.charts.confusion_picture import CELL, GAP, RIGHT, WRONG, _mixed, confusion_picture
from hybrid_search.data import load
from hybrid_search.export.prediction import Classifier, find_images
from hybrid_search.networks.stems import make_stem
from hybrid_search.training.loop import score
from hybrid_search.training.retraining import load_test_split

ARCHITECTURE = Architecture(make_stem("conv3x3", {"width": 8}), (Stage("conv", 1, 8),))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    root = tmp_path_factory.mktemp("photographs")
    return root, write_folder(root, splits=("train", "test"), count=6)


@pytest.fixture(scope="module")
def trained(photographs):
    """Return a network of 8 x 8 images, and its data. It has learnt which channel is bright."""
    settings = photographs[1]
    dataset = load(settings)
    torch.manual_seed(0)
    model = build_model(ARCHITECTURE, dataset.input_size[0], len(dataset.classes))
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(12):
        images = normalised(dataset.train.images, dataset)
        loss = torch.nn.functional.cross_entropy(model(images), torch.from_numpy(dataset.train.labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval(), dataset


def normalised(images, dataset):
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    return (torch.from_numpy(np.array(images)) / 255 - mean) / std


@pytest.fixture(scope="module")
def exported(trained, photographs, tmp_path_factory):
    model, dataset = trained
    folder = tmp_path_factory.mktemp("exported") / "net"
    export_model(
        model, ARCHITECTURE, folder, input_size=dataset.input_size, classes=dataset.classes, mean=dataset.mean,
        std=dataset.std, images=normalised(dataset.train.images, dataset), formats=("safetensors", "onnx"),
        origin={"settings": photographs[1].to_dict()},
    )  # fmt: skip
    return folder


def printed(capsys, *words):
    code = cli.run(["predict", *map(str, words)])
    return code, capsys.readouterr()


def test_images_are_classified_as_the_network_classifies_the_test_split(trained, photographs, exported):
    model, dataset = trained
    test = load_test_split(photographs[1])
    own = torch.softmax(model(normalised(test.images, dataset)), 1)
    predictions = list(Classifier(exported).predict(find_images([photographs[0] / "test"], dataset.classes), top=2))
    assert [each.label for each in predictions] == [dataset.classes[label] for label in test.labels]
    for each, probabilities in zip(predictions, own.tolist(), strict=True):
        assert dict(each.top) == pytest.approx(dict(zip(dataset.classes, probabilities, strict=True)), abs=1e-5)
        assert each.top[0][1] >= each.top[1][1]


def test_evaluate_gives_the_accuracy_that_the_trainer_measures_on_the_test_split(
    trained, photographs, exported, capsys
):
    model, dataset = trained
    code, out = printed(capsys, exported, photographs[0] / "test", "--evaluate", "--format", "json")
    (document,) = json.loads(out.out)
    assert code == 0
    measured = score(model, load_test_split(photographs[1]), dataset, photographs[1])
    assert document["accuracy"] == pytest.approx(measured.accuracy)
    assert document["images"] == 12
    assert sum(map(sum, document["confusion"])) == 12
    code, out = printed(capsys, exported, photographs[0] / "test", "--evaluate")
    assert f"accuracy {100 * measured.accuracy:.2f} %" in out.out
    code, out = printed(capsys, exported, photographs[0] / "test", "--evaluate", "--format", "csv")
    assert [row["true class"] for row in csv.DictReader(io.StringIO(out.out))] == ["cat", "dog"]


def test_every_format_of_the_folder_says_the_same(photographs, exported, capsys):
    answers = []
    for runtime in ("safetensors", "onnx"):
        code, out = printed(
            capsys, exported, photographs[0] / "test", "--top", 2, "--runtime", runtime, "--format", "csv"
        )
        assert code == 0
        answers.append(list(csv.DictReader(io.StringIO(out.out))))
    for one, other in zip(*answers, strict=True):
        assert (one["image"], one["rank"], one["class"]) == (other["image"], other["rank"], other["class"])
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), abs=1e-4)


def test_a_broken_image_is_named_counted_and_left_out(photographs, exported, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    whole = next((photographs[0] / "test" / "cat").iterdir())
    code, out = printed(capsys, exported, tmp_path / "broken.jpg", whole, "--format", "json")
    assert code == 0
    assert [row["image"] for row in json.loads(out.out)] == [str(whole)]
    assert "left out: " in out.err
    assert "broken.jpg" in out.err
    code, out = printed(capsys, exported, tmp_path / "broken.jpg")
    assert code == 2
    assert "at least one image that can be read" in out.err
    assert out.out == ""


def test_without_pillow_one_line_says_what_to_install(exported, monkeypatch, capsys):
    monkeypatch.setattr("hybrid_search.data.image_folder.decoding.find_spec", lambda name: None)
    code, out = printed(capsys, exported, "x.png")
    assert code == 2
    assert (
        "image files need Pillow, which is not installed. Install it: pip install 'hybrid-search[images]'." in out.err
    )
    assert len(out.err.splitlines()) == 1


def test_a_grey_network_reads_colour_pictures(tmp_path):
    model = build_model(ARCHITECTURE, 1, 2).eval()
    export_model(
        model, ARCHITECTURE, tmp_path / "grey", input_size=(1, 8, 8), classes=("dark", "light"), mean=(0.5,),
        std=(0.25,), images=torch.zeros(4, 1, 8, 8),
    )  # fmt: skip
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "grey.png")
    (prediction,) = Classifier(tmp_path / "grey").predict(find_images([tmp_path / "grey.png"]), top=2)
    expected = torch.softmax(model(torch.full((1, 1, 8, 8), (90 / 255 - 0.5) / 0.25)), 1)[0]
    assert dict(prediction.top)["dark"] == pytest.approx(expected[0].item(), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-folder", "x.png"], "an exported network must be a folder"),
        (["EXPORTED", "x.png"], "images must be files or folders that exist; x.png does not"),
        (["EXPORTED", "EMPTY"], "there must be at least one image; found none in"),
        (["EXPORTED", "TEST", "--runtime", "onx"], "--runtime must be a format of net, one of safetensors, onnx"),
        (["EXPORTED", "TEST", "--top", "0"], "--top must be at least 1; got 0"),
        (["EXPORTED", "TEST/cat", "--evaluate"], "has no folder"),
        (["EXPORTED", "TEST", "--confusion", "a.png"], "needs labelled images; got no --evaluate"),
        (["EXPORTED", "TEST", "--evaluate", "--confusion", "a.svg"], "must be a .png file; got a.svg"),
        (["EXPORTED", "PARENT", "--evaluate"], "must be one of cat, dog"),
    ],
)
def test_a_wrong_argument_is_one_line(words, message, photographs, exported, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    places = {"EXPORTED": exported, "EMPTY": "empty", "PARENT": photographs[0]}
    test = photographs[0] / "test"
    typed = [str(places.get(word, word)).replace("TEST", str(test)) for word in words]
    code, out = printed(capsys, *typed)
    assert code == 2
    assert message in out.err
    assert len(out.err.strip().splitlines()) == 1
    assert out.out == ""


def test_a_pt2_file_is_not_loaded_because_torch_would_run_its_code(exported, tmp_path):
    import shutil

    copy = shutil.copytree(exported, tmp_path / "net")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["proof"] = {"pt2": {}, **manifest["proof"]}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert Classifier(copy).runtime == "safetensors"
    with pytest.raises(SettingsError, match=r"must not load pt2.*net has pt2, safetensors, onnx"):
        Classifier(copy, "pt2")


def test_a_damaged_folder_and_a_network_of_other_images_are_refused(exported, tmp_path):
    import shutil

    from support.exports import write_export

    copy = shutil.copytree(exported, tmp_path / "copy")
    (copy / "model.safetensors").write_bytes(b"x")
    with pytest.raises(DataError.__mro__[1], match="must not be changed"):
        Classifier(copy)
    with pytest.raises(Exception, match="must have the proof of a format"):
        Classifier(write_export(tmp_path / "unproven"))
    with pytest.raises(SettingsError, match="must be a format of net"):
        Classifier(exported, "openvino")


def test_the_confusion_matrix_is_drawn_as_a_picture_whose_shades_are_shares(photographs, exported, tmp_path, capsys):
    file = tmp_path / "confusion.png"
    assert printed(capsys, exported, photographs[0] / "test", "--evaluate", "--confusion", file)[0] == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    picture = confusion_picture([[8, 2], [0, 4]], ["cat", "dog"], "14 images").convert("RGB")
    colours = {colour: count for count, colour in picture.getcolors(1 << 16)}
    cell = (CELL - GAP) ** 2
    for colour, share in ((RIGHT, 0.8), (WRONG, 0.2), (RIGHT, 1.0)):
        assert 0.7 * cell < colours[_mixed(colour, share)] <= cell


@pytest.mark.parametrize("count", [2, 41, 1000])
def test_the_picture_of_any_number_of_classes_has_a_size_that_viewers_open(count):
    names = [f"a class with a long name, number {index}\n\u202e" for index in range(count)]
    picture = confusion_picture([[1] * count] * count, names, "x" * 300)
    assert picture.width < 9000
    assert picture.height < 9000
