"""The proof of an export: a new process loads the files, and its logits are compared with the original ones."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.paths import reason, shown_path
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines.worker.packed_objects import EXPORT_TABLES, PackedObjects
from hybrid_search.errors import UserError
from hybrid_search.export.formats import EXPORT_FORMATS

if TYPE_CHECKING:
    import torch

TOLERANCE = 1e-4  # of a logit; `safetensors` with the same build of torch gives 0
VALIDATION = "validation images"
GIVEN = "images"  # the caller of `export_model` gave them
LONGEST = 500  # characters of a shown error of the new process
OBJECTS = "objects.pickle"  # the registered objects of the first process
PROCESS = Path(__file__).with_name("proof_process.py")


@dataclass(frozen=True)
class Proof:
    """The result of a proof.

    Attributes:
        folder: the exported folder.
        format: the name of the format.
        max_difference: the largest absolute difference of a logit; NaN if a logit is NaN.
        equal_answers: the share of images with equal predicted classes, 0..1.
        images: the number of images.
        image_source: what the images are, such as "validation images" or "images drawn from seed 0".
    """

    folder: Path
    format: str
    max_difference: float
    equal_answers: float
    images: int
    image_source: str = VALIDATION

    @property
    def holds(self) -> bool:
        """Whether every logit is within the tolerance; False if one is NaN."""
        return self.max_difference <= TOLERANCE

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of manifest.json as plain JSON. The source of the images is added unless it is usual."""
        numbers = {"max_difference": self.max_difference, "equal_answers": self.equal_answers, "images": self.images}
        return numbers if self.image_source in (VALIDATION, GIVEN) else {**numbers, "image_source": self.image_source}

    def __str__(self) -> str:
        return (
            f"{shown_path(self.folder)}: a new process loaded the format {self.format} and classified {self.images} "
            f"{self.image_source}; largest difference of a logit {self.max_difference:.3g}, equal predictions "
            f"{100 * self.equal_answers:.0f} %"
        )


def prove(
    folder: Path, name: str, images: "torch.Tensor", logits: "torch.Tensor", image_source: str = VALIDATION
) -> Proof:
    """Load a format in a new process and compare its logits.

    The new process imports neither from the current folder nor from PYTHONPATH before the installed packages.

    Args:
        folder: the exported folder.
        name: the name of the format.
        images: normalised images, float32 (n, channels, rows, columns), on the CPU.
        logits: the logits of the trained network on these images, (n, classes).
        image_source: what the images are, in words.

    Returns:
        The proof, whatever the difference is.

    Raises:
        UserError: the new process cannot load or run the format.
    """
    from safetensors.torch import save

    try:
        with tempfile.TemporaryDirectory() as scratch:
            inputs, task, result = (Path(scratch) / name for name in ("inputs", "task.json", "result.json"))
            inputs.write_bytes(save({"images": images.contiguous(), "logits": logits.contiguous()}))
            objects = PackedObjects.of_process(EXPORT_TABLES)
            if objects.content:
                (Path(scratch) / OBJECTS).write_bytes(objects.to_bytes())
            arguments = [str(folder.absolute()), name, str(inputs), str(result)]
            task.write_text(json.dumps({"path": list(map(str, sys.path)), "arguments": arguments}), encoding="utf-8")
            command = [sys.executable, "-I", str(PROCESS), str(task)]
            done = subprocess.run(command, capture_output=True, check=False, cwd=scratch)
            if done.returncode or not result.exists():
                raise _not_loaded(folder, name, done.stderr.decode("utf-8", "replace").strip())
            found = json.loads(result.read_text(encoding="utf-8"))
    except OSError as error:
        raise _not_loaded(folder, name, reason(error)) from None
    return Proof(folder, name, found["max_difference"], found["equal_answers"], len(images), image_source)


def _not_loaded(folder: Path, name: str, text: str) -> UserError:
    """Return the error of a process that cannot load a format; the last line of its error text says why."""
    why = (text.splitlines() or ["no error text"])[-1][:LONGEST]
    return UserError(
        f"an exported model must load in a new process; {shown_path(folder)} (format {name}) does not: {why}"
    )


def compare(folder: str, name: str, inputs: str, result: str) -> None:
    """Load a format, compare its logits, and write the result. This is the work of the new process.

    Args:
        folder: the exported folder.
        name: the name of the format.
        inputs: a safetensors file with `images` and `logits`.
        result: the JSON file to write: `max_difference`, the largest absolute difference of a logit, and
            `equal_answers`, the share of equal predictions, 0..1.
    """
    import torch
    from safetensors.torch import load

    expected = load(Path(inputs).read_bytes())
    if (objects := Path(inputs).with_name(OBJECTS)).exists():
        PackedObjects.from_bytes(objects.read_bytes()).register()
    model = EXPORT_FORMATS[name].load(Path(folder))
    with clean_process_state(), torch.inference_mode():
        logits = model(expected["images"])
    if logits.shape != expected["logits"].shape:
        shapes = f"{tuple(expected['logits'].shape)}; got {tuple(logits.shape)}"
        raise UserError(f"logits of an exported model must have the shape {shapes}.")
    difference = (logits - expected["logits"]).abs().max().item()
    equal = (logits.argmax(1) == expected["logits"].argmax(1)).float().mean().item()
    found = {"max_difference": difference, "equal_answers": equal}
    Path(result).write_text(json.dumps(found), encoding="utf-8")
