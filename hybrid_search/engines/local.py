"""Engine `local`: trials one after the other in this process. For debugging, notebooks and tiny searches."""

from collections.abc import Iterator
from contextlib import contextmanager

from hybrid_search.engines.driver import Driven, Plan, finish
from hybrid_search.engines.worker import Advancing
from hybrid_search.errors import SettingsError
from hybrid_search.search.trial import Trial


@contextmanager
def ready(plan: Plan) -> Iterator[None]:
    """SettingsError where the plan wants what one process cannot give."""
    if plan.workers not in (None, 1):
        raise SettingsError(f"engine local has one worker; got --workers {plan.workers}. Use --engine ray for more.")
    if plan.address is not None:
        raise SettingsError(f"engine local has no cluster; got --address {plan.address}. Use --engine ray for one.")
    if plan.resources:
        raise SettingsError(
            f"engine local has no nodes; got --resources {next(iter(plan.resources))}. Use --engine ray."
        )
    if plan.timeout is not None:
        raise SettingsError(f"engine local cannot end a rung; got --timeout {plan.timeout:g}. Use --engine ray.")
    yield


def drive(search: Driven, plan: Plan) -> None:
    """Run the search to its end, or until the plan says stop."""
    while not plan.stop.is_set() and (trial := search.ask()) is not None:
        plan.event("started", trial.number)
        now: Trial | None = trial
        while now is not None:
            advancing = Advancing(plan.evaluate, now.architecture, now.settings, plan.keeping(now))
            attempt = now.attempt
            while now is not None and now.attempt == attempt:
                now = finish(search, now, advancing.advance(), plan)
                if plan.stop.is_set() and now is not None:
                    return  # left running in the ledger: the same command takes it up again
