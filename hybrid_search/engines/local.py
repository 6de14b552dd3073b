"""Engine `local`: one trial after the other in this process, for debugging, notebooks and tiny searches."""

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_search.engines.driver import RunContext, TrialSource, handle_report
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.errors import SettingsError
from hybrid_search.search.trial import Trial


@contextmanager
def ready(context: RunContext) -> Iterator[None]:
    """Check that one process can provide these resources.

    Raises:
        SettingsError: The resources ask for several workers, a cluster, custom resources, a share of a GPU, or a
            timeout.
    """
    resources = context.resources
    if resources.workers not in (None, 1):
        raise SettingsError(
            f"engine local has one worker; got workers {resources.workers} (--workers). Use engine ray for more."
        )
    if resources.address is not None:
        raise SettingsError(
            f"engine local has no cluster; got address {resources.address} (--address). Use engine ray for one."
        )
    if resources.custom:
        raise SettingsError(
            f"engine local has no nodes; got custom resource {next(iter(resources.custom))} (--resources). Use "
            "engine ray."
        )
    if resources.gpus_per_trial:
        raise SettingsError(
            f"engine local does not share GPUs among trials; got gpus_per_trial {resources.gpus_per_trial:g} "
            "(--gpus-per-trial). Choose the device with --set device=cuda, or use engine ray."
        )
    if resources.timeout_seconds is not None:
        raise SettingsError(
            f"engine local cannot enforce a time limit; got timeout_seconds {resources.timeout_seconds:g} (--timeout). "
            "Use engine ray."
        )
    yield


def drive(search: TrialSource, context: RunContext) -> None:
    """Run trials until the search has none left, or until `context.stop` is set."""
    while not context.stop.is_set() and (trial := search.ask()) is not None:
        context.on_event("started", trial.number)
        current: Trial | None = trial
        while current is not None:
            runner = TrialRunner(
                context.evaluate, current.architecture, current.settings, context.checkpoints_of(current)
            )
            attempt = current.attempt
            while current is not None and current.attempt == attempt:
                current = handle_report(search, current, runner.advance(), context)
                if context.stop.is_set() and current is not None:
                    return  # the trial stays "running" in the ledger; the next run resumes it
