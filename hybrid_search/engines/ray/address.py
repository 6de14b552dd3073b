"""Join a Ray cluster by its address, with its token if it needs one, within 15 seconds."""

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from hybrid_search.engines.ray.job import job_config
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources

CONNECT_SECONDS = 3.0  # to open a connection to the address
ANSWER_SECONDS = 12.0  # for the cluster to answer
PROBE_SECONDS = ANSWER_SECONDS  # of the process that asks for the token, with its start

# Ray reads these when it starts: no usage report leaves the machine.
ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
QUIET_OPTIONS: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
AUTH_MODE = "RAY_AUTH_MODE"
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # Ray looks here before it reads ~/.ray/auth_token

# Calls a cluster without a token. Exit code 3: the cluster needs a token. It is a process of its own: Ray reads its
# authentication mode once per process, and a process that sends a token cannot use a cluster without one.
PROBE = """
import sys
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=canonicalize_bootstrap_address_or_die(sys.argv[1])).get_all_node_info(timeout=5)
except AuthenticationError:
    sys.exit(3)
"""


def cluster_address(resources: Resources) -> str | None:
    """Return the address of the cluster; None for this machine alone. The default is RAY_ADDRESS, as in Ray's jobs."""
    return resources.address or os.environ.get("RAY_ADDRESS") or None


def disable_usage_reports() -> None:
    """Set the environment variables that Ray reads once, when it starts."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def check_address(address: str) -> None:
    """Check the form of an address, and that something listens there. Ray itself checks the address `auto`.

    Raises:
        SettingsError: It is no address of a cluster.
    """
    if address == "auto":
        return
    if "@" in address:
        raise no_cluster("one with a user or password (not shown)", "it must be auto or HOST:PORT")
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise no_cluster(address, "it must be auto or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise no_cluster(address, str(error)) from None


def check_same_cluster(resources: Resources) -> None:
    """Check that the cluster that this process has joined is the requested one.

    Raises:
        SettingsError: This process has joined another cluster.
    """
    import ray

    joined: str = ray.get_runtime_context().gcs_address
    if resources.address not in (None, "auto") and _resolved(str(resources.address)) != _resolved(joined):
        raise SettingsError(
            f"a process joins one Ray cluster; this one has joined {joined}; got address {resources.address} "
            "(--address). Omit the address, or call ray.shutdown() first."
        )


def _resolved(address: str) -> tuple[str, str]:
    """Return host and port, with one word for all names of this machine."""
    import ray

    host, _, port = address.rpartition(":")
    try:
        number, own = socket.gethostbyname(host.strip("[]")), ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    except OSError:
        return host, port
    return "this machine" if number.startswith("127.") or number == own else number, port


def join(address: str) -> None:
    """Join the cluster.

    Raises:
        SettingsError: The cluster does not answer in time, or refuses.
    """
    import ray

    errors: list[Exception] = []
    cancelled = threading.Event()

    def connect() -> None:
        try:
            ray.init(address=address, job_config=job_config(), **QUIET_OPTIONS)
        except Exception as error:  # of any type: the user gets its message
            errors.append(error)
        else:
            if cancelled.is_set():
                ray.shutdown()

    # ray.init tries for a minute if another program listens there, or if the cluster refuses the token.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    if errors:
        lines = str(errors[0]).splitlines() or [type(errors[0]).__name__]
        raise no_cluster(address, lines[0])
    if thread.is_alive():
        cancelled.set()
        places = f"in {' or '.join(TOKENS)}, or in ~/.ray/auth_token, and {AUTH_MODE}=token before Ray is imported."
        raise no_cluster(address, f"no answer in {ANSWER_SECONDS:g} s. A cluster with a token needs it {places}")


def usual_token() -> Path | None:
    """Return the path of Ray's token in the home folder; None if the user has no home folder."""
    try:
        return Path.home() / ".ray" / "auth_token"
    except RuntimeError:  # the user is not in the list of users
        return None


def choose_auth_mode(address: str) -> None:
    """Choose whether Ray sends a token: as the user set it; otherwise as the cluster needs, if there is a token.

    `ray start --head` requires a token if the machine has one. A driver sends it only in mode `token`, which Ray reads
    when it is imported.

    Raises:
        SettingsError: The cluster does not answer in time.
    """
    path = usual_token()
    has_token = any(os.environ.get(name) for name in TOKENS) or (path is not None and path.exists())
    if AUTH_MODE in os.environ or not has_token:
        return
    environment = {**os.environ, AUTH_MODE: "disabled"}
    probe = subprocess.Popen(
        [sys.executable, "-P", "-c", PROBE, address],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = probe.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        raise no_cluster(address, f"no answer in {PROBE_SECONDS:g} s") from None
    if probe.returncode not in (0, 3):
        raise no_cluster(address, (errors.strip() or "the probe failed").splitlines()[-1])
    os.environ[AUTH_MODE] = "token" if probe.returncode == 3 else "disabled"


def no_cluster(address: str, reason: str) -> SettingsError:
    """Return the error that names the address and the reason."""
    return SettingsError(f"address (--address) must be that of a running Ray cluster; {address} is not: {reason}")
