"""AllImages: the training and the validation images of a data set as one training split."""

from dataclasses import dataclass, replace

import numpy as np

from hybrid_search._internal.counted import counted
from hybrid_search.data.dataset import Dataset, Split
from hybrid_search.data.loading import load, validation_images_in_test
from hybrid_search.data.on_demand import joined
from hybrid_search.records import Settings


@dataclass(frozen=True, eq=False)
class AllImages:
    """Training and validation images together, and how many of each there are.

    Attributes:
        dataset: the data set; its training split has the images of both splits. The validation split, the fingerprint,
            the mean and the standard deviation are those of the data set without the validation images.
        train: the number of training images.
        validation: the number of validation images that are trained on.
        left_out: the number of validation images that are left out because they are in the test split too. It is 0
            without `drop_duplicates`.
        in_test: the number of validation images that are trained on and are in the test split too.
    """

    dataset: Dataset
    train: int
    validation: int
    left_out: int
    in_test: int

    @classmethod
    def of(cls, settings: Settings) -> "AllImages":
        """Return the images of these settings.

        Args:
            settings: as for `load`. With `drop_duplicates`, validation images that are in the test split too are left
                out, as training images are.

        Raises:
            DataError: as for `load`.
        """
        dataset = load(settings)
        in_test = validation_images_in_test(settings)
        images, labels = dataset.validation.images, dataset.validation.labels
        left_out = len(in_test) if settings.drop_duplicates else 0
        if left_out:
            kept = np.setdiff1d(np.arange(len(labels)), in_test)
            images, labels = images[kept], labels[kept]
        train = Split(joined([dataset.train.images, images]), np.concatenate([dataset.train.labels, labels]))
        return cls(replace(dataset, train=train), len(dataset.train), len(labels), left_out, len(in_test) - left_out)

    @property
    def facts(self) -> dict[str, str]:
        """The facts of a training on these images, as the ledger stores them."""
        return {
            "trained_on": "train and validation",
            "train_images": str(self.train),
            "validation_images": str(self.validation),
            "validation_images_left_out": str(self.left_out),
            "validation_images_in_test": str(self.in_test),
        }

    @property
    def lines(self) -> tuple[str, ...]:
        """What a person should know of these images, one line for each fact."""
        lines = [
            f"trained on {self.train:,} training and {counted(self.validation, 'validation image')}; no validation "
            "accuracy is measured. The test split is used at the end"
        ]
        if self.left_out:
            lines.append(
                f"drop_duplicates left {counted(self.left_out, 'validation image')} out, with the content of test "
                "images"
            )
        if self.in_test:
            lines.append(
                f"{counted(self.in_test, 'validation image')} with the content of test images are trained on, so the "
                "test accuracy is too high. --set drop_duplicates=true leaves them out"
            )
        return tuple(lines)
