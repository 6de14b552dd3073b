"""A teacher of a distillation: a network that gives logits for the images of another one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.data import Dataset
from hybrid_search.errors import SettingsError, UnknownName, nearest, shown


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network with the images that it takes.

    Attributes:
        model: the network: images -> logits.
        channels: channels of its images.
        mean: mean of each channel, for pixels 0..1.
        std: standard deviation of each channel.
        size: rows and columns of its images; None: any.
        order: positions of its logits in the order of the classes of the data.
    """

    model: nn.Module
    channels: int
    mean: Sequence[float]
    std: Sequence[float]
    size: tuple[int, int] | None
    order: Sequence[int]

    def of(self, dataset: Dataset) -> "BoundTeacher":
        """Return the teacher for the images of a data set.

        Args:
            dataset: gives mean and standard deviation of the images.

        Raises:
            SettingsError: it takes images of another number of channels.
        """
        if dataset.input_size[0] not in (1, self.channels):
            raise SettingsError(
                f"a teacher must take images of {dataset.input_size[0]} channels; this one takes {self.channels}."
            )
        return BoundTeacher(self, dataset)


class BoundTeacher:
    """A teacher for the images of one data set: normalised images, (n, channels, rows, cols) -> logits (n, classes).

    Args:
        teacher: the teacher.
        dataset: the data set, whose mean and standard deviation the images were normalised with.
    """

    def __init__(self, teacher: Teacher, dataset: Dataset) -> None:
        self._teacher = teacher
        self._model = teacher.model.eval().requires_grad_(False)
        ours, theirs = (torch.tensor(list(each)).view(1, -1, 1, 1) for each in (dataset.std, teacher.std))
        mean, other = (torch.tensor(list(each)).view(1, -1, 1, 1) for each in (dataset.mean, teacher.mean))
        self._scale, self._shift = ours / theirs, (mean - other) / theirs
        self._order = torch.tensor(list(teacher.order))
        self._device = torch.device("cpu")

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits of normalised images.

        Args:
            x: the images.
        """
        if x.device != self._device:
            self._device = x.device
            self._model = self._model.to(x.device)
            self._scale, self._shift, self._order = (
                each.to(x.device) for each in (self._scale, self._shift, self._order)
            )
        x = x * self._scale + self._shift  # one channel becomes as many as the teacher takes
        if x.shape[1] < self._teacher.channels:
            x = x.expand(-1, self._teacher.channels, -1, -1)
        if self._teacher.size is not None and tuple(x.shape[2:]) != self._teacher.size:
            x = F.interpolate(x, size=self._teacher.size, mode="bilinear", antialias=True)
        with torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=x.is_cuda):
            logits: Tensor = self._model(x)
        return logits.float()[:, self._order]


def timm_teacher(name: str, classes: int) -> Teacher:
    """Return a pretrained model of timm as a teacher. Its weights are downloaded, unless they are in timm's cache.

    Args:
        name: the name of the model, with the tag of its weights: vit_small_patch16_224.augreg_in1k, or hf-hub:...
        classes: number of classes of the data.

    Raises:
        UnknownName: timm has no such model with weights.
        SettingsError: timm is not installed, or the model has another number of classes.
    """
    import_torchvision()
    try:
        import timm
    except ImportError as error:
        raise SettingsError(
            f"a teacher of timm needs timm, which cannot be imported: {error}. Install it: pip install "
            "'hybrid-search[timm]'."
        ) from None
    hub = ":" in name
    if not hub and not timm.is_model(name):
        raise UnknownName(
            f"teacher must be timm:NAME of a model of timm, or an exported folder; got {shown(f'timm:{name}')}."
            f"{nearest(name.partition('.')[0], timm.list_models())}"
        )
    known = None if hub else timm.get_pretrained_cfg(name, allow_unregistered=True)
    _check_classes(name, None if known is None else known.num_classes, classes)
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as error:  # timm, the hub and the network raise errors of many classes
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SettingsError(
            f"a teacher needs pretrained weights; those of {name} cannot be loaded: {reason}."
        ) from None
    _check_classes(name, getattr(model, "num_classes", None), classes)
    config: Any = model.pretrained_cfg
    fixed = bool(config.get("fixed_input_size"))
    channels, rows, cols = config["input_size"]
    return Teacher(model, channels, config["mean"], config["std"], (rows, cols) if fixed else None, range(classes))


def _check_classes(name: str, have: int | None, need: int) -> None:
    if have is not None and have != need:
        raise SettingsError(f"a teacher must have the {need} classes of the data; {name} has {have}.")
