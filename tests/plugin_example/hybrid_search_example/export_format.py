"""Export format `arrays`: the weights as one NumPy archive, next to architecture.json."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export import TrainedNetwork, check_files, read_description

if TYPE_CHECKING:
    from torch import Tensor

FILE = "weights.npz"


class Arrays:
    """Write `weights.npz` with one array for each tensor of the network."""

    name = "arrays"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write the weights of the network."""
        import numpy as np

        state = {name: tensor.detach().cpu().numpy() for name, tensor in network.model.state_dict().items()}
        np.savez(folder / FILE, **state)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function from normalised images to logits."""
        import numpy as np
        import torch

        from hybrid_search import Architecture, build_model

        check_files(folder, (FILE,))
        described = read_description(folder)
        with np.load(folder / FILE) as archive:
            state = {name: torch.from_numpy(archive[name]) for name in archive.files}
        architecture = Architecture.from_dict(described["architecture"])
        model = build_model(architecture, described["input_size"][0], len(described["classes"]))
        model.load_state_dict(state)
        return model.eval()

    def usage(self) -> str:
        """Return the Python lines that turn `images` into `logits`."""
        return (
            "from pathlib import Path\n"
            "from hybrid_search_example.export_format import ARRAYS\n"
            'logits = ARRAYS.load(Path("."))(images)'
        )


ARRAYS = Arrays()
