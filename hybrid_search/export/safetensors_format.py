"""The format `safetensors`: model.safetensors, which this package loads with the architecture in architecture.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search._internal.paths import absolute_path
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.errors import UserError
from hybrid_search.export.folder import DESCRIPTION, check_files, described_architecture, read_description, read_file
from hybrid_search.export.formats import TrainedNetwork
from hybrid_search.networks.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

WEIGHTS = "model.safetensors"


class SafetensorsFormat:
    """Weights without pickle, readable in every language that has safetensors."""

    name = "safetensors"

    def write(self, network: TrainedNetwork, folder: Path) -> None:
        """Write model.safetensors.

        Args:
            network: what to write.
            folder: an existing folder.
        """
        from safetensors.torch import save

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.model.state_dict().items()}
        (folder / WEIGHTS).write_bytes(save(state))  # save_file ignores the umask, and its error names no reason

    def load(self, folder: Path) -> "nn.Module":
        """Return the network in evaluation mode.

        Args:
            folder: an exported folder.

        Raises:
            UserError: a file is missing or damaged, or the weights are those of another network.
            PluginError: an operator or the stem comes from a plugin that is not installed here.
        """
        check_files(folder, (DESCRIPTION, WEIGHTS))
        description = read_description(folder)
        architecture = described_architecture(folder, description)
        channels, classes = description["input_size"][0], len(description["classes"])
        with clean_process_state():
            return network_of(architecture, channels, classes, read_file(folder / WEIGHTS), str(folder / WEIGHTS))

    def usage(self) -> str:
        """Return the Python lines for the README."""
        return (
            "from hybrid_search import load_exported\n"
            'model = load_exported(".")  # this folder\n'
            "logits = model(images)  # (n, classes)"
        )


SAFETENSORS = SafetensorsFormat()


def load_exported(folder: Path | str) -> "nn.Module":
    """Return the network of an exported folder in evaluation mode, on the CPU, in float32.

    Default dtype, default device, autocast and inference mode of the caller have no effect on it.

    Args:
        folder: a folder of `export_model` or of the command `export`, with the format `safetensors`.

    Raises:
        UserError: a file is missing or damaged, or the weights are those of another network.
        PluginError: an operator or the stem comes from a plugin that is not installed here; the message names the
            package that the manifest lists.

    Example:
        >>> model = load_exported("my-network")
        >>> logits = model(images)  # (n, channels, rows, columns), normalised as architecture.json says
    """
    return SAFETENSORS.load(absolute_path("the exported folder", folder))


def network_of(architecture: Architecture, channels: int, classes: int, weights: bytes, where: str) -> "nn.Module":
    """Return a trained network in evaluation mode. No memory is used for a network that the weights do not fit.

    Args:
        architecture: the description of the network.
        channels: channels of an image.
        classes: number of classes.
        weights: the bytes of a safetensors file.
        where: the path of that file, for messages.

    Raises:
        UserError: the weights are damaged, or those of another network.
    """
    import torch

    from hybrid_search.networks.model import build_model

    state = tensors_of(weights, where)
    if sum(stage.depth for stage in architecture.stages) > len(state):
        raise _other_network(where, f"the network has more blocks than the file has tensors, {len(state)}")
    try:
        with torch.device("meta"):  # without memory
            expected = build_model(architecture, channels, classes).state_dict()
    except (RuntimeError, ValueError, TypeError, OverflowError) as error:
        text = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"a network must be one that torch can build; {architecture.digest} is not: {text}.") from None
    _check_fit(expected, state, where)
    model = build_model(architecture, channels, classes)
    model.load_state_dict(state)
    return model.eval()


def tensors_of(weights: bytes, where: str) -> "dict[str, Tensor]":
    """Return the tensors of a safetensors file by name.

    Args:
        weights: the bytes of the file.
        where: the path of the file, for messages.

    Raises:
        UserError: it is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(weights)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        text = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"weights must be a complete safetensors file; {where} is not: {text}.") from None


def _check_fit(expected: "Mapping[str, Tensor]", found: "Mapping[str, Tensor]", where: str) -> None:
    """Raise UserError unless tensors have the names, shapes and types that a network needs."""
    for name in (*expected, *found):
        if name not in found or name not in expected:
            raise _other_network(where, f"{name} is in {'the network' if name in expected else 'the file'} alone")
        need, got = expected[name], found[name]
        if need.shape != got.shape:
            raise _other_network(where, f"{name} must be {tuple(need.shape)}; got {tuple(got.shape)}")
        if need.is_floating_point() != got.is_floating_point():
            raise _other_network(where, f"{name} must be {need.dtype}; got {got.dtype}")


def _other_network(where: str, difference: str) -> UserError:
    return UserError(f"weights must be those of the architecture; {where} has those of another network: {difference}.")
