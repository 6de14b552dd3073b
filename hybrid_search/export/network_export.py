"""Write a trained network into a folder, in one or more formats, and prove each of them."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search.errors import SettingsError, UserError
from hybrid_search.export.folder import check_empty, write_description, write_manifest
from hybrid_search.export.formats import EXPORT_FORMATS, TrainedNetwork
from hybrid_search.export.model_card import write_card
from hybrid_search.export.proof import TOLERANCE, Proof, prove
from hybrid_search.networks.architecture import Architecture

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMATS = ("safetensors",)


def export_model(
    model: "nn.Module",
    architecture: Architecture,
    out: Path | str,
    *,
    input_size: tuple[int, int, int],
    classes: tuple[str, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    images: "torch.Tensor",
    origin: Mapping[str, Any] | None = None,
    formats: Sequence[str] = FORMATS,
) -> tuple[Proof, ...]:
    """Write a trained model into a folder, and prove every format in a new process.

    Args:
        model: the trained network, built from `architecture`. It is moved to the CPU and put into evaluation mode.
        architecture: the description of the network.
        out: the folder to write; it must be new or empty.
        input_size: channels, rows and columns of an image.
        classes: the class names, in the order of the logits.
        mean: mean of each channel, for pixels 0..1.
        std: standard deviation of each channel, for pixels 0..1.
        images: images for the proof, normalised by `mean` and `std`, float32 (n, channels, rows, columns).
        origin: plain JSON that is stored with the model: search, trial, measurements, versions.
        formats: names in `EXPORT_FORMATS`.

    Returns:
        One proof for each format.

    Raises:
        SettingsError: `out` is not empty or cannot be written.
        UserError: a format is unknown or cannot be written, or its logits differ by more than 1e-4.

    Example:
        >>> export_model(model, architecture, "my-network", input_size=(1, 28, 28), classes=names, mean=(0.29,),
        ...              std=(0.35,), images=images)
    """
    network = TrainedNetwork(model.cpu().eval(), architecture, input_size, classes, mean, std, dict(origin or {}))
    return export_network(network, out, images, formats)


def export_network(
    network: TrainedNetwork, out: Path | str, images: "torch.Tensor", formats: Sequence[str] = FORMATS
) -> tuple[Proof, ...]:
    """Write a trained network into a folder, and prove every format in a new process.

    Args:
        network: what to write.
        out: the folder to write; it must be new or empty.
        images: images for the proof, as for `export_model`.
        formats: names in `EXPORT_FORMATS`.

    Returns:
        One proof for each format.

    Raises:
        SettingsError: `out` is not empty or cannot be written.
        UserError: a format is unknown or cannot be written, or its logits differ by more than 1e-4.
    """
    out = Path(out)
    check_empty(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # OUT appears complete or not at all: files are written beside it, then the folder is renamed.
        unfinished = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise SettingsError(f"OUT must be a folder that can be written; {out} cannot: {error.strerror}.") from None
    unfinished.chmod(0o755)
    try:
        proofs = _write(unfinished, network, images, formats)
        if out.exists():
            out.rmdir()
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return tuple(replace(proof, folder=out) for proof in proofs)


def _write(folder: Path, network: TrainedNetwork, images: "torch.Tensor", formats: Sequence[str]) -> list[Proof]:
    """Write every file of an export; raise UserError if a proof fails."""
    import torch

    entries = [EXPORT_FORMATS[name] for name in formats]
    for entry in entries:
        entry.write(network, folder)
    write_description(folder, network)
    write_card(folder, network, entries)
    with torch.inference_mode():
        logits = network.model(images.cpu())
    proofs = [prove(folder, entry.name, images.cpu(), logits) for entry in entries]
    write_manifest(folder, proofs)
    for proof in proofs:
        if proof.max_difference > TOLERANCE:
            raise UserError(f"logits of an exported model must be within {TOLERANCE:g}; {proof}.")
    return proofs
