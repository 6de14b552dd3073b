"""The code in the model card of an exported network runs as written and computes what the search measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.datasets import random_pixels
from support.exports import network as small_network
from support.exports import prove_in_this_process
from support.fakes import tiny_space

from hybrid_search.data import load
from hybrid_search.data.image_folder.decoding import decode
from hybrid_search.export import export_model, model_card, network_export
from hybrid_search.export.class_results import ClassResults, class_results
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.model_card import image_lines, write_card
from hybrid_search.export.safetensors_format import SAFETENSORS
from hybrid_search.networks.model import build_model
from hybrid_search.objectives import OBJECTIVES, Objective
from hybrid_search.records import Settings
from hybrid_search.spaces.choosers import FixedChoices


def code_of(folder):
    return (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]


def logits_of(code):
    """Run the code in the current folder; return its logits."""
    values = {}
    exec(code, values)
    return values["logits"].detach().numpy()


def test_the_code_of_a_card_reads_a_picture_as_an_image_folder_does(tmp_path, monkeypatch):
    monkeypatch.setattr(network_export, "prove", prove_in_this_process)
    architecture = tiny_space().choose(FixedChoices({}))
    torch.manual_seed(0)
    model = build_model(architecture, 3, 4).eval()
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    origin = {
        "search": "photos", "trial": 0, "seed": 0, "measurements": {"accuracy": 0.5},
        "settings": {"data": "imagefolder"}, "facts": {"device": "cpu", "attention_backend": ""},
    }  # fmt: skip
    export_model(
        model, architecture, tmp_path / "net", input_size=(3, 32, 32), classes=("a", "b", "c", "d"), mean=mean, std=std,
        images=torch.randn(2, 3, 32, 32), origin=origin,
    )  # fmt: skip
    monkeypatch.chdir(tmp_path / "net")
    for name, rows, cols in (("photo.jpg", 300, 200), ("photo.png", 40, 70)):
        smooth = np.kron(random_pixels(1, rows // 10, cols // 10, 3)[0], np.ones((1, 10, 10), np.uint8))
        Image.fromarray(smooth.transpose(1, 2, 0)).save(name)
        pixels = torch.tensor(decode(Path(name), 32)[None]) / 255
        shifted = (pixels - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)
        with torch.inference_mode():
            expected = model(shifted).numpy()
        found = logits_of(code_of(Path()).replace("photo.jpg", name))
        assert np.abs(found - expected).max() < 1e-4, name
    card = Path("README.md").read_text()
    assert "(pixel * scale - mean) / std" in card
    assert "attention_backend" not in card, "a fact without a value"


def test_a_card_of_a_network_with_unknown_statistics_says_so():
    architecture = tiny_space().choose(FixedChoices({}))
    network = TrainedNetwork(torch.nn.Identity(), architecture, (1, 4, 6), ("a", "b"), (), ())
    text = "\n".join(image_lines(network))
    assert "np.zeros((1, 1, 4, 6), np.uint8)" in text
    assert "mean and std are unknown" in text
    values = {}
    exec(text, values)
    assert values["images"].shape == (1, 1, 4, 6)
    assert values["images"].dtype == torch.float32


USE = """
## Use (safetensors)

Run this inside the folder of this file:

```python
import json
from pathlib import Path

import numpy as np
import torch

pixels = np.zeros((1, 2, 12, 20), np.uint8)  # your images, 0 to 255, in the size that the search used

preprocessing = json.loads(Path("architecture.json").read_text(encoding="utf-8"))["preprocessing"]
mean, std = (torch.tensor(preprocessing[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
images = (torch.tensor(pixels) * preprocessing["scale"] - mean) / std

from hybrid_search import load_exported
model = load_exported(".")  # this folder
logits = model(images)  # (n, classes)
```
"""
HEAD = """# Network {digest}

`{text}`

![The network from the image to the logits](architecture.svg)

Input: images of 2 x 12 x 20. Output: logits of 3 classes.
Each pixel, 0 to 255, is normalised as `(pixel * scale - mean) / std`, with scale 1 / 255.
`architecture.json` has scale, mean and std of each channel.
"""
ORIGIN = """
Trial 3 of search 'digits', seed 7: validation accuracy 91.25 %; cost 1,234; spread 0.5.
Means over 2 fresh seeds of this design: accuracy 90.00 %, test accuracy 89.00 %.
Measured with: device cpu, torch 2.13.
Licence of the data: CC0.
"""
INTENDED = """
## Intended use

To classify images like those it was trained on. The classes are {classes}.
The network gives one of these classes to every image, also to one that shows something else. Not checked are
its accuracy on images of another camera, place or time, and whether its probabilities are calibrated.
Measure it on labelled images of your own: `hybrid-search predict FOLDER IMAGES --evaluate`.
"""


def card(tmp_path, monkeypatch, origin, image_source, packages=None):
    trained = replace(small_network(), origin=origin)
    monkeypatch.setattr(model_card, "plugin_packages", lambda network: packages or {})
    write_card(tmp_path, trained, [SAFETENSORS], image_source)
    head = HEAD.format(digest=trained.architecture.digest, text=trained.architecture)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    tail = INTENDED.format(classes=", ".join(trained.classes)) + USE
    assert text.startswith(head)
    assert text.endswith(tail)
    return text[len(head) : -len(tail)]


def test_a_card_has_the_origin_of_the_network(tmp_path, monkeypatch):
    own = Objective("spread", "minimize")
    origin = {
        "search": "digits", "trial": 3, "seed": 7, "data_licence": "CC0",
        "measurements": {"accuracy": 0.9125, "params": 1234, "spread": 0.5, "of a plugin that is absent": 1.0},
        "own_objectives": [own.to_dict()],
        "confirmed": {"seeds": 2, "means": {"accuracy": 0.9, "test_accuracy": 0.89, "loss": 0.1}},
        "facts": {"device": "cpu", "gpu": "", "torch": "2.13"},
        "unknown": ["class names", "licence of the data"],
    }  # fmt: skip
    found = card(tmp_path, monkeypatch, origin, "images drawn from seed 0", {"swin": "swin-package 1.2"})
    expected = ORIGIN.replace("cost 1,234", f"{OBJECTIVES['params'].label} {OBJECTIVES['params'].text(1234)}")
    expected = expected.replace("spread 0.5", f"{own.label} {own.text(0.5)}")
    assert found == (
        "\n`swin` comes from the package swin-package 1.2. Install that package before you load the network.\n"
        f"{expected}"
        "Unknown: class names, licence of the data. They were not stored with the search, and its data was not there.\n"
        "Proof: the logits were compared on images drawn from seed 0, because the data of the trial was not there.\n"
    )


def test_a_card_of_a_network_of_unknown_origin_is_short(tmp_path, monkeypatch):
    assert card(tmp_path, monkeypatch, {}, "images") == ""
    least = {"search": "digits", "trial": 0, "seed": 0}
    for origin, first in ((least, "Trial 0 of search 'digits', seed 0"), ({"note": "mine"}, "Measurements")):
        assert card(tmp_path, monkeypatch, origin, "validation images") == (
            f"\n{first}: none stated.\nMeasured with: not stated.\nLicence of the data: not stated.\n"
        )


PICTURE = """import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

picture = Image.open("photo.jpg")  # your picture; 8 bits a channel, without transparent pixels
picture.draft("RGB", (20, 12))  # a large JPEG is decoded at a fraction of its size
picture = ImageOps.exif_transpose(picture).convert("RGB")
picture = ImageOps.fit(picture, (20, 12), Image.Resampling.BILINEAR)  # scaled and cropped
pixels = np.asarray(picture).transpose(2, 0, 1)[None]  # (n, channels, rows, columns), 0 to 255
images = torch.tensor(pixels) / 255  # mean and std are unknown; subtract and divide here
"""


def test_the_lines_of_a_card_read_a_picture_of_an_image_folder():
    trained = replace(small_network(), origin={"settings": {"data": "imagefolder"}}, mean=(), std=())
    assert "\n".join(image_lines(trained)) == PICTURE


def results(**more):
    return ClassResults(**{"images": (4, 0, 8), "correct": (3, 0, 8), "predicted": (3, 0, 9), "of": 12, **more})


def card_text(tmp_path, classes=("cat", "fox", "ship"), **more):
    write_card(tmp_path, replace(small_network(), classes=classes, **more), [SAFETENSORS], "validation images")
    return (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_card_has_the_accuracy_of_every_class_with_its_interval_the_weakest_first(tmp_path):
    text = card_text(tmp_path, validation=results())
    assert "Of 12 validation images, 11 are classified correctly: 91.67 % (95 % interval 64.61 % to 98.51 %)." in text
    table = text.split("## Accuracy by class")[1].split("## ")[0].strip().splitlines()
    assert table[-4:] == [
        "| cat | 4 | 75.00 % | 30.06 % to 95.44 % | 100.00 % |",
        "| ship | 8 | 100.00 % | 67.56 % to 100.00 % | 88.89 % |",
        "",
        "Without a validation image: 1 of 3 classes.",
    ]


def test_a_card_says_that_its_classes_were_scored_on_a_part_of_the_images(tmp_path):
    assert "Of 12 validation images (drawn at random from 50,000), 11 are" in card_text(
        tmp_path, validation=results(of=50_000)
    )


def test_a_card_lists_the_weakest_of_many_classes_only(tmp_path):
    count = 60
    many = ClassResults((2,) * count, (2,) * 59 + (0,), (2,) * 59 + (0,), 2 * count)
    text = card_text(tmp_path, tuple(f"c{i}" for i in range(count)), validation=many)
    table = text.split("## Accuracy by class")[1].split("## ")[0]
    assert table.count("\n| c") == 50 + 1  # and the head of the table
    assert "| c59 | 2 | 0.00 % | 0.00 % to 65.76 % | never named |" in table
    assert "10 classes with higher shares are left out." in table


def test_names_of_classes_break_no_table_and_hide_no_text(tmp_path):
    names = ("a|b\n# c", "<script>alert(1)</script>", "ab\u202ecd`*_")
    text = card_text(tmp_path, names, validation=results())
    assert "| a\\|b\\\\u000a\\# c | 4 |" in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\u202e" not in text
    assert "ab\\\\u202ecd\\`\\*\\_" in text


def test_a_card_shows_a_drawing_of_the_network(tmp_path):
    assert "](architecture.svg)" in card_text(tmp_path)
    drawing = (tmp_path / "architecture.svg").read_text(encoding="utf-8")
    assert drawing.startswith("<svg ")
    assert "convolution" in drawing
    assert "<script" not in drawing


def test_the_results_of_classes_are_those_of_the_network_on_the_validation_images(monkeypatch):
    data = load(Settings(data="digits"))
    architecture = tiny_space().choose(FixedChoices({}))
    torch.manual_seed(0)
    model = build_model(architecture, data.input_size[0], len(data.classes)).eval()
    mean, std = (torch.tensor(each).float().view(1, -1, 1, 1) for each in (data.mean, data.std))
    with torch.inference_mode():
        answers = model((torch.tensor(data.validation.images).float() / 255 - mean) / std).argmax(1).numpy()
    found = class_results(model, architecture, data, data.mean, data.std)
    labels = data.validation.labels
    assert found.images == tuple(np.bincount(labels, minlength=10))
    assert found.correct == tuple(np.bincount(labels[labels == answers], minlength=10))
    assert found.predicted == tuple(np.bincount(answers, minlength=10))
    assert found.accuracy()[1] == pytest.approx((labels == answers).mean())
    monkeypatch.setattr("hybrid_search.export.class_results.MOST_FLOPS", 1)
    part = class_results(model, architecture, data, data.mean, data.std)
    assert (part.total, part.of) == (256, len(labels))
