"""The format `safetensors`: model.safetensors, which this package loads with the architecture in architecture.json."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import DESCRIPTION, check_files, read_description
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.networks.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"


class SafetensorsFormat:
    """Weights without pickle, readable in every language that has safetensors."""

    name = "safetensors"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.safetensors.

        Args:
            network: what to write.
            folder: an existing folder.
        """
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.model.state_dict().items()}
        save_file(state, folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)  # safetensors makes it readable by its owner only

    def load(self, folder: Path) -> "nn.Module":
        """Return the network in evaluation mode.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing, or differs from its checksum in manifest.json.
        """
        from safetensors.torch import load_file

        from hybrid_search.networks.model import build_model

        check_files(folder, (DESCRIPTION, WEIGHTS))
        description = read_description(folder)
        architecture = Architecture.from_dict(description["architecture"])
        model = build_model(architecture, description["input_size"][0], len(description["classes"]))
        model.load_state_dict(load_file(folder / WEIGHTS))
        return model.eval()

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "from hybrid_search import load_exported\n"
            'model = load_exported(".")  # this folder\n'
            "logits = model(images)  # (n, channels, rows, columns): (pixel - mean) / std, see architecture.json"
        )


SAFETENSORS = SafetensorsFormat()


def load_exported(folder: Path | str) -> "nn.Module":
    """Return the network of an exported folder in evaluation mode.

    Args:
        folder: a folder of `export_model` or of the command `export`, with the format `safetensors`.

    Raises:
        UserError: a file is missing, or differs from its checksum in manifest.json.

    Example:
        >>> model = load_exported("my-network")
        >>> logits = model(images)  # (n, channels, rows, columns), normalised as architecture.json says
    """
    return SAFETENSORS.load(Path(folder))
