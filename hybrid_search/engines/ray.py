"""Engine `ray`: long-lived Ray actors, one trial each at a time; on this machine, or on a cluster by its address.

The driver asks, an actor runs one rung a call, the driver reports and calls again. An actor that dies takes its call
with it and nothing else: the trial begins again on another, as often as its kind of failure allows.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hybrid_search.engines.drive import Driven, Plan, finish
from hybrid_search.engines.worker import Advancing, Evaluate, Report
from hybrid_search.errors import HybridSearchError, SettingsError
from hybrid_search.search import Trial

ANSWER_SECONDS = 15.0  # a cluster that has not answered by then is not there

# Read by Ray when it starts: no report of usage leaves the machine.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # where Ray looks for the cluster's token before its own file


class Actor:
    """One worker process. It keeps its data set and its Python imports from trial to trial."""

    def __init__(self, evaluate: Evaluate) -> None:
        self._evaluate = evaluate
        self._advancing: Advancing | None = None

    def start(self, architecture: dict[str, Any], settings: dict[str, Any]) -> Report:
        """Begin a trial and run its first rung."""
        from hybrid_search.architecture import Architecture
        from hybrid_search.record import Settings

        made = Architecture.from_dict(architecture), Settings.from_dict(settings)
        self._advancing = Advancing(self._evaluate, *made)
        return self.advance()

    def advance(self) -> Report:
        """Run the next rung. Weights stay in this node's object store until the driver asks for them."""
        import ray

        assert self._advancing is not None
        report = self._advancing.advance()
        if isinstance(report.weights, bytes):
            report = replace(report, weights=[ray.put(report.weights)])
        if report.ended:
            self._advancing = None
        return report


@dataclass
class _Running:
    actor: Any
    trial: Trial


def check(plan: Plan) -> None:
    """HybridSearchError where there can be no cluster at the plan's address, or nothing listens."""
    address = _address(plan)
    if address is not None and (reason := _deaf(address)):
        raise _not_there(address, reason)


def _address(plan: Plan) -> str | None:
    """Where the cluster is; RAY_ADDRESS, which Ray sets for the jobs of a cluster, counts where nothing is given."""
    return plan.address or os.environ.get("RAY_ADDRESS") or None


def drive(search: Driven, plan: Plan) -> None:
    """Run the search to its end on Ray workers, or until the plan says stop."""
    _prepare(_address(plan))
    import ray
    from ray.exceptions import OutOfMemoryError, RayError, RayTaskError

    with _session(plan) as (workers, gpus):
        options = {"num_cpus": plan.cpus_per_trial, "num_gpus": gpus, "max_restarts": 0}
        make: Any = ray.remote(Actor)
        make = make.options(**options)
        evaluate = ray.put(plan.evaluate)
        idle: list[Any] = []
        running: dict[Any, _Running] = {}

        def start(trial: Trial) -> None:
            actor = idle.pop() if idle else make.remote(evaluate)
            call = actor.start.remote(trial.architecture.to_dict(), trial.settings.to_dict())
            running[call] = _Running(actor, trial)

        def fill() -> None:
            while len(running) < workers and not plan.stop.is_set() and (trial := search.ask()) is not None:
                plan.event("started", trial.number)
                start(trial)

        fill()
        while running and not plan.stop.is_set():
            done, _ = ray.wait(list(running), num_returns=1, timeout=0.2)
            for call in done:
                job = running.pop(call)
                lives = True
                try:
                    report: Report = ray.get(call)
                except OutOfMemoryError as error:  # Ray's monitor killed the worker to save the machine
                    report, lives = Report(0, {}, {}, True, failure_kind="oom", failure_text=str(error)), False
                except RayTaskError as error:  # the actor lives, its call did not
                    report = Report(0, {}, {}, True, failure_kind="bug", failure_text=str(error))
                except RayError as error:
                    text = f"its worker died: {str(error).splitlines()[0]}"
                    report, lives = Report(0, {}, {}, True, failure_kind="lost", failure_text=text), False
                now = finish(search, job.trial, report, plan, _fetched)
                if now is job.trial:
                    running[job.actor.advance.remote()] = job
                    continue
                if lives:
                    idle.append(job.actor)
                if now is not None:
                    start(now)
            if done:
                fill()
        # What still runs is left running in the ledger: the same command takes it up again.
        for job in running.values():
            ray.kill(job.actor)


def _fetched(refs: Any) -> bytes | None:
    """The weights behind a reference; None when the worker that held them is gone (export trains them again)."""
    import ray
    from ray.exceptions import RayError

    try:
        return bytes(ray.get(refs[0]))
    except RayError:
        return None


@contextmanager
def _session(plan: Plan) -> Iterator[tuple[int, float]]:
    """A Ray session: the number of workers that fit, and GPUs for each. Stops what it started, and only that."""
    import ray

    ours = not ray.is_initialized()
    if ours:
        _connect(plan)
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = plan.gpus_per_trial if plan.gpus_per_trial is not None else float(resources.get("GPU", 0) >= 1)
        fits = int(resources.get("CPU", 0) / plan.cpus_per_trial) if plan.cpus_per_trial else 1
        if gpus:
            fits = min(fits, int(resources.get("GPU", 0) / gpus))
        if fits < 1:
            raise SettingsError(
                f"a trial must fit the cluster of {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} "
                f"GPUs; got {plan.cpus_per_trial:g} CPUs and {gpus:g} GPUs a trial."
            )
        yield min(fits, plan.workers or fits), gpus
    finally:
        if ours:
            ray.shutdown()


def _prepare(address: str | None) -> None:
    """Set what Ray reads from the environment once, at its import.

    `ray start --head` asks for a token as soon as one lies on the machine; a driver that joins by address sends one
    only in this mode. A cluster that asks for none is joined all the same.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    given = any(os.environ.get(name) for name in TOKENS)
    if address is not None and (given or Path.home().joinpath(".ray", "auth_token").exists()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _connect(plan: Plan) -> None:
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = _address(plan)
    if address is None:
        cpus = max(1, round((plan.workers or os.cpu_count() or 1) * max(plan.cpus_per_trial, 1.0)))
        # "local": never another cluster that runs on this machine, or one that left its mark there.
        ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=256 * 2**20, **quiet)
        return
    failure: list[Exception] = []
    given_up = threading.Event()

    def call() -> None:
        try:
            ray.init(address=address, **quiet)
        except Exception as error:  # of whatever kind: it is told to the user
            failure.append(error)
        else:
            if given_up.is_set():
                ray.shutdown()

    # ray.init goes on asking for a minute where something else listens, or a cluster that refuses the token.
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if failure:
        lines = str(failure[0]).splitlines() or [type(failure[0]).__name__]
        raise _not_there(address, lines[0])
    if thread.is_alive():
        given_up.set()
        wanted = f"in {' or '.join(TOKENS)}, or in ~/.ray/auth_token, and RAY_AUTH_MODE=token before Ray is imported."
        raise _not_there(address, f"no answer in {ANSWER_SECONDS:g} s. A cluster with a token wants it {wanted}")


def _not_there(address: str, reason: str) -> HybridSearchError:
    return HybridSearchError(f"--address must be that of a running Ray cluster; {address} is not: {reason}")


def _deaf(address: str) -> str | None:
    """Why there is no cluster at this address; None where something listens, or Ray finds it itself (auto)."""
    if address == "auto":
        return None
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return "it must be auto or HOST:PORT"
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        return str(error)
    return None
