"""`train`: a design trained in full, in one call."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hybrid_search._internal.event_log import level_of, log_file
from hybrid_search._internal.paths import data_location
from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines.driver import RunContext
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.trainings import complete_training
from hybrid_search.ledger.urls import path_beside
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root
from hybrid_search.runs.progress import Terminal, shown_progress
from hybrid_search.runs.training_job import TrainingJob, check_job, job_of_search
from hybrid_search.runs.training_log import TrainingLog
from hybrid_search.runs.training_progress import TrainingProgress
from hybrid_search.runs.training_run import Training, TrainingRun, check_unfinished, training_checkpoints
from hybrid_search.training.checkpoints import CheckpointStore

__all__ = ["Training", "train"]


@clean_process_state()
def train(
    name: str | None = None,
    *,
    pick: str = "knee",
    epochs: int | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    data_all: bool = False,
    restart: bool = False,
    ledger: Ledger | str | Path | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | Path | CheckpointStore | None = None,
    log_dir: str | Path | None = None,
    watch: Callable[[RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    progress: bool | Terminal = False,
    log_level: str = "info",
) -> Training:
    """Train one design of a search in full, from new weights. Call it again to continue.

    The training loop is that of the search. The result, the curve of every epoch and the weights are kept in the
    ledger and beside it. The test split is used once, at the end; this use is written to the ledger before.

    Args:
        name: Name of the search; default: the newest.
        pick: The trial: "best", "knee", its number, or a bound such as "flops<=40M".
        epochs: Number of epochs; default: those of the recipe file, or of the search.
        recipe: "search" (the default), the name of a recipe, or the path of a YAML file with settings. With "search",
            what a recipe filled is filled again for the new epochs and batch size.
        seed: Seed of the weights and the order of images; default: that of the trial.
        settings: More settings by name; they count more than those of the recipe.
        data_all: Whether the validation images are trained on too. Nothing is then measured on them.
        restart: Whether checkpoints of an unfinished training are deleted first.
        ledger: A ledger, the URL of its database, or the path of an SQLite file.
        data_dir: Folder of the data set, if it has moved.
        checkpoints: As in `run`.
        log_dir: Folder of the CSV file with one line for each epoch; default: beside the database.
        watch: Called with the `RunContext` before the first step; set its `stop` to stop between two steps.
        notice: Called with lines that the user should read; default: print them on stderr.
        progress: As in `run`.
        log_level: As in `run`.

    Returns:
        The training, with its record in the ledger.

    Raises:
        UserError: An argument is wrong, or an unfinished training has another recipe. Nothing was written.
        NotFinite: A loss is NaN or infinite. The checkpoint of the last good epoch is kept.
        TrialError: The training failed for another reason, such as too little memory.

    Example:
        >>> done = train("digits", pick="knee", epochs=30)
        >>> done.record.measurements["test_accuracy"]
    """
    level_of(log_level)
    changes: dict[str, Any] = {**(settings or {})}
    for key, value in (("epochs", epochs), ("seed", seed), ("recipe", recipe)):
        if value is not None and key in changes:
            raise SettingsError(f"{key} must be given once; got {key}={value!r} and settings with {changes[key]!r}.")
    changes |= {key: value for key, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    if data_dir is not None:
        changes["data_dir"] = data_location("data_dir (--data-dir)", data_dir)
    options = {"data_all": True} if data_all else {}
    context = RunContext(lambda *_: iter(()))
    shown = shown_progress(progress, context, notice)

    def prepared(reader: Ledger) -> tuple[TrainingJob, str, Any]:
        job = job_of_search(reader, reader.search(name), pick, recipe, changes, options)
        fingerprint = check_job(job, reader, context.notice)
        return job, fingerprint, reader.read(complete_training, job.uid(fingerprint))

    if isinstance(ledger, Ledger):
        job, fingerprint, before = prepared(ledger)
    else:
        with Ledger(ledger, read_only=True) as reader:
            job, fingerprint, before = prepared(reader)
    if before is not None:
        held = ledger if isinstance(ledger, Ledger) else Ledger(ledger, read_only=True, notice=context.notice)
        return Training(before, held, was_complete=True)
    root = checkpoint_root(checkpoints, ledger, "local", None)
    stored = training_checkpoints(root, job, fingerprint)
    check_unfinished(stored, job, restart)
    held = ledger if isinstance(ledger, Ledger) else Ledger(ledger, notice=context.notice)
    log = TrainingLog.beside(held.url, job, fingerprint, log_dir)
    with log_file(path_beside(held.url, ".log"), context.notice, log_level):
        if watch:
            watch(context)
        if root is None and checkpoints is None:
            context.notice(NO_CHECKPOINTS)
        lines = TrainingProgress(job, shown)
        run = TrainingRun(job, fingerprint, held, context, stored, log, lines)
        with lines if shown else nullcontext():
            return Training(run.run(restart=restart), held)
