"""The Ray session: connect to a cluster or start Ray on this machine, and count the trials that fit."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray import local_session
from hybrid_search.engines.ray.address import (
    QUIET_OPTIONS,
    check_address,
    check_same_cluster,
    choose_auth_mode,
    cluster_address,
    disable_usage_reports,
    join,
)
from hybrid_search.engines.ray.job import job_config
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources

CREDENTIALS = ("HYBRID_SEARCH_DB", "PGPASSWORD")  # these open a database; a worker needs none
MAX_KINDS = 4  # kinds of nodes that an error message lists


@contextmanager
def ready(context: RunContext) -> Iterator[None]:
    """Hold what the run needs of Ray.

    A cluster is joined here, so that a cluster that does not answer is reported before anything is written. A session
    on this machine is started by `drive`, unless GPUs are requested: then it is started here, to count them.

    Raises:
        SettingsError: The cluster does not answer, no node has room for one trial, or the evaluation cannot be pickled.
    """
    resources = context.resources
    address = cluster_address(resources)
    if has_session():
        check_same_cluster(resources)
    elif address is not None:
        check_address(address)
    elif resources.custom:
        raise SettingsError(
            f"custom resources (--resources) are those that the nodes of a cluster declare; got "
            f"{describe(resources.custom)} on this machine alone. Give the address of the cluster (--address)."
        )
    else:
        local_session.check(context)
        if not resources.gpus_per_trial:
            disable_usage_reports()
            context.packed_evaluation()
            yield
            return
    with ray_session(context):
        context.packed_evaluation()
        need = need_of(resources)
        if not count_slots(need):
            raise SettingsError(
                f"a trial must fit a node of the cluster, which has {_describe_nodes()}; got {describe(need)} a trial."
            )
        yield


@contextmanager
def ray_session(context: RunContext) -> Iterator[None]:
    """Hold a Ray session: the existing one of this process, a cluster, or a new session on this machine.

    A session that was started here is stopped at the end. The processes of a session on this machine end with this
    process, even if it is killed: workers within 10 seconds, Ray's own agents within 90 seconds.
    """
    if has_session():
        yield
        return
    disable_usage_reports()
    if address := cluster_address(context.resources):
        choose_auth_mode(address)
    import ray

    with _signal_handler_restored(), _credentials_removed():
        _connect(context.resources)
    try:
        yield
    finally:
        ray.shutdown()


def has_session() -> bool:
    """Return whether this process has a Ray session. Ray is not imported for this."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _connect(resources: Resources) -> None:
    import ray
    from ray.exceptions import RayError

    address = cluster_address(resources)
    if address is not None:
        join(address)
        return
    try:
        # "local": a new session, even if another cluster runs on this machine
        ray.init("local", job_config=job_config(), **local_session.options(resources), **QUIET_OPTIONS)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        ray.shutdown()  # its processes that started
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise SettingsError(
            f"engine ray must be able to start its processes on this machine; got {reason.rstrip('.')}. "
            "Engine local (--engine local) needs none."
        ) from error


@contextmanager
def _signal_handler_restored() -> Iterator[None]:
    """Restore the handler of SIGTERM, because Ray replaces it when it starts."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if in_main_thread and callable(handler):
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _credentials_removed() -> Iterator[None]:
    """Remove the credentials of the database from the environment, because Ray's processes and workers inherit it."""
    removed = {name: os.environ.pop(name) for name in CREDENTIALS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(removed)


# -- what a trial takes, and what the nodes have --


def need_of(resources: Resources) -> dict[str, float]:
    """Return what one trial takes of its node, by Ray's names, without zeros.

    If `gpus_per_trial` is None, a trial takes one GPU if the cluster has GPUs.
    """
    import ray

    gpus = resources.gpus_per_trial
    if gpus is None:
        gpus = float(ray.cluster_resources().get("GPU", 0) >= 1)  # type: ignore[no-untyped-call]
    need = {"CPU": resources.cpus_per_trial, "GPU": gpus, **resources.custom}
    return {name: amount for name, amount in need.items() if amount > 0}


def count_slots(need: Mapping[str, float]) -> int:
    """Return how many trials of this need the live nodes have room for at a time; 1 if a trial takes nothing."""
    if not need:
        return 1
    return sum(
        int(min(node.get(name, 0.0) / amount for name, amount in need.items()) + 1e-9)  # three thirds of a GPU are one
        for node in _nodes()
    )


def _nodes() -> list[dict[str, float]]:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def describe(need: Mapping[str, float]) -> str:
    """Return amounts as text, such as `1 CPU, 0.5 GPU, 2 fast`."""
    return ", ".join(f"{amount:g} {name}" for name, amount in need.items()) or "nothing"


def _describe_nodes() -> str:
    internal = ("node:", "memory", "object_store_memory", "accelerator_type:")
    nodes = [{name: amount for name, amount in node.items() if not name.startswith(internal)} for node in _nodes()]
    kinds = sorted({describe({"CPU": 0.0, "GPU": 0.0, **node}) for node in nodes})
    more = f" and {len(kinds) - MAX_KINDS} other kinds" if len(kinds) > MAX_KINDS else ""
    return f"nodes of {'; '.join(kinds[:MAX_KINDS])}{more}" if kinds else "no node"
