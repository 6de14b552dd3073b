"""Classify image files with an exported network, in any of its formats."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_search.data.image_folder.decoding import check_pillow, decode
from hybrid_search.data.image_folder.left_out import LeftOut
from hybrid_search.data.image_folder.listing import is_hidden, list_images
from hybrid_search.data.stored_size import stored_side
from hybrid_search.errors import DataError, SettingsError, UserError, nearest, one_of
from hybrid_search.export.folder import check_folder, proven_formats, read_description
from hybrid_search.export.formats import EXPORT_FORMATS
from hybrid_search.records import Settings

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32  # images in one call
RUNS_CODE = ("pt2",)  # torch's loader of these files can run Python code that they contain
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how an image becomes grey


@dataclass(frozen=True)
class ImageToClassify:
    """An image file and its class: the name of its folder; None if it is unknown."""

    path: Path
    label: str | None = None


@dataclass(frozen=True)
class Prediction:
    """The prediction of a network for one image.

    Attributes:
        path: the file.
        label: the class of its folder; None if it is unknown.
        top: the most probable classes with their probabilities, 0..1, best first; empty if the file is broken.
        broken: why the file could not be read, one line; None if it could.
    """

    path: Path
    label: str | None
    top: tuple[tuple[str, float], ...]
    broken: str | None = None


class Classifier:
    """An exported network with its preprocessing.

    Args:
        folder: an exported folder.
        runtime: name of one of its formats; None: the first format of the folder. pt2 is refused: a file of unknown
            origin could run code.

    Raises:
        UserError: the folder is damaged, it does not have the format, or a runtime is not installed.

    Example:
        >>> classifier = Classifier("my-network")
        >>> for each in classifier.predict(find_images(["photos/test"])):
        ...     print(each.path, each.top[0])
    """

    def __init__(self, folder: Path | str, runtime: str | None = None) -> None:
        self.folder = Path(folder)
        check_folder(self.folder)
        description = read_description(self.folder)
        written = proven_formats(self.folder)
        if runtime is not None and runtime not in written:
            raise SettingsError(
                f"--runtime must be a format of {self.folder.name}, one of {', '.join(written)}; got {runtime!r}."
                f"{nearest(runtime, written)}"
            )
        safe = [name for name in written if name not in RUNS_CODE]
        if not safe or runtime in RUNS_CODE:
            raise SettingsError(
                f"predict must not load {', '.join(RUNS_CODE)}, because torch runs code that such a file contains; "
                f"{self.folder.name} has {', '.join(written)}. Export it as safetensors or onnx too."
            )
        self.runtime = runtime or safe[0]
        self.classes: tuple[str, ...] = tuple(description["classes"])
        channels, rows, cols = description["input_size"]
        if rows != cols or channels not in (1, 3):
            raise SettingsError(
                f"predict takes networks of square images with 1 or 3 channels; {self.folder.name} takes {channels} x "
                f"{rows} x {cols}."
            )
        self._channels, self._size = channels, rows
        preprocessing = description["preprocessing"]
        if not preprocessing["mean"]:
            raise UserError(f"preprocessing in architecture.json must have mean and std; {self.folder.name} has none.")
        self._scale, self._mean, self._std = (preprocessing[name] for name in ("scale", "mean", "std"))
        settings = description["origin"].get("settings", {})
        is_folder = settings.get("data") in ("imagefolder", "hf")
        self._stored = stored_side(Settings.from_dict(settings), rows) if is_folder else rows
        self._run: Callable[[Tensor], Tensor] = EXPORT_FORMATS[self.runtime].load(self.folder)

    def predict(self, images: Sequence[ImageToClassify], top: int = 1) -> Iterator[Prediction]:
        """Yield the prediction of every image, in order.

        Args:
            images: the image files.
            top: how many classes a prediction has, at most.
        """
        rest = iter(images)
        while some := list(islice(rest, BATCH)):
            yield from self._predict(some, min(top, len(self.classes)))

    def _predict(self, images: Sequence[ImageToClassify], top: int) -> Iterator[Prediction]:
        import torch

        decoded: list[Any] = []
        broken: dict[Path, str] = {}
        for image in images:
            try:
                decoded.append(decode(image.path, self._stored))
            except DataError as error:
                broken[image.path] = str(error)
        probabilities: Iterator[Tensor] = iter(())
        if decoded:
            with torch.no_grad():
                logits = self._run(self._normalised(torch.from_numpy(np.stack(decoded))))
            probabilities = iter(torch.softmax(logits.double(), dim=1))
        for image in images:
            if image.path in broken:
                yield Prediction(image.path, image.label, (), broken[image.path])
                continue
            values, indices = next(probabilities).topk(top)
            best = zip(indices.tolist(), values.tolist(), strict=True)
            yield Prediction(image.path, image.label, tuple((self.classes[i], value) for i, value in best))

    def _normalised(self, pixels: "Tensor") -> "Tensor":
        """Return float32 (n, channels, size, size) of uint8 (n, 3, stored, stored)."""
        import torch

        from hybrid_search.training.central_crop import central_crop

        images = central_crop(pixels, (self._size, self._size)).float()
        if self._channels == 1:
            images = (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True).round()
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (self._mean, self._std))
        normalised: Tensor = (images * self._scale - mean) / std
        return normalised


def find_images(
    paths: Sequence[Path | str], classes: Sequence[str] | None = None, notice: Callable[[str], None] = lambda line: None
) -> list[ImageToClassify]:
    """Return the image files of paths: files as they are, and every image below a folder, sorted.

    Args:
        paths: files and folders.
        classes: the class names of a network, to score it: every path must then be a folder with one folder for each
            class, and the images have these labels.
        notice: called with a line about what was left out.

    Raises:
        DataError: a path does not exist, there is no image, a folder is not a class of the network, or Pillow is not
            installed.
    """
    check_pillow()
    found: list[ImageToClassify] = []
    for path in map(Path, paths):
        if classes is not None:
            found += _labelled_images(path, classes, notice)
        elif path.is_dir():
            found += [ImageToClassify(each) for each in _images_below(path, notice)]
        elif path.exists():
            found.append(ImageToClassify(path))
        else:
            raise DataError(f"images must be files or folders that exist; {path} does not.")
    if not found:
        raise DataError(f"there must be at least one image; found none in {', '.join(map(str, paths))}.")
    return found


def _labelled_images(path: Path, classes: Sequence[str], notice: Callable[[str], None]) -> list[ImageToClassify]:
    """Return the images of a folder of classes."""
    if not path.is_dir():
        raise DataError(f"--evaluate needs a folder with one folder for each class; {path} is none.")
    folders = sorted(each for each in path.iterdir() if each.is_dir() and not is_hidden(each.name))
    for folder in folders:
        one_of(f"a folder in {path}", folder.name, classes, DataError)
    if not folders:
        raise DataError(f"--evaluate needs a folder with one folder for each class; {path} has no folder.")
    return [ImageToClassify(each, folder.name) for folder in folders for each in _images_below(folder, notice)]


def _images_below(folder: Path, notice: Callable[[str], None]) -> list[Path]:
    left_out = LeftOut(folder)
    images = list_images(folder, left_out)
    if left_out.counts:
        notice(left_out.lines()[0])
    return images


@dataclass(frozen=True)
class PredictionScores:
    """The scores of a network on labelled images that could be read.

    Attributes:
        images: their number.
        accuracy: share that is classified correctly, 0..1.
        balanced_accuracy: mean over classes of the share that is classified correctly, 0..1.
        confusion: (true class, predicted class) -> number of images, for every pair that occurs.
    """

    images: int
    accuracy: float
    balanced_accuracy: float
    confusion: Mapping[tuple[str, str], int]


def evaluate_predictions(predictions: Sequence[Prediction], classes: Sequence[str]) -> PredictionScores:
    """Return the scores of labelled predictions.

    Args:
        predictions: the predictions; broken files are left out.
        classes: the class names of the network.

    Raises:
        DataError: no image could be read.
    """
    from hybrid_search.training.class_scores import class_scores

    read = [each for each in predictions if each.broken is None and each.label is not None]
    if not read:
        raise DataError("there must be at least one image that can be read; all are broken.")
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[str(each.label)] for each in read])
    predicted = np.array([number[each.top[0][0]] for each in read])
    confusion = Counter((str(each.label), each.top[0][0]) for each in read)
    balanced = class_scores(labels, predicted, len(classes)).balanced_accuracy
    return PredictionScores(len(read), float((labels == predicted).mean()), balanced, confusion)
