"""The format `litert`: model.tflite, which takes one image at a time, for LiteRT (TensorFlow Lite)."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.runtime_helpers import runtime, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILE = "model.tflite"


class LitertFormat:
    """A flatbuffer for phones and small devices."""

    name = "litert"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.tflite.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: litert-torch is not installed, or cannot express the network.
        """
        import torch

        litert_torch = runtime("litert_torch", self.name)
        with writing_as(self.name), torch.no_grad():
            model = litert_torch.convert(network.model, (torch.zeros(1, *network.input_size),))
            model.export(str(folder / FILE))

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function that LiteRT computes image by image.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or LiteRT is not installed.
        """
        import torch

        check_files(folder, (FILE,))
        interpreter = runtime("ai_edge_litert.interpreter", self.name).Interpreter(str(folder / FILE))
        model = interpreter.get_signature_runner()

        def logits(images: "Tensor") -> "Tensor":
            each = [next(iter(model(args_0=image[None].numpy()).values())) for image in images]
            return torch.cat([torch.tensor(found) for found in each])

        return logits

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import numpy as np\n"
            "from ai_edge_litert.interpreter import Interpreter\n"
            'model = Interpreter("model.tflite").get_signature_runner()\n'
            'logits = [model(args_0=image[None].numpy())["output_0"] for image in images]  # one image at a time\n'
            "logits = np.concatenate(logits)  # (n, classes)"
        )


LITERT = LitertFormat()
