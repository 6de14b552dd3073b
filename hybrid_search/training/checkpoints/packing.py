"""A checkpoint as bytes: safetensors, with what it belongs to and the curve so far in the header. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hybrid_search.errors import CheckpointError

FORMAT = 1  # of what is written; grows when an older version could not go on from it


@dataclass(frozen=True)
class Owner:
    """What a checkpoint belongs to: search by its key, trial by its number, architecture and settings by digest."""

    search: str
    trial: int
    architecture: str
    settings: str


@dataclass(frozen=True)
class Checkpoint:
    """A trial after `rung` rungs: the state to go on from, and what it has reported so far.

    `state` is a flat mapping of name to torch tensor; `curve` holds the measurements after every rung that was
    reported, this one among them; `facts` are those of its last report.
    """

    rung: int
    state: Mapping[str, Any]
    curve: Mapping[int, Mapping[str, float]]
    facts: Mapping[str, str]


def pack(owner: Owner, checkpoint: Checkpoint) -> bytes:
    """The checkpoint of this owner as safetensors bytes; TypeError where its state is not a flat mapping of tensors."""
    import torch
    from safetensors.torch import save

    for name, value in checkpoint.state.items():
        if not isinstance(value, torch.Tensor):
            raise TypeError(f"a state to keep must be a flat mapping of name to tensor; got {name!r} = {value!r:.80}.")

    about = {
        "format": FORMAT,
        **asdict(owner),
        "rung": checkpoint.rung,
        "curve": checkpoint.curve,
        "facts": checkpoint.facts,
    }
    state = {name: value.detach().contiguous() for name, value in checkpoint.state.items()}
    return save(state, {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()})


def unpack(owner: Owner, data: bytes, where: str) -> Checkpoint:
    """The checkpoint in these bytes; CheckpointError that names `where` and how it differs unless it is the owner's."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        size = int.from_bytes(data[:8], "little")
        about = json.loads(data[8 : 8 + size])["__metadata__"]
        version = int(about["format"])
        if version > FORMAT:
            raise CheckpointError(
                f"a checkpoint must be of a version that is known here, {FORMAT} at most; {where} is of {version}."
            )
        mine = {field.name: str(getattr(owner, field.name)) for field in fields(owner)}
        others = [f"{name} {about[name]}, not {value}" for name, value in mine.items() if about[name] != value]
        if others:
            raise CheckpointError(
                f"a checkpoint must be of the trial it resumes; {where} is of {', of '.join(others)}."
            )
        curve = {int(rung): row for rung, row in json.loads(about["curve"]).items()}
        return Checkpoint(int(about["rung"]), load(data), curve, json.loads(about["facts"]))
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise CheckpointError(f"a checkpoint must be one that this package wrote; {where} is not ({error}).") from error


def checksum(data: bytes) -> bytes:
    """What stands beside a checkpoint: the sha256 of its bytes as 64 hexadecimal digits and a newline."""
    return hashlib.sha256(data).hexdigest().encode() + b"\n"
