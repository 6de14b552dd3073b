"""TrainingJob: one full training, fixed before anything is written: design, settings, options and identity."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hybrid_search._internal.cache_folder import cache_folder
from hybrid_search._internal.recipes import DEFAULT
from hybrid_search.analysis.picks import pick_trial
from hybrid_search.data.loading import SELECTED_BY
from hybrid_search.errors import SettingsError
from hybrid_search.export.initial_weights import InitialWeights
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.network import settings_for
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.records import TRAINED, SearchRecord, Settings
from hybrid_search.runs.designs import find_design
from hybrid_search.runs.training_recipe import SEARCH, settings_of
from hybrid_search.search.baseline_run import network_number
from hybrid_search.search.data_check import check_local_data
from hybrid_search.search.object_identity import check_objects
from hybrid_search.search.stored_names import evaluation_label
from hybrid_search.training.checkpoints import Owner

LONGEST = 500  # characters of the words for a design
RECIPE_OF_DESIGN = DEFAULT  # a design without a search has the default recipe


@dataclass(frozen=True)
class TrainingJob:
    """One full training.

    Attributes:
        architecture: The design.
        design: The design in words.
        settings: Data, recipe and seed.
        recipe: Name of the recipe, or the path of its file.
        search: The search of the design; None without one.
        trial: Number of the trial; None without a search.
        input_size: Channels, rows and columns of an image.
        classes: Number of classes.
        options: What else was asked for, as plain JSON; it is part of the identity.
        why: Why this trial was chosen; "" without a search.
        other_images: How the images differ from those of the trial, in words; "" if they do not.
    """

    architecture: Architecture
    design: str
    settings: Settings
    recipe: str
    input_size: tuple[int, int, int]
    classes: int
    search: SearchRecord | None = None
    trial: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    other_images: str = ""

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over everything that changes the numbers except design, data and seed."""
        return _digest([self.settings.digest, dict(self.options)])[:16]

    def uid(self, fingerprint: str) -> str:
        """Return the identity of this training: 32 hexadecimal digits over design, data, settings, options and seed.

        Args:
            fingerprint: The fingerprint of the data.
        """
        search = "" if self.search is None else self.search.uid
        return _digest([search, self.architecture.digest, self.digest, fingerprint])[:32]

    @property
    def checkpoint_key(self) -> str:
        """The key of the checkpoints: trainings of one search have one."""
        return training_key(self.search)

    def owner(self, fingerprint: str) -> Owner:
        """Return the owner of the checkpoints.

        Args:
            fingerprint: The fingerprint of the data.
        """
        number = network_number(self.architecture) if self.trial is None else self.trial
        return Owner(self.checkpoint_key, number, self.architecture.digest, _digest([self.digest, fingerprint])[:16])


def training_key(search: SearchRecord | None) -> str:
    """Return the key of the checkpoints of the full trainings of a search; None: of designs without a search."""
    return "trainings" if search is None else f"{search.uid}-trainings"


def job_of_search(
    ledger: Ledger,
    record: SearchRecord,
    pick: str,
    recipe: str | None,
    changes: Mapping[str, Any],
    options: Mapping[str, Any],
) -> TrainingJob:
    """Return the training of a trial of a search.

    Args:
        ledger: The ledger of the search.
        record: The search.
        pick: As for `pick_trial`.
        recipe: As for `settings_of`.
        changes: Settings that are given.
        options: What else is asked for.

    Raises:
        UserError: There is no such trial, the search was not trained by this package, or a setting is wrong.
    """
    check_objects(record, ledger.read(reads.registered_objects, record.id))
    if record.evaluation != TRAINED:
        raise SettingsError(
            f"only a search of trained networks says how to train; {record.name!r} was scored by "
            f"{evaluation_label(record.evaluation)}. Train a trial with data of its own: train {record.name}/NUMBER "
            "--data NAME."
        )
    if "data" in changes and changes["data"] != record.settings.data:
        raise SettingsError(
            f"a trial is trained on the data of its search, {record.settings.data}; got data {changes['data']!r}. "
            f"Other data: train {record.name}/NUMBER --data {changes['data']}."
        )
    picked = pick_trial(ledger, record, pick)
    trial = picked.trial
    base = Settings.from_dict(trial.settings).with_(data_dir=record.settings.data_dir)
    architecture = stored_architecture(trial.architecture)
    settings = settings_for(architecture, settings_of(base, recipe, changes))
    size, classes = _input_size_and_classes(settings)
    return TrainingJob(
        architecture,
        f"trial {trial.number}",
        settings,
        recipe or SEARCH,
        size,
        classes,
        record,
        trial.number,
        options,
        str(picked),
        _other_images(base, settings),
    )


def job_of_design(
    design: str | Architecture | None,
    initial: InitialWeights | None,
    db: str | Path | None,
    recipe: str | None,
    changes: Mapping[str, Any],
    options: Mapping[str, Any],
) -> TrainingJob:
    """Return the training of a design that belongs to no search.

    Args:
        design: An architecture, or text for `find_design`; None: the architecture of the initial weights.
        initial: Initial weights; None: random ones.
        db: Database URL or path, for a trial of a search.
        recipe: As for `settings_of`.
        changes: Settings that are given; `data` must be one of them.
        options: What else is asked for.

    Raises:
        UserError: There is no such design, no data is given, or a setting is wrong.
    """
    if isinstance(design, Architecture):
        architecture, words = design, f"architecture {design.digest}"
    elif design is not None:
        architecture, words = find_design(design, db)[0], design
    else:
        assert initial is not None
        architecture, words = initial.architecture, str(initial.folder)
    if "data" not in changes:
        raise SettingsError(f"a design must be trained on data; got none for {words}. Name a data set: --data NAME.")
    settings = settings_for(architecture, settings_of(Settings(), recipe, changes))
    size, classes = _input_size_and_classes(settings)
    return TrainingJob(
        architecture, words[-LONGEST:], settings, recipe or RECIPE_OF_DESIGN, size, classes, options=options
    )


def _input_size_and_classes(settings: Settings) -> tuple[tuple[int, int, int], int]:
    """Return the size of an image and the number of classes, after checks of the device and of the data set."""
    from hybrid_search.data import DATASETS, input_size_and_classes
    from hybrid_search.training.from_settings import device_of

    device_of(settings)
    DATASETS.stored(settings.data)
    return input_size_and_classes(settings)


def _other_images(trained: Settings, settings: Settings) -> str:
    """Return the settings that select other images than those of a trial, with their values."""
    names = [name for name in SELECTED_BY if name != "data_dir"]
    pairs = [(name, getattr(settings, name), getattr(trained, name)) for name in names]
    return ", ".join(f"{name} {now} (search: {was})" for name, now, was in pairs if now != was)


def check_job(job: TrainingJob, ledger: Ledger | None, notice: Callable[[str], None]) -> str:
    """Check design and data of a training before anything is written, and say what is special.

    Args:
        job: The training.
        ledger: The ledger of its search; None without one.
        notice: Called with lines that the user should read.

    Returns:
        The fingerprint of the data.

    Raises:
        UserError: The design cannot take the images, or the data has changed since the search.
    """
    from hybrid_search.data import load, prepare
    from hybrid_search.data.all_images import AllImages
    from hybrid_search.training.networks import network_cost

    network_cost(job.architecture, job.input_size, job.classes)
    cache_folder("", notice)
    for note in prepare(job.settings, notice):
        notice(note)
    if job.search is not None and ledger is not None:
        if job.other_images:
            notice(f"other images than those of the search: {job.other_images}")
        else:
            moved = job.search.settings.with_(data_dir=job.settings.data_dir)
            check_local_data(replace(job.search, settings=moved), ledger)
    if job.search is not None and job.settings.train_images is not None:
        notice(f"trained on {job.settings.train_images:,} training images; --set train_images=all takes all of them")
    if job.options.get("data_all") and job.settings.validation_images is not None:
        notice(
            f"{job.settings.validation_images:,} validation images are selected; --set validation_images=all takes all "
            "of them"
        )
    if job.options.get("data_all"):
        for line in AllImages.of(job.settings).lines:
            notice(line)
    return load(job.settings).fingerprint


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
