"""Find the teacher that a text names: an exported folder, or a model of timm."""

import hashlib
from typing import TYPE_CHECKING

from hybrid_search._internal.paths import absolute_path
from hybrid_search.errors import SettingsError
from hybrid_search.export.folder import read_description, sha256_of
from hybrid_search.export.safetensors_format import WEIGHTS, load_exported

if TYPE_CHECKING:
    from hybrid_search.data import Dataset
    from hybrid_search.training.teachers import BoundTeacher

TIMM = "timm:"


def find_teacher(typed: str, dataset: "Dataset") -> "tuple[BoundTeacher, str]":
    """Return a teacher for a data set, and a text that identifies its weights.

    Args:
        typed: `timm:NAME` for a pretrained model of timm, otherwise an exported folder.
        dataset: the data set.

    Raises:
        UserError: there is no such network, it has other classes, or it takes other images.
    """
    from hybrid_search.training.teachers import Teacher, timm_teacher

    if typed.startswith(TIMM):
        return timm_teacher(typed.removeprefix(TIMM), len(dataset.classes)).of(dataset), typed
    folder = absolute_path("teacher (--teacher)", typed)
    model = load_exported(folder)
    description = read_description(folder)
    names, wanted = tuple(description["classes"]), tuple(dataset.classes)
    if sorted(names) != sorted(wanted):
        only = next((name for name in wanted if name not in names), None)
        why = f"lacks {only!r}" if only is not None else f"has {len(names)} classes"
        raise SettingsError(f"a teacher must have the {len(wanted)} classes of the data; the one in {folder} {why}.")
    channels = description["input_size"][0]
    preprocessing = description.get("preprocessing") or {}
    mean = preprocessing.get("mean") or [0.0] * channels
    std = preprocessing.get("std") or [1.0] * channels
    teacher = Teacher(model, channels, mean, std, None, [names.index(name) for name in wanted])
    return teacher.of(dataset), f"folder {hashlib.sha256(sha256_of(folder / WEIGHTS).encode()).hexdigest()[:16]}"
