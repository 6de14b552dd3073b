"""The format `openvino`: model.xml and model.bin for any number of images, in float32."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.runtime_helpers import recorded, runtime, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILES = ("model.xml", "model.bin")
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # otherwise bfloat16 on processors that have it


class OpenvinoFormat:
    """The graph of OpenVINO with its weights in a second file."""

    name = "openvino"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.xml and model.bin.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: OpenVINO is not installed, or cannot express the network.
        """
        openvino = runtime("openvino", self.name)
        with writing_as(self.name):
            model = openvino.convert_model(recorded(network))
            openvino.save_model(model, folder / FILES[0], compress_to_fp16=False)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function that OpenVINO computes on the CPU.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or OpenVINO is not installed.
        """
        import torch

        check_files(folder, FILES)
        model = runtime("openvino", self.name).Core().compile_model(folder / FILES[0], "CPU", EXACT)

        def logits(images: "Tensor") -> "Tensor":
            return torch.tensor(model(images.numpy())[0])

        return logits

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import openvino\n"
            'exact = {"INFERENCE_PRECISION_HINT": "f32"}  # bfloat16 is faster on some processors, and less exact\n'
            'model = openvino.Core().compile_model("model.xml", "CPU", exact)\n'
            "logits = model(images.numpy())[0]  # (n, classes)"
        )


OPENVINO = OpenvinoFormat()
