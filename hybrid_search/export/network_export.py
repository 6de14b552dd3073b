"""Write a trained network into a folder, in one or more formats, and prove each of them."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.errors import SettingsError, UserError
from hybrid_search.export.folder import MANIFEST, plugin_packages, write_description, write_manifest
from hybrid_search.export.formats import EXPORT_FORMATS, ExportFormat, TrainedNetwork
from hybrid_search.export.model_card import write_card
from hybrid_search.export.output_folder import OutputFolder, output_folder
from hybrid_search.export.proof import GIVEN, TOLERANCE, VALIDATION, Expected, Proof, prove
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import input_size_of

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMATS = ("safetensors",)
ALL = "all"
Notice = Callable[[str], None]


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
    formats: Sequence[str | ExportFormat] = FORMATS,
    notice: Notice = lambda line: None,
) -> tuple[Proof, ...]:
    """Write a trained model into a folder, and prove every format in a new process.

    Args:
        model: the trained network, built from `architecture`. It is moved to the CPU and put into evaluation mode.
        architecture: the description of the network.
        out: the folder to write; it must be new or empty. Files are written into it; it is never renamed.
        input_size: channels, rows and columns of an image.
        classes: the class names, in the order of the logits.
        mean: mean of each channel, for pixels 0..1.
        std: standard deviation of each channel, for pixels 0..1.
        images: images for the proof, normalised by `mean` and `std`, float32 (n, channels, rows, columns).
        origin: plain JSON that is stored with the model: search, trial, measurements, versions.
        formats: names in `EXPORT_FORMATS`, or formats of your own, which are registered under their names. "all" is
            every format.
        notice: called with one line for each format that cannot be written, if others can.

    Returns:
        One proof for each format that was written.

    Raises:
        SettingsError: `out` is not empty or cannot be written, its disk is full, or an argument does not fit the
            network. Nothing was written.
        UserError: a format is unknown; or no format can be written, or its logits differ by more than 1e-4.

    Example:
        >>> export_model(model, architecture, "my-network", input_size=(1, 28, 28), classes=names, mean=(0.29,),
        ...              std=(0.35,), images=images)
    """
    network = TrainedNetwork(model.cpu().eval(), architecture, input_size, classes, mean, std, dict(origin or {}))
    return export_network(network, out, images, formats, image_source=GIVEN, notice=notice)


def export_network(
    network: TrainedNetwork,
    out: Path | str,
    images: "torch.Tensor",
    formats: Sequence[str | ExportFormat] = FORMATS,
    *,
    image_source: str = VALIDATION,
    notice: Notice = lambda line: None,
) -> tuple[Proof, ...]:
    """Write a trained network into a folder, and prove every format in a new process.

    Args:
        network: what to write.
        out: the folder to write; it must be new or empty. Files are written into it; it is never renamed.
        images: images for the proof, as for `export_model`.
        formats: as for `export_model`.
        image_source: what the images are, in words; the model card and the manifest state it.
        notice: as for `export_model`.

    Returns:
        One proof for each format that was written.

    Raises:
        SettingsError: as for `export_model`.
        UserError: a format is unknown or cannot be written, or its logits differ by more than 1e-4.
    """
    entries = format_entries(formats)
    with output_folder(out) as folder:
        return write_export(folder, network, images, entries, image_source, notice)


def format_entries(formats: Sequence[str | ExportFormat]) -> list[ExportFormat]:
    """Return the entries of the table of formats, each once.

    Args:
        formats: names in `EXPORT_FORMATS`, or formats of a program, which are registered under their names; "all" is
            every format. A text may have several names with commas.

    Raises:
        SettingsError: there is none.
        UserError: a name is unknown, or its plugin cannot be used.
    """
    if isinstance(formats, str) or not formats:
        raise SettingsError(f"formats must be a list of at least one export format; got {formats!r}.")
    for each in formats:
        if not isinstance(each, str):
            EXPORT_FORMATS.register(getattr(each, "name", type(each).__name__), each)
    given = [name for each in formats for name in (each.split(",") if isinstance(each, str) else [each.name])]
    names = dict.fromkeys(name.strip() for name in given)
    if ALL in names:
        names = dict.fromkeys([*EXPORT_FORMATS.usable(), *(name for name in names if name != ALL)])
    return [EXPORT_FORMATS[name] for name in names]


def write_export(
    folder: OutputFolder,
    network: TrainedNetwork,
    images: "torch.Tensor",
    entries: Sequence[ExportFormat],
    image_source: str,
    notice: Notice = lambda line: None,
) -> tuple[Proof, ...]:
    """Write every file of an export into a reserved folder, prove every format, and finish the folder.

    Args:
        folder: the folder.
        network: what to write.
        images: images for the proof.
        entries: the formats.
        image_source: what the images are, in words.
        notice: called with one line for each format that cannot be written.

    Returns:
        One proof for each format that was written.

    Raises:
        UserError: as for `export_model`.
    """
    _check_fit(network, images)
    state = network.model.state_dict().values()
    folder.check_space(len(entries) * sum(tensor.nbytes for tensor in state))
    new, packages = folder.unfinished, plugin_packages(network)
    with clean_process_state():
        expected = _expected(network, images)
        network = replace(network, images=expected.images)
        with folder.writing():
            write_description(new, network)
        proofs: dict[str, Proof] = {}
        failed: dict[str, UserError] = {}
        for entry in entries:
            before = set(new.iterdir())
            try:
                proofs[entry.name] = _written(folder, network, entry, expected, image_source)
            except SettingsError:  # of the folder
                raise
            except UserError as error:
                failed[entry.name] = error
                for path in set(new.iterdir()) - before:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not proofs:
            raise next(iter(failed.values()))
        reasons = {name: str(error) for name, error in failed.items()}
        for reason in reasons.values():
            notice(f"not written: {reason}")
    with folder.writing():
        written = [entry for entry in entries if entry.name in proofs]
        write_card(new, network, written, image_source, list(proofs.values()), reasons)
        write_manifest(new, proofs.values(), packages, reasons)
    folder.finish(MANIFEST)
    return tuple(replace(proof, folder=folder.path) for proof in proofs.values())


def _written(
    folder: OutputFolder, network: TrainedNetwork, entry: ExportFormat, expected: Expected, image_source: str
) -> Proof:
    """Write one format and prove it; raise UserError if it cannot be written or its logits differ."""
    with folder.writing():
        entry.write(network, folder.unfinished)
        write_manifest(folder.unfinished, (), plugin_packages(network))
    proof = prove(folder.unfinished, entry.name, expected, image_source)
    (folder.unfinished / MANIFEST).unlink()
    if not proof.holds:
        shown = replace(proof, folder=folder.path)
        raise UserError(f"logits of an exported model must be within {TOLERANCE:g}, with equal predictions; {shown}.")
    return proof


def _check_fit(network: TrainedNetwork, images: "torch.Tensor") -> None:
    """Raise SettingsError unless images, class names, mean and standard deviation fit the network."""
    channels, rows, cols = size = tuple(network.input_size)
    if size != (own := input_size_of(network.architecture, (channels, rows, cols))):
        texts = ["x".join(map(str, each)) for each in (own, size)]
        raise SettingsError(f"input_size must be that of the architecture, {texts[0]}; got {texts[1]}.")
    if images.ndim != 4 or not len(images) or tuple(images.shape[1:]) != size or not images.is_floating_point():
        got = f"{images.dtype} {tuple(images.shape)}"
        raise SettingsError(f"images must be floating-point numbers of (n, {', '.join(map(str, size))}); got {got}.")
    for name, values in (("mean", network.mean), ("std", network.std)):
        if len(values) not in (0, channels):
            raise SettingsError(f"{name} must have a number for each of {channels} channels; got {len(values)}.")


def _expected(network: TrainedNetwork, images: "torch.Tensor") -> Expected:
    """Return the logits of the trained network; raise SettingsError unless there is one for each class name."""
    expected = Expected.of(network.model, images, network.labels)
    if tuple(expected.logits.shape) != (len(images), len(network.classes)):
        raise SettingsError(
            f"classes must have a name for each logit; got {len(network.classes)} names and logits of "
            f"{tuple(expected.logits.shape)}."
        )
    return expected
