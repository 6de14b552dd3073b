"""The results of a trained network on validation images, class by class, for its model card."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hybrid_search.data import Dataset
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import total_cost
from hybrid_search.pruners.audit import wilson

if TYPE_CHECKING:
    from torch import nn

BATCH = 64
MOST_FLOPS = 2e12  # of all images together; about a minute on one core
LEAST_IMAGES = 256
SEED = 0


@dataclass(frozen=True)
class ClassResults:
    """The results of a network on images of the validation split.

    Attributes:
        images: number of images of each class.
        correct: number of those that are classified correctly.
        predicted: number of images of any class that are taken for each class.
        of: number of images of the validation split; more than were used if the network is too expensive for all.
    """

    images: tuple[int, ...]
    correct: tuple[int, ...]
    predicted: tuple[int, ...]
    of: int

    @property
    def total(self) -> int:
        """Number of images that were used."""
        return sum(self.images)

    def accuracy(self) -> tuple[float, float, float]:
        """Return (low, accuracy, high): the share that is classified correctly with its 95 % Wilson interval, 0..1."""
        return wilson(sum(self.correct), self.total)


def class_results(
    model: "nn.Module", architecture: Architecture, dataset: Dataset, mean: Sequence[float], std: Sequence[float]
) -> ClassResults:
    """Return the results of a network on the validation images, or on a random part if all would take too long.

    Args:
        model: the network on the CPU, in evaluation mode.
        architecture: its description.
        dataset: the data that it was trained on.
        mean, std: of each channel, for pixels 0..1.

    Example:
        >>> class_results(model, architecture, dataset, dataset.mean, dataset.std).accuracy()
        (0.960, 0.981, 0.991)
    """
    import torch

    from hybrid_search.training.central_crop import central_crop

    split, classes = dataset.validation, len(dataset.classes)
    flops = max(1, total_cost(architecture, dataset.input_size, classes)[0])
    most = max(LEAST_IMAGES, int(MOST_FLOPS / flops))
    rows = np.arange(len(split))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(SEED).choice(len(rows), most, replace=False))
    shift, scale = (torch.tensor(list(values)).float().view(1, -1, 1, 1) for values in (mean, std))
    answers = []
    with torch.inference_mode():
        for first in range(0, len(rows), BATCH):
            stored = torch.tensor(np.asarray(split.images[rows[first : first + BATCH]]))
            pixels = central_crop(stored, dataset.input_size[1:]).float() / 255
            answers.append(model((pixels - shift) / scale).argmax(dim=1).numpy())
    labels, found = split.labels[rows], np.concatenate(answers)
    counts = (np.bincount(each, minlength=classes).tolist() for each in (labels, labels[labels == found], found))
    images, correct, predicted = map(tuple, counts)
    return ClassResults(images, correct, predicted, len(split))
