"""The proof of an export: a new process loads the files, and its logits are compared with the original ones."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search.errors import UserError
from hybrid_search.export.formats import EXPORT_FORMATS

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4  # of a logit; `safetensors` with the same build of torch gives 0


@dataclass(frozen=True)
class Proof:
    """The result of a proof.

    Attributes:
        folder: the exported folder.
        format: the name of the format.
        max_difference: the largest absolute difference of a logit.
        equal_answers: the share of images with equal predicted classes, 0..1.
        images: the number of images.
    """

    folder: Path
    format: str
    max_difference: float
    equal_answers: float
    images: int

    def __str__(self) -> str:
        return (
            f"{self.folder}: a new process loaded the format {self.format} and classified {self.images} validation "
            f"images; largest difference of a logit {self.max_difference:.3g}, equal predictions "
            f"{100 * self.equal_answers:.0f} %"
        )


def prove(folder: Path, name: str, images: "torch.Tensor", logits: "torch.Tensor") -> Proof:
    """Load a format in a new process and compare its logits.

    Args:
        folder: the exported folder.
        name: the name of the format.
        images: normalised images, float32 (n, channels, rows, columns), on the CPU.
        logits: the logits of the trained network on these images, (n, classes).

    Returns:
        The proof, whatever the difference is.

    Raises:
        UserError: the new process cannot load or run the format.
    """
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as scratch:
        inputs = Path(scratch) / "inputs.safetensors"
        save_file({"images": images.contiguous(), "logits": logits.contiguous()}, inputs)
        command = [sys.executable, "-m", "hybrid_search.export", str(folder), name, str(inputs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(
            f"an exported model must load in a new process; {folder} (format {name}) does not: "
            f"{done.stderr.strip()[-500:]}"
        )
    result = json.loads(done.stdout)
    return Proof(folder, name, result["max_difference"], result["equal_answers"], len(images))


def compare(folder: str, name: str, inputs: str) -> dict[str, float]:
    """Load a format and compare its logits. This is the work of the new process.

    Args:
        folder: the exported folder.
        name: the name of the format.
        inputs: a safetensors file with `images` and `logits`.

    Returns:
        `max_difference`, the largest absolute difference of a logit, and `equal_answers`, the share of equal
        predictions, 0..1.
    """
    import torch
    from safetensors.torch import load_file

    expected = load_file(inputs)
    model = EXPORT_FORMATS[name].load(Path(folder))
    with torch.inference_mode():
        logits = model(expected["images"])
    difference = (logits - expected["logits"]).abs().max().item()
    equal = (logits.argmax(1) == expected["logits"].argmax(1)).float().mean().item()
    return {"max_difference": difference, "equal_answers": equal}
