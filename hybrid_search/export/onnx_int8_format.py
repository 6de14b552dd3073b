"""The format `onnx-int8`: convolutions and the classifier in 8 bits, quantised by ONNX Runtime on images of the proof.

Attention stays in float32: its masks of -1e4 would take the whole range of 8 bits. The logits are not those of the
network within a tolerance; the proof states how many predictions are equal, and both accuracies.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import UserError
from hybrid_search.export.folder import check_files
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.export.onnx_format import FILE as FLOAT_FILE
from hybrid_search.export.onnx_format import ONNX, session_function
from hybrid_search.export.runtime_helpers import runtime, writing_as

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

FILE = "model-int8.onnx"
CALIBRATION = 128  # images, at most
BATCH = 16
OPERATORS = ["Conv", "Gemm"]


class OnnxInt8Format:
    """A graph of ONNX operators whose convolutions have weights and inputs of 8 bits."""

    name = "onnx-int8"
    tolerance = float("inf")  # the logits of a rounded network differ

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model-int8.onnx.

        Args:
            network: what to write; its `images` measure the ranges of the activations.
            folder: an existing folder.

        Raises:
            UserError: a package of ONNX is missing, ONNX cannot express the network, or there are no images.
        """
        images = network.images
        if images is None:
            raise UserError("the format onnx-int8 needs images that measure the ranges of activations; got none.")
        with tempfile.TemporaryDirectory() as scratch:
            ONNX.write(network, Path(scratch))
            quantization = runtime("onnxruntime.quantization", "onnx")
            prepared = Path(scratch) / "prepared.onnx"
            with writing_as(self.name):
                preparation = runtime("onnxruntime.quantization.shape_inference", "onnx")
                preparation.quant_pre_process(str(Path(scratch) / FLOAT_FILE), str(prepared), skip_symbolic_shape=True)
                quantization.quantize_static(
                    str(prepared),
                    str(folder / FILE),
                    _Images(images[:CALIBRATION]),
                    op_types_to_quantize=OPERATORS,
                    per_channel=True,
                    quant_format=quantization.QuantFormat.QDQ,
                    activation_type=quantization.QuantType.QInt8,
                    weight_type=quantization.QuantType.QInt8,
                )

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
        return ONNX.usage().replace(FLOAT_FILE, FILE)


class _Images:
    """Images for the calibration of ONNX Runtime, in calls of some."""

    def __init__(self, images: "Tensor") -> None:
        self._calls: Iterator[Any] = (
            {"images": images[start : start + BATCH].numpy()} for start in range(0, len(images), BATCH)
        )

    def get_next(self) -> Any:
        """Return the input of the next call; None after the last one."""
        return next(self._calls, None)


ONNX_INT8 = OnnxInt8Format()
