"""Means over seeds of one measurement, with the variance function and the smallest variance of its kind.

Accuracy, balanced accuracy and macro F1 are shares, with the variance function `m (1 - m)`. The last two change in
steps of `1 / (classes x images of the smallest class)`: with three images in a class of two, one image is 17 points.
Equal values of all seeds then prove little. So their variance is at least `step^2 / 12`, that of rounding to a step.

In simulations with validation classes of 40 : 1, 40 : 3 and 200 : 3 images, 95 % intervals of balanced accuracy over
2, 3 and 5 seeds contain the true mean in 85 to 94 % of cases without this bound, in 96 to 99 % with it (docs/log.md).
"""

from functools import partial

from hybrid_search.analysis.confidence.seed_means import (
    MIN_RELATIVE_VARIANCE,
    SeedMeans,
    reference_variance,
    seed_means,
)
from hybrid_search.ledger import Ledger, reads
from hybrid_search.objectives import TEST, TESTED, Objective

CLASS_MEANS = ("balanced_accuracy", "macro_f1")  # means over classes
# Measurements of retrainings only, never objectives; they have the noise of the same number on the validation split.
TEST_OBJECTIVES = tuple(Objective(f"{TEST}{name}", "maximize", unit="share") for name in TESTED)


def class_step(ledger: Ledger, search_id: int) -> float:
    """Return how much one image of the smallest class changes a mean over the classes, 0..1; 0 if it is not known.

    Args:
        ledger: The open ledger.
        search_id: Row id of the search.
    """
    found = [ledger.read(reads.fact, search_id, name) for name in ("validation_classes", "smallest_class")]
    numbers = [int(text) if text is not None and text.isdecimal() else 0 for text in found]
    return 1 / (numbers[0] * numbers[1]) if all(numbers) else 0.0


def repeated_means(samples: list[list[float]], kind: Objective, step: float) -> SeedMeans:
    """Return means and noise of one measurement of several trials.

    Args:
        samples: For each trial, its values under several seeds.
        kind: The measurement.
        step: The result of `class_step`.
    """
    share = kind.unit == "share"
    means_of_classes = share and kind.name.removeprefix(TEST) in CLASS_MEANS
    variance = partial(reference_variance, share=share)
    smallest = step**2 / 12 if means_of_classes else 0.0
    return seed_means(samples, variance, MIN_RELATIVE_VARIANCE if share else 0.0, smallest)
