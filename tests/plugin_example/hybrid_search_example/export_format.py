"""Export format `arrays`: the weights as one NumPy archive, next to architecture.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.errors import DataError
from hybrid_search.export.formats import TrainedNetwork

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
        description = {"architecture": network.architecture.to_dict(), "channels": network.input_size[0]}
        text = json.dumps({**description, "classes": len(network.classes)})
        np.savez(folder / FILE, __network__=np.frombuffer(text.encode(), dtype=np.uint8), **state)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function from normalised images to logits."""
        import numpy as np
        import torch

        from hybrid_search import Architecture, build_model

        if not (folder / FILE).is_file():
            raise DataError(f"an export in the format arrays needs {FILE}; {folder} has none.")
        with np.load(folder / FILE) as archive:
            text = json.loads(archive["__network__"].tobytes())
            state = {name: torch.from_numpy(archive[name]) for name in archive.files if name != "__network__"}
        model = build_model(Architecture.from_dict(text["architecture"]), text["channels"], text["classes"])
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
