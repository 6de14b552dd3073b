"""A checkpoint as bytes: safetensors, with its owner and the learning curve in the header. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hybrid_search.errors import CheckpointError

FORMAT = 1  # increased when an older version of this package cannot resume from a new checkpoint


@dataclass(frozen=True)
class Owner:
    """The training that a checkpoint belongs to.

    Attributes:
        search: The key of the search.
        trial: The number of the trial.
        architecture: The digest of the architecture.
        settings: The digest of the settings.
    """

    search: str
    trial: int
    architecture: str
    settings: str


class OtherOwner(CheckpointError):
    """A checkpoint that belongs to another training."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `rung` rungs, and its reports so far.

    Attributes:
        rung: The number of complete rungs.
        state: A flat mapping of name to torch tensor.
        curve: The measurements after every reported rung, including this one.
        facts: The facts of the last report.
    """

    rung: int
    state: Mapping[str, Any]
    curve: Mapping[int, Mapping[str, float]]
    facts: Mapping[str, str]


def pack(owner: Owner, checkpoint: Checkpoint) -> bytes:
    """Return a checkpoint as safetensors bytes.

    Raises:
        TypeError: The state is not a flat mapping of name to tensor.
    """
    import torch
    from safetensors.torch import save

    for name, value in checkpoint.state.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"a state to keep must be a flat mapping of name to tensor; got {name!r} = {value!r:.80}.")

    header = {
        "format": FORMAT,
        **asdict(owner),
        "rung": checkpoint.rung,
        "curve": checkpoint.curve,
        "facts": checkpoint.facts,
    }
    state = {name: value.detach().contiguous() for name, value in checkpoint.state.items()}
    return save(state, {name: value if isinstance(value, str) else json.dumps(value) for name, value in header.items()})


def unpack(owner: Owner, data: bytes, where: str) -> Checkpoint:
    """Return the checkpoint in these bytes.

    Args:
        owner: The training that resumes.
        data: The bytes that `pack` returned.
        where: The place of the bytes, for error messages.

    Returns:
        The checkpoint.

    Raises:
        CheckpointError: The bytes are no checkpoint, are of a newer format, or belong to another training.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])["__metadata__"]
        version = int(header["format"])
        if version > FORMAT:
            raise CheckpointError(f"a checkpoint must have format {FORMAT} or lower; {where} has format {version}.")
        own = {field.name: str(getattr(owner, field.name)) for field in fields(owner)}
        others = [f"{name} {header[name]}, not {value}" for name, value in own.items() if header[name] != value]
        if others:
            raise OtherOwner(f"a checkpoint must be of the trial it resumes; {where} is of {', of '.join(others)}.")
        curve = {int(rung): row for rung, row in json.loads(header["curve"]).items()}
        return Checkpoint(int(header["rung"]), load(data), curve, json.loads(header["facts"]))
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"a checkpoint must be one that this package wrote; {where} is not ({error}).") from error


def checksum(data: bytes) -> bytes:
    """Return the content of a checksum file: the sha256 of the data as 64 hexadecimal digits, and a newline."""
    return hashlib.sha256(data).hexdigest().encode() + b"\n"
