"""The shipped spaces for a folder of photographs."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hybrid_search import Ledger, cost, load_space
from hybrid_search.ledger import reads
from hybrid_search.networks.references import reference
from hybrid_search.spaces.known_designs import known_designs

README = Path(__file__).parent.parent / "README.md"


def record(space, pixels, max_flops):
    return SimpleNamespace(
        space=space.to_dict(), name=space.name, input_size=(3, pixels, pixels), classes=4, max_flops=max_flops,
        max_params=None, image_sizes=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pixels", "max_flops", "first"),
    [(32, 8e6, "resnet-basic-16"), (64, 40e6, "nearest to resnet-basic"), (128, 200e6, None)],
)
def test_a_search_of_photographs_begins_with_networks_that_people_use(pixels, max_flops, first):
    space = load_space(f"photos-{pixels}")
    assert space.settings.image_size == pixels
    found = known_designs(record(space, pixels, max_flops), space)
    assert all(cost(each.architecture, (3, pixels, pixels), 4).flops <= max_flops for each in found)
    assert {"all convolution", "all attention"} <= {each.name for each in found}
    if first is not None:
        assert found[0].name.startswith(first)


def test_the_basic_resnet_of_6_mflops_is_a_design_of_photos_32():
    space = load_space("photos-32")
    digests = {each.architecture.digest for each in known_designs(record(space, 32, 8e6), space)}
    assert reference("resnet-basic-16").digest in digests


@pytest.mark.slow
def test_the_line_of_the_readme_searches_a_folder_of_photographs(tmp_path):
    (line,) = [each for each in README.read_text().splitlines() if "run photos-32" in each]
    rng = np.random.default_rng(0)
    for name, level in (("cat", 60), ("ship", 190)):
        folder = tmp_path / "photos" / "train" / name
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(rng.normal(level, 40, (40, 36, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    command, *words = line.split()
    assert command == ".venv/bin/hybrid-search"
    subprocess.run([sys.executable, "-m", "hybrid_search", *words, "--trials", "4", "--epochs", "2"], check=True)
    with Ledger(read_only=True) as ledger:
        trials = ledger.read(reads.trials, ledger.search("photos").id)
    assert [trial.state for trial in trials].count("complete") == 4
    assert all(trial.measurements["flops"] <= 8e6 for trial in trials if trial.state == "complete")
