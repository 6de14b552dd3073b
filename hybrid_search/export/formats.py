"""The contract of an export format, and the table of formats.

To add a format to this package: write its file with one object that has the members of `ExportFormat`, and add a line
to `EXPORT_FORMATS`. Another package adds such an object through the entry-point group `hybrid_search.export_formats`. A
program passes the object to `export_model`, or calls `EXPORT_FORMATS.register` first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hybrid_search.errors import PluginError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.plugins import Table

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hybrid_search.export.class_results import ClassResults


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """Everything that an export contains.

    Attributes:
        model: the trained network, built from `architecture`, on the CPU and in evaluation mode.
        architecture: the description of the network.
        input_size: channels, rows and columns of an image.
        classes: the class names, in the order of the logits.
        mean: mean of each channel, for pixels 0..1; an image is normalised as (pixel - mean) / std.
        std: standard deviation of each channel, for pixels 0..1.
        origin: plain JSON about search, trial, measurements, settings and machine; empty if unknown.
        images: the images of the proof, normalised, float32 (n, channels, rows, columns), on the CPU; `write_export`
            sets them. A format may measure the ranges of activations with them.
        labels: the classes of the first images; empty if they are unknown.
        validation: the results on validation images; None without them, or if the network was trained on them too.
    """

    model: "nn.Module"
    architecture: Architecture
    input_size: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)
    images: "Tensor | None" = None
    labels: tuple[int, ...] = ()
    validation: "ClassResults | None" = None


@runtime_checkable
class ExportFormat(Protocol):
    """One file format of a trained network.

    The folder also gets architecture.json, README.md and manifest.json; a format writes only its own files. After
    `write`, a new process calls `load` and compares the logits with those of the trained network. A format that rounds
    weights has an attribute `tolerance`, the largest difference of a logit, which is otherwise 1e-4.

    Example:
        >>> class TorchScript:
        ...     name = "torchscript"
        ...     def write(self, network, folder):
        ...         torch.jit.script(network.model).save(folder / "model.pt")
        ...     def load(self, folder):
        ...         return torch.jit.load(folder / "model.pt")
        ...     def usage(self):
        ...         return 'import torch\\nmodel = torch.jit.load("model.pt")\\nlogits = model(images)'
        >>> TORCHSCRIPT = TorchScript()  # the target of the entry point
    """

    @property
    def name(self) -> str:
        """The name in the table and on the command line."""

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write the files of this format.

        Args:
            network: what to write.
            folder: an existing folder. It may contain the files of other formats.

        Raises:
            UserError: the network cannot be written in this format, or a package is missing. The message says why.
        """

    def load(self, folder: Path) -> "Callable[[Tensor], Tensor]":
        """Return the network as a function.

        Args:
            folder: a folder that `write` has filled.

        Returns:
            A function from normalised images, float32 (n, channels, rows, columns), to logits (n, classes). It accepts
            any n from 1 up, on the CPU.

        Raises:
            UserError: a file is missing or damaged.
        """

    def usage(self) -> str:
        """Return the Python lines for the README: they turn `images` into `logits`, inside the exported folder.

        `images` is a float32 tensor of torch. The proof states the versions of the packages that the lines import.
        """


def _check(name: str, entry: object) -> ExportFormat:
    """Return a plugin's entry; raise PluginError unless it has the members of an export format and this name."""
    if not isinstance(entry, ExportFormat):
        raise PluginError(f"an export format must have name, write, load and usage; got {type(entry).__name__}.")
    if entry.name != name:
        raise PluginError(f"an export format must have its name in the table, {name!r}; got {entry.name!r}.")
    return entry


EXPORT_FORMATS: Table[ExportFormat] = Table(
    "export format",
    "hybrid_search.export_formats",
    {
        "safetensors": "hybrid_search.export.safetensors_format:SAFETENSORS",
        "timm": "hybrid_search.export.timm_format:TIMM",
        "onnx": "hybrid_search.export.onnx_format:ONNX",
        "onnx-int8": "hybrid_search.export.onnx_int8_format:ONNX_INT8",
        "pt2": "hybrid_search.export.pt2_format:PT2",
        "openvino": "hybrid_search.export.openvino_format:OPENVINO",
        "litert": "hybrid_search.export.litert_format:LITERT",
        "executorch": "hybrid_search.export.executorch_format:EXECUTORCH",
    },
    check=_check,
    registers=True,
)
