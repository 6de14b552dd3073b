"""The data of a trial that is exported: the images of its proof, and what the network needs to know of its data.

An export needs images only for its proof. Without the data of the trial the proof uses images that are drawn from a
seed. Class names and preprocessing come from the header of the stored weights, otherwise from the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search._internal.paths import data_location
from hybrid_search.data import Dataset
from hybrid_search.errors import LedgerError
from hybrid_search.export.class_results import ClassResults, class_results
from hybrid_search.export.proof import VALIDATION
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import SearchRecord, Settings, TrialRecord
from hybrid_search.training.weights_file import DataFacts

if TYPE_CHECKING:
    import torch
    from torch import nn

PROOF_IMAGES = 256
PROOF_SEED = 0
DRAWN = f"images drawn from seed {PROOF_SEED}"


@dataclass(frozen=True, eq=False)
class TrialData:
    """The data of a trial, as far as it is here.

    Attributes:
        settings: the settings of the trial; `data_dir` is where its data is.
        dataset: the data set; None if it is not here.
        why: why it is not here; None if it is.
    """

    settings: Settings
    dataset: Dataset | None
    why: str | None = None

    @property
    def image_source(self) -> str:
        """The origin of the images of the proof, in words."""
        return DRAWN if self.dataset is None else VALIDATION

    def images(self, input_size: tuple[int, int, int]) -> "torch.Tensor":
        """Return the images of the proof, normalised, float32 (n, channels, rows, columns).

        Args:
            input_size: channels, rows and columns.
        """
        import torch

        from hybrid_search.training.central_crop import central_crop

        if self.dataset is None:
            rng = torch.Generator().manual_seed(PROOF_SEED)
            return torch.randn(PROOF_IMAGES, *input_size, generator=rng)
        stored = torch.tensor(self.dataset.validation.images[:PROOF_IMAGES])
        pixels = central_crop(stored, input_size[1:]).float() / 255
        pairs = (self.dataset.mean, self.dataset.std)
        mean, std = (torch.tensor(list(values)).float().view(1, -1, 1, 1) for values in pairs)
        return (pixels - mean) / std

    def class_results(self, model: "nn.Module", architecture: Architecture) -> ClassResults | None:
        """Return the results of a network on the validation images; None without the data.

        Args:
            model: the network on the CPU, in evaluation mode.
            architecture: its description.
        """
        if self.dataset is None:
            return None
        return class_results(model, architecture, self.dataset, self.dataset.mean, self.dataset.std)

    def labels(self) -> tuple[int, ...]:
        """Return the classes of the images of the proof; empty without the data."""
        if self.dataset is None:
            return ()
        return tuple(int(label) for label in self.dataset.validation.labels[:PROOF_IMAGES])


def find_data(record: SearchRecord, trial: TrialRecord, data_dir: str | Path | None) -> TrialData:
    """Return the data of a trial.

    Args:
        record: the search.
        trial: one of its trials.
        data_dir: where the user says that the data is; None: where the trial, or the search, had it.

    Raises:
        UserError: `data_dir` is given, and the data is not there, or is other data.
    """
    settings = Settings.from_dict(trial.settings)
    side = trial.architecture.get("image_size")
    size = record.input_size if side is None else (record.input_size[0], side, side)
    needs = Needs("trial", trial.facts.get("fingerprint"), size, record.classes)
    return data_of(settings, needs, (settings.data_dir, record.settings.data_dir), data_dir)


@dataclass(frozen=True)
class Needs:
    """The properties that the data of an export must have.

    Attributes:
        what: what was trained on it: trial, training.
        fingerprint: its fingerprint; None: unknown.
        input_size: channels, rows and columns of an image.
        classes: number of classes.
    """

    what: str
    fingerprint: str | None
    input_size: tuple[int, int, int]
    classes: int


def data_of(settings: Settings, needs: Needs, places: Sequence[str | None], data_dir: str | Path | None) -> TrialData:
    """Return the data of a network.

    Args:
        settings: the settings of its training.
        needs: what the data must be.
        places: folders where it may be.
        data_dir: where the user says that it is; None: in one of `places`.

    Raises:
        UserError: `data_dir` is given, and the data is not there, or is other data.
    """
    if data_dir is not None:
        settings = settings.with_(data_dir=data_location("data_dir (--data-dir)", data_dir))
        return TrialData(settings, _load(settings, needs))
    reasons = []
    for place in dict.fromkeys(places):
        try:
            here = settings.with_(data_dir=place)
            return TrialData(here, _load(here, needs))
        except Exception as error:  # a data set of another package may raise anything, and the export needs none
            lines = str(error).strip().splitlines()
            reasons.append(lines[0] if lines else type(error).__name__)
    return TrialData(settings, None, reasons[0])


def _load(settings: Settings, needs: Needs) -> Dataset:
    """Return the data set; raise LedgerError unless it is the one that is needed."""
    from hybrid_search import data

    data.DATASETS.stored(settings.data)
    dataset = data.load(settings)
    if needs.fingerprint not in (None, dataset.fingerprint):
        raise LedgerError(
            f"an export must use the data of the {needs.what}; {settings.data} had fingerprint "
            f"{needs.fingerprint}, here it has {dataset.fingerprint}. Restore the data."
        )
    if (dataset.input_size, len(dataset.classes)) != (needs.input_size, needs.classes):
        size = "x".join(map(str, needs.input_size))
        raise LedgerError(
            f"an export must use the data of the {needs.what}, {size} images of {needs.classes} classes; "
            f"{settings.data} has {'x'.join(map(str, dataset.input_size))} images of {len(dataset.classes)} classes "
            "here. Restore the data."
        )
    return dataset


def needed(found: TrialData, number: int) -> LedgerError:
    """Return the error for a trial that must be trained again, and whose data is not here.

    Args:
        found: the data of the trial.
        number: the number of the trial.
    """
    return LedgerError(
        f"trial {number} has no stored weights, so its data is needed to train it again: {found.why} "
        "Name the folder or file of the data: data_dir (--data-dir PATH)."
    )


def facts_of(
    weights_facts: DataFacts | None, found: TrialData, classes: int, channels: int
) -> tuple[DataFacts, list[str]]:
    """Return what the network needs to know of its data, and what of it is unknown.

    Args:
        weights_facts: what the header of the weights says; None if it says nothing.
        found: the data of the trial.
        classes: number of classes of the search.
        channels: channels of an image.

    Returns:
        The facts, with numbered classes and no mean if they are unknown, and the unknown ones in words.
    """
    for facts in (weights_facts, DataFacts.of(found.dataset) if found.dataset else None):
        if facts is not None and len(facts.classes) == classes and len(facts.mean) == len(facts.std) == channels:
            return facts, []
    numbered = tuple(f"class {index}" for index in range(classes))
    unknown = ["class names", "mean and standard deviation of the pixels", "licence of the data"]
    return DataFacts(found.settings.data, "", numbered, (), (), "unknown"), unknown
