"""The format `executorch`: model.pte, which takes one image at a time, for ExecuTorch with XNNPACK."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.runtime_helpers import recorded, runtime, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILE = "model.pte"
PARTITIONER = "executorch.backends.xnnpack.partition.xnnpack_partitioner"


class ExecutorchFormat:
    """A program for phones and small devices; XNNPACK computes what it can."""

    name = "executorch"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.pte.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: ExecuTorch is not installed, or cannot express the network.
        """
        exir, partitioner = runtime("executorch.exir", self.name), runtime(PARTITIONER, self.name)
        with writing_as(self.name):
            program = recorded(network, any_batch=False)
            lowered = exir.to_edge_transform_and_lower(program, partitioner=[partitioner.XnnpackPartitioner()])
            (folder / FILE).write_bytes(lowered.to_executorch().buffer)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function that ExecuTorch computes image by image.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or ExecuTorch is not installed.
        """
        import torch

        check_files(folder, (FILE,))
        program = runtime("executorch.runtime", self.name).Runtime.get().load_program(folder / FILE)
        model = program.load_method("forward")

        def logits(images: "Tensor") -> "Tensor":
            _keep = program  # the method reads the memory of its program
            return torch.cat([model.execute([image[None].contiguous()])[0].clone() for image in images])

        return logits

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import torch\n"
            "from executorch.runtime import Runtime\n"
            'program = Runtime.get().load_program("model.pte")\n'
            'model = program.load_method("forward")\n'
            "logits = [model.execute([image[None].contiguous()])[0].clone() for image in images]  # one at a time\n"
            "logits = torch.cat(logits)  # (n, classes)"
        )


EXECUTORCH = ExecutorchFormat()
