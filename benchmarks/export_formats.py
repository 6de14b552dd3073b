"""Write every format of four networks and print the proofs: `python benchmarks/export_formats.py [NAME...]`.

The weights are random, with the statistics of random images in batch norm; the classifier is scaled so that the logits
have a deviation of about 1. The proof uses 256 random images (64 at 224 pixels with `--images 64`).
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch

from hybrid_search.export import TrainedNetwork, export_network
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import build_model
from hybrid_search.networks.references import reference

CONV = {"kind": "conv3x3", "width": 16}
NETWORKS = {
    "digits": (
        {
            "stem": CONV,
            "stages": [
                {"operator": "conv", "depth": 1, "width": 16, "stride": 2},
                {"operator": "local_attention", "depth": 1, "width": 32, "stride": 2, "extent": 5, "heads": 4},
            ],
        },
        (1, 16, 16),
        10,
    ),
    "fashion-mnist": (
        {
            "stem": CONV,
            "stages": [
                {"operator": "conv", "depth": 1, "width": 16, "stride": 1},
                {"operator": "local_attention", "depth": 2, "width": 32, "stride": 2, "extent": 7, "heads": 4},
                {"operator": "global_attention", "depth": 1, "width": 64, "stride": 2, "heads": 4},
            ],
        },
        (1, 28, 28),
        10,
    ),
    "hybrid-50-CCAA": ("hybrid-50-CCAA", (3, 224, 224), 1000),
    "sasa-26-full": ("sasa-26-full", (3, 224, 224), 1000),
}


def trained(name):
    """Return a network with random weights."""
    described, size, classes = NETWORKS[name]
    architecture = reference(described) if isinstance(described, str) else Architecture.from_dict(described)
    torch.manual_seed(0)
    model = build_model(architecture, size[0], classes).train()
    with torch.no_grad():
        for _ in range(2):
            model(torch.randn(4, *size))
        model.eval()
        features = model.forward_head(model.forward_features(torch.randn(8, *size)), pre_logits=True)
        torch.nn.init.normal_(model.head.weight, std=1 / features.norm(dim=1).mean().item())
    names = tuple(f"class {number}" for number in range(classes))
    return TrainedNetwork(model, architecture, size, names, (0.5,) * size[0], (0.25,) * size[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--format", default="all")
    options = parser.parse_args()
    for name in options.names:
        network = trained(name)
        images = torch.randn(options.images, *network.input_size)
        for each in (
            "safetensors,timm,onnx,pt2,openvino,litert,executorch" if options.format == "all" else options.format
        ).split(","):
            start = time.time()
            with tempfile.TemporaryDirectory() as scratch:
                try:
                    (proof,) = export_network(network, Path(scratch) / "net", images, [each], image_source="images")
                except Exception as error:
                    print(f"| {name} | {each} | {error} |", flush=True)
                    continue
                files = [path for path in proof.folder.iterdir() if path.name.startswith("model")]
                size = sum(os.path.getsize(path) for path in files) / 1e6
            print(
                f"| {name} | {each} | {proof.max_difference:.2g} | {100 * proof.equal_answers:.0f} % "
                f"| {proof.images} | "
                f"{size:.1f} | {time.time() - start:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
