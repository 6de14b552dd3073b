"""The code in the model card of an exported network runs as written and computes what the search measured."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from support.datasets import random_pixels
from support.fakes import tiny_space

from hybrid_search.data.image_folder.decoding import decode
from hybrid_search.export import export_model
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.model_card import image_lines
from hybrid_search.networks.model import build_model
from hybrid_search.spaces.choosers import FixedChoices


def code_of(folder):
    return (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]


def logits_of(code):
    """Run the code in the current folder; return its logits."""
    values = {}
    exec(code, values)
    return values["logits"].detach().numpy()


def test_the_code_of_a_card_reads_a_picture_as_an_image_folder_does(tmp_path, monkeypatch):
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
