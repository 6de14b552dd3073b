"""Engine `serial`: one trial after the other in this process, built from the parts that every engine uses."""

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_search.engines.driver import RunContext, TrialSource, handle_report
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.errors import SettingsError


@contextmanager
def ready(context: RunContext) -> Iterator[None]:
    """Raise SettingsError if several workers are asked for."""
    if context.resources.workers not in (None, 1):
        raise SettingsError(f"engine serial has one worker; got workers {context.resources.workers} (--workers).")
    yield


def drive(search: TrialSource, context: RunContext) -> None:
    """Run trials until the search has none left, or until the run is stopped."""
    while not context.stop.is_set() and (trial := search.ask()) is not None:
        context.on_event("started", trial.number)
        while trial is not None:
            attempt = trial.attempt
            runner = TrialRunner(context.evaluate, trial.architecture, trial.settings, context.checkpoints_of(trial))
            while trial is not None and trial.attempt == attempt:
                trial = handle_report(search, trial, runner.advance(), context)
                if context.stop.is_set() and trial is not None:
                    return
