"""`train`: a design trained in full, in one call."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid_search._internal.event_log import level_of, log_file
from hybrid_search._internal.paths import data_location
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.train.devices import device_resources, devices_ready
from hybrid_search.errors import SettingsError, UnknownName, nearest
from hybrid_search.export.initial_weights import InitialWeights
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.entries import TrainingRecord
from hybrid_search.ledger.trainings import complete_training
from hybrid_search.ledger.urls import database_url, path_beside
from hybrid_search.loggers import ChosenLoggers, Logger
from hybrid_search.networks.architecture import Architecture
from hybrid_search.records import SearchRecord
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root
from hybrid_search.runs.designs import find_design
from hybrid_search.runs.progress import Terminal, shown_progress
from hybrid_search.runs.training_job import TrainingJob, check_job, job_of_design, job_of_search
from hybrid_search.runs.training_log import TrainingLog
from hybrid_search.runs.training_progress import TrainingProgress
from hybrid_search.runs.training_run import TrainingResult, TrainingRun, check_unfinished, training_checkpoints
from hybrid_search.runs.training_start import TrainingStart
from hybrid_search.training.checkpoints import CheckpointStore

__all__ = ["TrainingResult", "train"]


@clean_process_state()
def train(
    design: str | Architecture | None = None,
    *,
    pick: str | None = None,
    epochs: int | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    data_all: bool = False,
    init_from: str | Path | None = None,
    teacher: str | Path | None = None,
    restart: bool = False,
    devices: int = 1,
    address: str | None = None,
    ledger: Ledger | str | Path | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | Path | CheckpointStore | None = None,
    log_dir: str | Path | None = None,
    loggers: Sequence[str | Logger] = (),
    watch: Callable[[RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    progress: bool | Terminal = False,
    log_level: str = "info",
) -> TrainingResult:
    """Train one design in full, in the loop of a search. Call it again to continue.

    The result, the curve of every epoch and the weights are kept in the ledger and beside it. The test split is used
    once, at the end; this use is written to the ledger before.

    Args:
        design: Name of a search; default: the newest. Or a design of its own: an architecture, the name of a reference,
            an exported folder, a trial (SEARCH/NUMBER), or a JSON file. Such a design needs `settings` with `data`.
        pick: The trial of the search: "best", "knee" (the default), its number, or a bound such as "flops<=40M".
        epochs: Number of epochs; default: those of the recipe file, or of the search.
        recipe: "search" (the default of a search), the name of a recipe, or the path of a YAML file with settings. With
            "search", what a recipe filled is filled again for the new epochs and batch size.
        seed: Seed of the weights and the order of images; default: that of the trial.
        settings: More settings by name; they count more than those of the recipe.
        data_all: Whether the validation images are trained on too. The network is then not scored on them; the facts
            have the number of images of each split.
        init_from: An exported folder whose weights the training starts from, for the same layers. For other classes the
            classifier is new; tables of another size are interpolated.
        teacher: `timm:NAME` of a pretrained model of timm, or an exported folder, whose logits the network learns too.
            It must have the classes of the data. The setting `distillation` is its share of the loss.
        restart: Whether checkpoints of an unfinished training are deleted first.
        devices: Number of devices that share each batch: GPUs, or processes on CPUs. The result is that of one device
            but for rounding, and a training may be continued with another number.
        address: Address of an existing Ray cluster with the devices, "auto" or "HOST:PORT"; None: this machine, or
            RAY_ADDRESS, if it is set and there are several devices.
        ledger: A ledger, the URL of its database, or the path of an SQLite file.
        data_dir: Folder of the data set, if it has moved.
        checkpoints: As in `run`.
        log_dir: Folder of the CSV file with one line for each epoch; default: beside the database.
        loggers: As in `run`; they show each epoch. TensorBoard's folder is beside the CSV file if none is given.
        watch: Called with the `RunContext` before the first step; set its `stop` to stop between two steps.
        notice: Called with lines that the user should read; default: print them on stderr.
        progress: As in `run`.
        log_level: As in `run`.

    Returns:
        The training, with its record in the ledger.

    Raises:
        UserError: An argument is wrong, there are fewer devices, or an unfinished training has another recipe. Nothing
            was written.
        NotFinite: A loss is NaN or infinite. The checkpoint of the last good epoch is kept.
        TrialError: The training failed for another reason, such as too little memory.

    Example:
        >>> done = train("digits", pick="knee", epochs=30)
        >>> done.record.measurements["test_accuracy"]
        >>> train("resnet-basic-16", settings={"data": "digits"}, epochs=30, devices=2)
    """
    level_of(log_level)
    chosen = ChosenLoggers.of(loggers)
    changes: dict[str, Any] = {**(settings or {})}
    for key, value in (("epochs", epochs), ("seed", seed), ("recipe", recipe)):
        if value is not None and key in changes:
            raise SettingsError(f"{key} must be given once; got {key}={value!r} and settings with {changes[key]!r}.")
    changes |= {key: value for key, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    if data_dir is not None:
        changes["data_dir"] = data_location("data_dir (--data-dir)", data_dir)
    options: dict[str, Any] = {"data_all": True} if data_all else {}
    initial = None if init_from is None else InitialWeights.of(init_from)
    context = RunContext(lambda *_: iter(()))
    shown = shown_progress(progress, context, notice)

    def prepared(reader: Ledger | None) -> tuple[TrainingJob, str, TrainingStart, TrainingRecord | None]:
        record = _search(reader, design, initial)
        if record is not None and reader is not None:
            job = job_of_search(reader, record, pick or "knee", recipe, changes, options)
        elif pick is not None:
            raise SettingsError(f"pick (--pick) must be given with a search; got {pick!r} with a design.")
        else:
            db = ledger.url.render_as_string(hide_password=False) if isinstance(ledger, Ledger) else ledger
            job = job_of_design(_known_design(design, reader), initial, db, recipe, changes, options)
        fingerprint = check_job(job, reader, context.notice)
        start, more = TrainingStart.of(job, initial, None if teacher is None else str(teacher), context.notice)
        job = replace(job, options={**job.options, **more})
        return job, fingerprint, start, reader.read(complete_training, job.uid(fingerprint)) if reader else None

    with _reader(ledger) as reader:
        job, fingerprint, start, before = prepared(reader)
    if before is not None:
        held = ledger if isinstance(ledger, Ledger) else Ledger(ledger, read_only=True, notice=context.notice)
        return TrainingResult(before, held, was_complete=True)
    if job.why:
        context.notice(f"picked {job.why}")
    resources = device_resources(devices, address, job.settings)
    if resources is not None:
        context.resources = resources
    root = checkpoint_root(checkpoints, ledger, "local" if resources is None else "ray", address)
    stored = training_checkpoints(root, job, fingerprint)
    check_unfinished(stored, job, restart)
    with nullcontext() if resources is None else devices_ready(context):
        held = ledger if isinstance(ledger, Ledger) else Ledger(ledger, notice=context.notice)
        with (
            log_file(path_beside(held.url, ".log"), context.notice, log_level),
            TrainingLog.beside(held, job, fingerprint, log_dir, chosen, context.notice) as log,
        ):
            if watch:
                watch(context)
            if root is None and checkpoints is None:
                context.notice(NO_CHECKPOINTS)
            lines = TrainingProgress(job, shown)
            run = TrainingRun(job, fingerprint, held, context, stored, log, lines, start, resources is not None)
            with lines if shown else nullcontext():
                return TrainingResult(run.run(restart=restart), held)


@contextmanager
def _reader(ledger: Ledger | str | Path | None) -> Iterator[Ledger | None]:
    """Yield a ledger that can be read; None if its file does not exist yet, which a design does not need."""
    if isinstance(ledger, Ledger):
        yield ledger
        return
    url = database_url(ledger)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        yield None
        return
    with Ledger(ledger, read_only=True) as reader:
        yield reader


def _search(
    reader: Ledger | None, design: str | Architecture | None, initial: InitialWeights | None
) -> SearchRecord | None:
    """Return the search that is meant; None if a design is."""
    if design is None and initial is None:
        if reader is None:
            raise UnknownName(
                "train needs a search or a design; there is no database yet. Start one: hybrid-search run"
            )
        return reader.search(None)
    return reader.find_search(design) if reader is not None and isinstance(design, str) else None


def _known_design(design: str | Architecture | None, reader: Ledger | None) -> str | Architecture | None:
    """Return the design. If it is a text that is no design, raise UnknownName with the searches that exist."""
    if not isinstance(design, str) or "/" in design or Path(design).suffix:
        return design
    try:
        find_design(design, None)
    except UnknownName as error:
        names = [search.name for search in reversed(reader.searches())] if reader is not None else []
        if not names:
            raise
        listed = f"a search ({', '.join(names)})"
        raise UnknownName(
            str(error).replace("a design must be", f"train takes {listed},") + nearest(design, names)
        ) from None
    return design
