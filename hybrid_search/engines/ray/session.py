"""The Ray session of engine `ray`: this process on its own, or a cluster by its address; and what fits its nodes."""

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from hybrid_search.engines.driver import Plan
from hybrid_search.engines.ray.address import SAY_LITTLE, address_of, check_form, check_same, choose_mode, join, quiet
from hybrid_search.engines.ray.guard import CREDENTIALS, guarded
from hybrid_search.errors import SettingsError

SHAPES = 4  # kinds of nodes that an error names


@contextmanager
def ready(plan: Plan) -> Iterator[None]:
    """Hold what the plan needs of Ray for as long as this lasts; HybridSearchError where it is not there.

    A cluster is joined here, so that one that does not answer is found before anything is written. A session of this
    machine's own is certain, and left to `drive`, unless GPUs are asked for: those have to be counted.
    """
    address = address_of(plan)
    if _joined():
        check_same(plan)
    elif address is not None:
        check_form(address)
    elif plan.resources:
        raise SettingsError(
            f"--resources are those that the nodes of a cluster declare; got {in_words(plan.resources)} on this "
            "machine alone. Give the cluster's --address."
        )
    elif plan.cpus_per_trial > (os.cpu_count() or 1):
        raise SettingsError(
            f"a trial must fit this machine, which has {os.cpu_count()} CPUs; got --cpus-per-trial "
            f"{plan.cpus_per_trial:g}."
        )
    elif not plan.gpus_per_trial:
        yield
        return
    with connected(plan):
        need = need_of(plan)
        if not fits(need):
            raise SettingsError(
                f"a trial must fit a node of the cluster, which has {_nodes_in_words()}; got {in_words(need)} a trial."
            )
        yield


@contextmanager
def connected(plan: Plan) -> Iterator[None]:
    """A Ray session; the one that this process has already, where it has one. Stops what it started, and only that."""
    if _joined():
        yield
        return
    quiet()
    if address := address_of(plan):
        choose_mode(address)
    import ray

    # A cluster that was joined goes on without this process; what this process starts for itself ends with it.
    with guarded() if address_of(plan) is None else nullcontext():
        with _own_signals(), _without_credentials():
            _connect(plan)
        try:
            yield
        finally:
            ray.shutdown()


def _joined() -> bool:
    """Whether this process has a session, without loading Ray to find out."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _connect(plan: Plan) -> None:
    import ray

    address = address_of(plan)
    if address is not None:
        join(address)
        return
    cpus = math.ceil((plan.workers or os.cpu_count() or 1) * max(plan.cpus_per_trial, 1.0))
    # "local": never another cluster that runs on this machine, or one that left its mark there.
    ray.init("local", num_cpus=cpus, include_dashboard=False, object_store_memory=256 * 2**20, **SAY_LITTLE)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself when it starts: whoever had it before gets it back."""
    mine = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if mine and callable(before):
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _without_credentials() -> Iterator[None]:
    """Ray's processes, and the workers that they start, take over the environment of this one as it is now, and need
    no database: what opens it is taken out meanwhile."""
    held = {name: os.environ.pop(name) for name in CREDENTIALS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(held)


# -- what a trial takes, and what there is --


def need_of(plan: Plan) -> dict[str, float]:
    """What one trial takes of its node, by Ray's names; without zeros. One GPU where none is asked for and some are."""
    import ray

    gpus = plan.gpus_per_trial
    if gpus is None:
        gpus = float(ray.cluster_resources().get("GPU", 0) >= 1)  # type: ignore[no-untyped-call]
    need = {"CPU": plan.cpus_per_trial, "GPU": gpus, **plan.resources}
    return {name: amount for name, amount in need.items() if amount > 0}


def fits(need: Mapping[str, float]) -> int:
    """How many trials of this need the live nodes hold at a time; 1 of trials that need nothing."""
    if not need:
        return 1
    return sum(
        int(min(node.get(name, 0.0) / amount for name, amount in need.items()) + 1e-9)  # thirds of a GPU make one
        for node in _nodes()
    )


def _nodes() -> list[dict[str, float]]:
    import ray

    found: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in found if node["Alive"]]


def in_words(need: Mapping[str, float]) -> str:
    """`1 CPU, 0.5 GPU, 2 fast`."""
    return ", ".join(f"{amount:g} {name}" for name, amount in need.items()) or "nothing"


def _nodes_in_words() -> str:
    own = ("node:", "memory", "object_store_memory", "accelerator_type:")  # Ray's own, which nobody asks for
    kept = [{name: amount for name, amount in node.items() if not name.startswith(own)} for node in _nodes()]
    shapes = sorted({in_words({"CPU": 0.0, "GPU": 0.0, **node}) for node in kept})
    more = f" and {len(shapes) - SHAPES} other kinds" if len(shapes) > SHAPES else ""
    return f"nodes of {'; '.join(shapes[:SHAPES])}{more}" if shapes else "no node"
