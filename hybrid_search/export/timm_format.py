"""The format `timm`: model.safetensors and config.json, as `timm.create_model("local-dir:OUT")` reads them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import UserError
from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.safetensors_format import SAFETENSORS, WEIGHTS

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config.json"


class TimmFormat:
    """The layout of a folder of timm and of the Hugging Face Hub. `import hybrid_search` registers the network."""

    name = "timm"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.safetensors and config.json.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: timm is not installed, or the preprocessing of the network is unknown.
        """
        from hybrid_search.networks.timm_network import imported_timm

        imported_timm()
        if not network.mean or not network.std:
            raise UserError("the format timm needs mean and standard deviation of the pixels; they are unknown.")
        if not (folder / WEIGHTS).exists():
            SAFETENSORS.write(network, folder)
        (folder / CONFIG).write_text(json.dumps(config_of(network), indent=2) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> "nn.Module":
        """Return the network as timm builds it, in evaluation mode.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or timm is not installed.
        """
        from hybrid_search.networks.timm_network import imported_timm

        check_files(folder, (CONFIG, WEIGHTS))
        timm = imported_timm()
        import hybrid_search.networks.timm_models  # noqa: F401  # registers the network

        model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return model.eval()

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import hybrid_search  # registers the network in timm\n"
            "import timm\n"
            'model = timm.create_model("local-dir:.", pretrained=True).eval()\n'
            "logits = model(images).detach()  # (n, classes)"
        )


def config_of(network: TrainedNetwork) -> dict[str, Any]:
    """Return the content of config.json.

    Args:
        network: what is exported.
    """
    channels = network.input_size[0]
    return {
        "architecture": "hybrid_net",
        "num_classes": len(network.classes),
        "num_features": network.model.num_features,
        "global_pool": "avg",
        "label_names": list(network.classes),
        "model_args": {
            "architecture": network.architecture.to_dict(),
            "in_chans": channels,
            "num_classes": len(network.classes),
        },
        "pretrained_cfg": {
            "tag": network.architecture.digest,
            "custom_load": False,
            "input_size": list(network.input_size),
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": list(network.mean),
            "std": list(network.std),
            "num_classes": len(network.classes),
            "pool_size": None,
            "first_conv": None,
            "classifier": "head",
            "license": network.origin.get("data_licence"),
            "description": str(network.architecture),
        },
    }


TIMM = TimmFormat()
