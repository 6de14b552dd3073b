"""The Ray session of engine `ray`: this process on its own, or a cluster by its address; and what fits its nodes."""

import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hybrid_search.engines.drive import Plan
from hybrid_search.errors import HybridSearchError, SettingsError

LISTEN_SECONDS = 3.0  # an address where nothing listens by then, and a cluster that has not
ANSWER_SECONDS = 12.0  # answered that long after, are not there

# Read by Ray when it starts: no report of usage leaves the machine.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # where Ray looks for the cluster's token before its own file
SHAPES = 4  # kinds of nodes that an error names


@contextmanager
def ready(plan: Plan) -> Iterator[None]:
    """Hold what the plan needs of Ray for as long as this lasts; HybridSearchError where it is not there.

    A cluster is joined here, so that one that does not answer is found before anything is written. A session of this
    machine's own is certain, and left to `drive`, unless GPUs are asked for: those have to be counted.
    """
    if _joined():
        _same_cluster(plan)
    address = address_of(plan)
    if address is not None and (reason := _deaf(address)):
        raise _not_there(address, reason)
    if address is None and not plan.gpus_per_trial and not plan.resources and not _joined():
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
    _prepare(address_of(plan))
    import ray

    if ray.is_initialized():
        yield
        return
    with _own_signals():
        _connect(plan)
    try:
        yield
    finally:
        ray.shutdown()


def _joined() -> bool:
    """Whether this process has a session, without loading Ray to find out."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def address_of(plan: Plan) -> str | None:
    """Where the cluster is; RAY_ADDRESS, which Ray sets for the jobs of a cluster, counts where nothing is given."""
    return plan.address or os.environ.get("RAY_ADDRESS") or None


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
    kept = [{k: v for k, v in node.items() if not k.startswith(own)} for node in _nodes()]
    shapes = sorted({in_words({"CPU": 0.0, "GPU": 0.0, **node}) for node in kept})
    more = f" and {len(shapes) - SHAPES} other kinds" if len(shapes) > SHAPES else ""
    return "; ".join(f"nodes of {shape}" for shape in shapes[:SHAPES]) + more if shapes else "no node"


# -- joining --


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


def _same_cluster(plan: Plan) -> None:
    """SettingsError where this process has joined another cluster than the plan's."""
    import ray

    here: str = ray.get_runtime_context().gcs_address
    if plan.address not in (None, "auto") and _resolved(str(plan.address)) != _resolved(here):
        raise SettingsError(
            f"a process joins one Ray cluster; this one has joined {here}; got --address {plan.address}. Leave the "
            "address away, or call ray.shutdown() first."
        )


def _resolved(address: str) -> tuple[str, str]:
    """Host and port, with one word for all the names of this machine."""
    host, _, port = address.rpartition(":")
    try:
        number = socket.gethostbyname(host)
        own = {"127.0.0.1", *socket.gethostbyname_ex(socket.gethostname())[2]}
    except OSError:
        return host, port
    return "here" if number in own or number.startswith("127.") else number, port


def _connect(plan: Plan) -> None:
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = address_of(plan)
    if address is None:
        if plan.resources:
            raise SettingsError(
                f"--resources are those that the nodes of a cluster declare; got {in_words(plan.resources)} on this "
                "machine alone. Give the cluster's --address."
            )
        cpus = math.ceil((plan.workers or os.cpu_count() or 1) * max(plan.cpus_per_trial, 1.0))
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
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTEN_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        return str(error)
    return None
