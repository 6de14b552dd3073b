"""The weights of a trial as the bytes of a safetensors file, whose header describes the network and its data.

So a network can be exported where its data is gone: class names and preprocessing come with its weights.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import safetensors.torch
from torch import nn

from hybrid_search.data import Dataset
from hybrid_search.networks.network import Network

LENGTH_BYTES = 8  # at the start of a safetensors file: the length of its header


@dataclass(frozen=True)
class DataFacts:
    """The facts about its training data that an exported network needs.

    Attributes:
        name: the name of the data set.
        fingerprint: of its images and class names; see `Dataset`.
        classes: the class names, in the order of the logits.
        mean: mean of the training images in each channel, for pixels 0..1.
        std: standard deviation of the training images in each channel, for pixels 0..1.
        licence: the licence of the images.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str

    @classmethod
    def of(cls, dataset: Dataset) -> "DataFacts":
        """Return the facts of a data set that is in memory.

        Args:
            dataset: the data set.
        """
        mean, std = (tuple(float(value) for value in values) for values in (dataset.mean, dataset.std))
        return cls(dataset.name, dataset.fingerprint, tuple(dataset.classes), mean, std, dataset.licence)


def pack_weights(model: nn.Module, architecture: Network, dataset: Dataset) -> bytes:
    """Return weights and buffers as safetensors bytes, on the CPU.

    Args:
        model: a trained network.
        architecture: its description, for the header.
        dataset: the data set that it was trained on, for the header.
    """
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    header = {"architecture": architecture.to_dict(), "data": asdict(DataFacts.of(dataset))}
    return _sorted_header(safetensors.torch.save(tensors, {name: json.dumps(value) for name, value in header.items()}))


def _sorted_header(saved: bytes) -> bytes:
    """Return a safetensors file with sorted metadata. safetensors writes them in another order each time."""
    length = int.from_bytes(saved[:LENGTH_BYTES], "little")
    header = json.loads(saved[LENGTH_BYTES:][:length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)  # the tensors begin at a multiple of eight
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + saved[LENGTH_BYTES + length :]


def data_facts(weights: bytes) -> DataFacts | None:
    """Return what the header of a weights file says about the data.

    Args:
        weights: the bytes of a safetensors file.

    Returns:
        The facts; None if the header has none, as in weights of an own evaluation or of an older version.
    """
    try:
        length = int.from_bytes(weights[:LENGTH_BYTES], "little")
        stored: dict[str, Any] = json.loads(json.loads(weights[LENGTH_BYTES:][:length])["__metadata__"]["data"])
        lists = {name: tuple(stored[name]) for name in ("classes", "mean", "std")}
        return DataFacts(**{**stored, **lists})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
