"""The format `onnx`: model.onnx for any number of images, opset 18, which ONNX Runtime runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.runtime_helpers import recorded, runtime, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILE = "model.onnx"
OPSET = 18  # the lowest that the exporter writes without a conversion
CPU = ["CPUExecutionProvider"]


class OnnxFormat:
    """A graph of ONNX operators with its weights in one file."""

    name = "onnx"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.onnx.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: a package of ONNX is missing, or ONNX cannot express the network.
        """
        import torch

        for module in ("onnx", "onnxscript", "onnxruntime"):
            runtime(module, self.name)
        with writing_as(self.name):
            program = torch.onnx.export(
                recorded(network),
                (),
                input_names=["images"],
                output_names=["logits"],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            program.save(folder / FILE)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function that ONNX Runtime computes on the CPU.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or ONNX Runtime is not installed.
        """
        check_files(folder, (FILE,))
        return session_function(folder / FILE)

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import onnxruntime\n"
            'session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])\n'
            '(logits,) = session.run(["logits"], {"images": images.numpy()})  # (n, classes)'
        )


def session_function(file: Path) -> "Callable[[Tensor], Tensor]":
    """Return a file of ONNX as a function from images to logits.

    Args:
        file: a file with the input `images` and the output `logits`.

    Raises:
        UserError: ONNX Runtime is not installed.
    """
    import torch

    onnxruntime = runtime("onnxruntime", "onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=CPU)

    def logits(images: "Tensor") -> "Tensor":
        return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])

    return logits


ONNX = OnnxFormat()
