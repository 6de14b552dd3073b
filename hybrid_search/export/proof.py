"""The proof of an export: a new process loads the files, and its logits are compared with the original ones."""

import ast
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, version
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
BATCH = 32  # images of a call
SINGLE = 16  # images that are also computed one at a time
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
        batch_sizes: the numbers of images in a call: all images in calls of the first one, some one at a time.
        runtime: package -> version of what loaded and ran the files.
        tolerance: the largest difference that the format allows.
        accuracy: of the trained network and of the format on the images, 0..1; None if labels are unknown.
    """

    folder: Path
    format: str
    max_difference: float
    equal_answers: float
    images: int
    image_source: str = VALIDATION
    batch_sizes: tuple[int, ...] = ()
    runtime: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = TOLERANCE
    accuracy: tuple[float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether every logit is within the tolerance; False if one is NaN.

        With the usual tolerance, every predicted class must be equal too.
        """
        same = self.equal_answers == 1.0 or self.tolerance > TOLERANCE
        return self.max_difference <= self.tolerance and same

    def to_dict(self) -> dict[str, Any]:
        """Return the entry of manifest.json as plain JSON. The source of the images is added unless it is usual."""
        numbers: dict[str, Any] = {"max_difference": self.max_difference, "equal_answers": self.equal_answers}
        numbers |= {"images": self.images}
        if self.batch_sizes:
            numbers |= {"batch_sizes": list(self.batch_sizes), "runtime": dict(self.runtime)}
        if self.accuracy is not None:
            numbers |= {"accuracy": {"network": self.accuracy[0], "format": self.accuracy[1]}}
        return numbers if self.image_source in (VALIDATION, GIVEN) else {**numbers, "image_source": self.image_source}

    @property
    def accuracies(self) -> str:
        """Both accuracies in words, for a format that rounds weights; otherwise an empty text."""
        if self.accuracy is None or self.tolerance <= TOLERANCE:
            return ""
        before, after = (100 * each for each in self.accuracy)
        return f", accuracy {after:.2f} % (network {before:.2f} %)"

    def __str__(self) -> str:
        return (
            f"{shown_path(self.folder)}: a new process loaded the format {self.format} and classified {self.images} "
            f"{self.image_source}; largest difference of a logit {self.max_difference:.3g}, equal predictions "
            f"{100 * self.equal_answers:.0f} %{self.accuracies}"
        )


@dataclass(frozen=True, eq=False)
class Expected:
    """The logits of the trained network, which those of a format are compared with.

    Attributes:
        images: normalised images, float32 (n, channels, rows, columns), on the CPU.
        logits: those of all images, in calls of BATCH images, (n, classes).
        single: those of the first SINGLE images, one at a time.
        labels: the classes of the first images, int64; None if they are unknown.
    """

    images: "torch.Tensor"
    logits: "torch.Tensor"
    single: "torch.Tensor"
    labels: "torch.Tensor | None" = None

    @classmethod
    def of(
        cls, model: "Callable[[torch.Tensor], torch.Tensor]", images: "torch.Tensor", labels: Sequence[int] = ()
    ) -> "Expected":
        """Compute the logits of a network.

        Args:
            model: the network, on the CPU and in evaluation mode.
            images: normalised images.
            labels: the classes of the first images; empty if they are unknown.
        """
        import torch

        images = images.cpu().float().contiguous()
        with torch.inference_mode():
            logits, single = in_calls(model, images, BATCH), in_calls(model, images[:SINGLE], 1)
        return cls(images, logits, single, torch.tensor(labels[: len(images)]) if labels else None)


def in_calls(model: "Callable[[torch.Tensor], torch.Tensor]", images: "torch.Tensor", size: int) -> "torch.Tensor":
    """Return the logits of images, some of them a call.

    Args:
        model: a function from images to logits.
        images: the images.
        size: images of a call.
    """
    import torch

    return torch.cat([model(images[start : start + size]).float() for start in range(0, len(images), size)])


def prove(folder: Path, name: str, expected: Expected, image_source: str = VALIDATION) -> Proof:
    """Load a format in a new process and compare its logits.

    The new process imports neither from the current folder nor from PYTHONPATH before the installed packages.

    Args:
        folder: the exported folder.
        name: the name of the format.
        expected: images, and the logits of the trained network.
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
            inputs.write_bytes(
                save({each: value.contiguous() for each, value in vars(expected).items() if value is not None})
            )
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
    images = len(expected.images)
    sizes = tuple(dict.fromkeys((min(BATCH, images), 1)))
    before_after = found.get("accuracy")
    accuracy = (before_after[0], before_after[1]) if before_after else None
    tolerance = getattr(EXPORT_FORMATS[name], "tolerance", TOLERANCE)
    numbers = found["max_difference"], found["equal_answers"]
    runtime = found.get("runtime", {})
    return Proof(folder, name, *numbers, images, image_source, sizes, runtime, tolerance, accuracy)


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
        inputs: a safetensors file with the members of `Expected`.
        result: the JSON file to write: `max_difference`, the largest absolute difference of a logit, `equal_answers`,
            the share of equal predictions, 0..1, `runtime`, package -> version, and `accuracy` of the network and the
            format if there are labels.
    """
    import torch
    from safetensors.torch import load

    expected = load(Path(inputs).read_bytes())
    if (objects := Path(inputs).with_name(OBJECTS)).exists():
        PackedObjects.from_bytes(objects.read_bytes()).register()
    model = EXPORT_FORMATS[name].load(Path(folder))
    with clean_process_state(), torch.inference_mode():
        images = expected["images"]
        logits, single = in_calls(model, images, BATCH), in_calls(model, images[:SINGLE], 1)
    if logits.shape != expected["logits"].shape:
        shapes = f"{tuple(expected['logits'].shape)}; got {tuple(logits.shape)}"
        raise UserError(f"logits of an exported model must have the shape {shapes}.")
    labels = expected.get("labels")
    accuracy = None if labels is None else [_accuracy(each, labels) for each in (expected["logits"], logits)]
    logits, own = torch.cat([logits, single]), torch.cat([expected["logits"], expected["single"]])
    difference = (logits - own).abs().max().item()
    equal = (logits.argmax(1) == own.argmax(1)).float().mean().item()
    found: dict[str, Any] = {"max_difference": difference, "equal_answers": equal}
    found["runtime"] = versions(EXPORT_FORMATS[name].usage())
    if accuracy is not None:
        found["accuracy"] = accuracy
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def _accuracy(logits: "torch.Tensor", labels: "torch.Tensor") -> float:
    """Return the share of the labelled images whose largest logit is that of their class."""
    return (logits[: len(labels)].argmax(1) == labels).float().mean().item()


def versions(usage: str) -> dict[str, str]:
    """Return package -> version of the packages that the lines of a format import. This package also needs torch.

    Args:
        usage: Python lines.
    """
    nodes = list(ast.walk(ast.parse(usage)))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    names = dict.fromkeys(name.partition(".")[0] for name in modules)
    if "hybrid_search" in names:
        names["torch"] = None
    installed = packages_distributions()
    return {package: version(package) for name in names for package in sorted(set(installed.get(name, ())))}
