"""Balanced accuracy and macro F1: scores that give every class the same weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassScores:
    """Scores of a network on a split, 0..1. A class without an image in the split is left out of both means.

    Attributes:
        balanced_accuracy: the mean of the recall of each class, which is the share of its images that are classified
            correctly (Brodersen et al. 2010). With equally many images in each class it is the accuracy.
        macro_f1: the mean of the F1 score of each class, 2 TP / (2 TP + FP + FN): TP images of the class are classified
            correctly, FN are not, and FP images of other classes are taken for it.
    """

    balanced_accuracy: float
    macro_f1: float


def class_scores(labels: Counts, predicted: Counts, classes: int) -> ClassScores:
    """Return balanced accuracy and macro F1.

    They equal scikit-learn's `balanced_accuracy_score(labels, predicted)` and `f1_score(labels, predicted,
    labels=numpy.unique(labels), average="macro")`. The latter is `f1_score(labels, predicted, average="macro")` unless
    a class without an image was predicted.

    Args:
        labels: the class of each image, (n,); n is at least 1.
        predicted: the class that the network gives each image, (n,).
        classes: the number of classes.

    Example:
        >>> class_scores(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
        ClassScores(balanced_accuracy=0.5, macro_f1=0.42857142857142855)
    """
    images = np.bincount(labels, minlength=classes)
    answers = np.bincount(predicted, minlength=classes)
    correct = np.bincount(labels[labels == predicted], minlength=classes)
    present = images > 0
    recall = correct[present] / images[present]
    f1 = 2 * correct[present] / (images[present] + answers[present])  # 2 TP + FP + FN = images + answers
    return ClassScores(float(recall.mean()), float(f1.mean()))
