"""The contract of a data set as a class of tests."""

import logging
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from hybrid_search.data import (
    DATASETS,
    Dataset,
    clear_cache,
    fingerprint_of,
    input_size_and_classes,
    load,
    open_test,
    prepare,
)
from hybrid_search.data.dataset import Split
from hybrid_search.data.splits import plan_splits
from hybrid_search.errors import DataError
from hybrid_search.records import Settings

# Run in another process, which finds the data set by its entry point.
PRINT_FINGERPRINT = """
import json, sys
from hybrid_search.data import load
from hybrid_search.records import Settings
print(load(Settings.from_dict(json.loads(sys.argv[1]))).fingerprint)
"""


class DatasetContract:
    """The tests that every data set must pass. Inherit from it in a test module.

    The package of the data set must be installed, so that its entry point is found.

    Attributes:
        name: the name in `DATASETS`.
        classes: the class names that the test files have.
        always_square: True if the source turns every image into a square. Otherwise `write` must write images whose
            rows and columns differ.

    Example:
        >>> class TestFlowers(DatasetContract):
        ...     name, classes = "flowers", ("rose", "tulip")
        ...     def write(self, folder):
        ...         write_flowers(folder, images=60, rows=6, columns=9)
        ...         return Settings(data="flowers", data_dir=str(folder))
    """

    name: ClassVar[str]
    classes: ClassVar[tuple[str, ...]]
    always_square: ClassVar[bool] = False

    def write(self, folder: Path) -> Settings:
        """Write a small data set with at least twelve different images of each class.

        Args:
            folder: an empty folder.

        Returns:
            Settings that read it.
        """
        raise NotImplementedError

    @pytest.fixture
    def settings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
        """Write the files; use an empty cache in memory and an empty cache folder."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        clear_cache()
        folder = tmp_path / "data"
        folder.mkdir()
        return self.write(folder)

    def test_the_source_has_its_name_a_description_and_a_licence(self) -> None:
        """They are shown to people."""
        source = DATASETS[self.name]
        assert source.name == self.name
        for text in (source.about, source.licence):
            assert text.strip()
            assert "\n" not in text

    def test_images_are_bytes_and_labels_are_class_numbers(self, settings: Settings) -> None:
        """Images are uint8 (n, channels, rows, columns), labels int64 (n,)."""
        dataset = load(settings)
        for split in (dataset.train, dataset.validation, open_test(settings, "contract test")):
            assert split.images.dtype == np.uint8
            assert split.images.shape == (len(split), *dataset.input_size)
            assert split.labels.dtype == np.int64
            assert split.labels.shape == (len(split),)
            assert set(split.labels) <= set(range(len(dataset.classes)))
        assert set(dataset.train.labels) == set(range(len(dataset.classes)))

    def test_the_images_are_checked_before_a_search_and_what_is_said_about_them_is_lines(
        self, settings: Settings
    ) -> None:
        """`prepare` raises nothing for files in order; its notes are kept with the search."""
        notes = prepare(settings, print)
        assert all(isinstance(note, str) and note.strip() and "\n" not in note for note in notes)

    def test_the_class_names_are_distinct_and_in_the_order_of_the_labels(self, settings: Settings) -> None:
        """An exported model carries these names."""
        assert load(settings).classes == self.classes
        assert len(set(self.classes)) == len(self.classes)
        assert all(isinstance(name, str) and name.strip() for name in self.classes)

    def test_size_and_number_of_classes_are_known_before_loading(self, settings: Settings) -> None:
        """A search computes costs from them before a worker reads the images."""
        before = input_size_and_classes(settings)
        dataset = load(settings)
        assert before == (dataset.input_size, len(dataset.classes))

    def test_rows_and_columns_may_differ(self, settings: Settings) -> None:
        """An image that is not square keeps its rows and columns, unless the source makes squares."""
        _, rows, cols = load(settings).input_size
        assert (rows == cols) == self.always_square

    def test_image_size_resizes(self, settings: Settings) -> None:
        """`image_size` gives square images of this size."""
        small = settings.with_(image_size=5)
        channels = load(settings).input_size[0]
        assert load(small).input_size == (channels, 5, 5)
        assert input_size_and_classes(small)[0] == (channels, 5, 5)

    def test_the_splits_are_disjoint(self, settings: Settings) -> None:
        """No image is in two splits. One image in a hundred may have an equal twin, as in digits."""
        dataset = load(settings)
        splits = (dataset.train, dataset.validation, open_test(settings, "contract test"))
        distinct = {image.tobytes() for split in splits for image in split.images}
        assert len(distinct) >= 0.99 * sum(len(split) for split in splits)

    def test_the_splits_are_stratified(self, settings: Settings) -> None:
        """Every split that is cut from train has the same share of each class, except for rounding."""
        contents = DATASETS[self.name].read(settings)
        sizes = np.bincount(contents.train.labels, minlength=len(contents.classes))
        for part, indices in plan_splits(contents, settings).values():
            if part is contents.train:
                counts = np.bincount(part.labels[indices], minlength=len(contents.classes))
                assert counts.min() > 0
                assert np.abs(counts / sizes - len(indices) / sizes.sum()).max() <= 2 / sizes.min()

    def test_the_test_split_is_used_only_after_an_opening_that_is_logged(
        self, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The data set of a search has no test images; `open_test` needs a reason and logs it."""
        with caplog.at_level(logging.WARNING):
            dataset = load(settings)
            with pytest.raises(DataError, match="needs a reason"):
                open_test(settings, " ")
            assert "used the test split" not in caplog.text
            test = open_test(settings, "contract test")
        assert isinstance(dataset, Dataset)
        assert [field.name for field in fields(dataset) if isinstance(getattr(dataset, field.name), Split)] == [
            "train",
            "validation",
        ]
        line = f"{self.name} ({len(test)} images, fingerprint {fingerprint_of(test, settings)}): contract test"
        assert caplog.text.count(line) == 1

    def test_the_fingerprint_is_equal_in_another_process(self, settings: Settings) -> None:
        """A worker on another machine must compute the same sixteen digits."""
        import json

        first = load(settings).fingerprint
        clear_cache()
        assert load(settings).fingerprint == first
        command = [sys.executable, "-c", PRINT_FINGERPRINT, json.dumps(settings.to_dict())]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == first

    def test_a_wrong_folder_raises_a_data_error_of_one_line(self, settings: Settings, tmp_path: Path) -> None:
        """The error appears before anything is trained."""
        with pytest.raises(DataError, match=r"data-dir|missing") as caught:
            input_size_and_classes(settings.with_(data_dir=str(tmp_path / "missing")))
        assert "\n" not in str(caught.value)
