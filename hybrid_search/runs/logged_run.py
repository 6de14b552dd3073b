"""The values that loggers receive: a search and its trials that have ended, or a full training."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_search.engines.driver import RunContext
from hybrid_search.ledger import reads
from hybrid_search.ledger.urls import path_beside
from hybrid_search.loggers import ChosenLoggers, LoggedRun
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.records import TrialRecord
from hybrid_search.runs.progress import ENDS
from hybrid_search.runs.training_job import TrainingJob
from hybrid_search.search.search import Search


@contextmanager
def trials_logged(search: Search, context: RunContext, chosen: ChosenLoggers) -> Iterator[None]:
    """Give each trial that ends in the block to the loggers, on every engine.

    Args:
        search: The search.
        context: Its context; `on_event` is replaced while the block runs.
        chosen: The loggers.

    Raises:
        SettingsError: A logger cannot start.
    """
    before = context.on_event
    with chosen.opened(logged_search(search), context.notice) as loggers:

        def on_event(kind: str, number: int) -> None:
            before(kind, number)
            if kind in ENDS and loggers:
                for record in search.ledger.read(reads.trials, search.record.id, {number}):
                    loggers.trial(fields_of(search, record))

        context.on_event = on_event
        try:
            yield
        finally:
            context.on_event = before


def logged_search(search: Search) -> LoggedRun:
    """Return what a logger knows of a search.

    Args:
        search: The search.
    """
    record = search.record
    values = {
        "space": record.space["name"],
        "objectives": ",".join(record.objectives),
        "sampler": record.sampler,
        "pruner": record.pruner,
        "evaluation": record.evaluation,
        **record.settings.to_dict(),
        "seed": record.seed,
    }
    folder = path_beside(search.ledger.url, ".logs") / record.name
    return LoggedRun("search", record.name, record.uid, folder, values)


def logged_training(job: TrainingJob, uid: str, name: str, folder: Path) -> LoggedRun:
    """Return what a logger knows of a full training.

    Args:
        job: The training.
        uid: Its identity.
        name: Its name in words.
        folder: The folder for the files of a logger.
    """
    values = {
        "design": job.design,
        "architecture": str(job.architecture),
        "search": "" if job.search is None else job.search.name,
        **job.settings.to_dict(),
        "recipe": job.recipe,
    }
    return LoggedRun("training", name, uid, folder, values)


def fields_of(search: Search, record: TrialRecord) -> Mapping[str, Any]:
    """Return the fields of a trial, as `Logger.trial` gets them.

    Args:
        search: The search.
        record: The trial, which has ended.
    """
    return {
        "number": record.number,
        "digest": record.digest,
        "state": record.state,
        "attempt": record.attempt,
        "seconds": record.seconds,
        "failure": record.failure_kind,
        **search.spec.cost(stored_architecture(record.architecture)),
        **record.measurements,
    }
