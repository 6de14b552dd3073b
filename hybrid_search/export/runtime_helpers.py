"""Helpers of the formats of other runtimes: record a network with `torch.export`, import a runtime, word errors."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.exception_text import message_of
from hybrid_search.errors import UserError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from hybrid_search.export.formats import TrainedNetwork

LONGEST = 300  # characters of a shown error of an exporter


def runtime(module: str, extra: str) -> Any:
    """Return a module of a runtime, or of its exporter.

    Args:
        module: the name of the module.
        extra: the extra of this package that installs it; also the name of the format.

    Raises:
        UserError: it is not installed; the message has the line that installs it.

    Example:
        >>> session = runtime("onnxruntime", "onnx").InferenceSession("model.onnx")
    """
    try:
        with _quiet():
            return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise UserError(f"the format {extra} needs {package}; it cannot be imported: {error}.") from None
        raise UserError(
            f"the format {extra} needs {package}; it is not installed. "
            f"Install it: pip install 'hybrid-search[{extra}]'."
        ) from None
    except Exception as error:  # a compiled library that does not load here
        raise UserError(f"the format {extra} needs {module}; it cannot be imported: {_line(error)}.") from None


def recorded(network: "TrainedNetwork", any_batch: bool = True) -> "ExportedProgram":
    """Return the network as `torch.export` records it: plain operations, without those of this package.

    Args:
        network: the network.
        any_batch: whether the program takes any number of images; otherwise one image.
    """
    import torch

    images = torch.zeros(2 if any_batch else 1, *network.input_size)
    shapes = ({0: torch.export.Dim("batch", min=1)},) if any_batch else None
    with torch.no_grad():
        return torch.export.export(network.model, (images,), dynamic_shapes=shapes)


@contextmanager
def writing_as(name: str) -> Iterator[None]:
    """Turn any error of an exporter into a UserError that names the format and what it cannot express.

    Args:
        name: the name of the format.

    Raises:
        UserError: the block raised an error.
    """
    try:
        with _quiet():
            yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UserError(f"the format {name} cannot be written for this network: {_line(error)}.") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what exporters print, log and warn about."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _line(error: Exception) -> str:
    """Return the beginning of an error's text, which says what an exporter cannot do."""
    return f"{type(error).__name__}: {message_of(error)}"[:LONGEST].rstrip(". ")
