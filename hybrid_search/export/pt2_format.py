"""The format `pt2`: model.pt2, a program of `torch.export` for any number of images."""

from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.runtime_helpers import recorded, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILE = "model.pt2"


class Pt2Format:
    """A program of torch's own operators with its weights, which torch loads without this package."""

    name = "pt2"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.pt2.

        Args:
            network: what to write.
            folder: an existing folder.

        Raises:
            UserError: torch cannot record the network, such as a plugin with its own kernels.
        """
        import torch

        with writing_as(self.name):
            torch.export.save(recorded(network), folder / FILE)

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the program as a function.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged.
        """
        import torch

        check_files(folder, (FILE,))
        program = torch.export.load(folder / FILE).module()

        def logits(images: "Tensor") -> "Tensor":
            found: Tensor = program(images)
            return found

        return logits

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "import torch\n"
            'model = torch.export.load("model.pt2").module()\n'
            "logits = model(images).detach()  # (n, classes)"
        )


PT2 = Pt2Format()
