"""Joining a Ray cluster by its address, with its token where it asks for one; in 15 seconds, or saying why not."""

import logging
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from hybrid_search.engines.driver import Plan
from hybrid_search.errors import SettingsError

LISTEN_SECONDS = 3.0  # an address where nothing listens by then, and a cluster that has not
ANSWER_SECONDS = 12.0  # answered that long after, are not there

# Read by Ray when it starts: no report of usage leaves the machine.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
SAY_LITTLE: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
MODE = "RAY_AUTH_MODE"
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # where Ray looks for the cluster's token before its own file

# Asks a cluster who is there without a token; exit code 3: it wants one. In a process of its own, because Ray reads its
# mode once a process, and one that sends a token also refuses calls from a cluster that has none.
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


def address_of(plan: Plan) -> str | None:
    """Where the cluster is; RAY_ADDRESS, which Ray sets for the jobs of a cluster, counts where nothing is given."""
    return plan.address or os.environ.get("RAY_ADDRESS") or None


def quiet() -> None:
    """Set what Ray reads from the environment once, at its start."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def check_form(address: str) -> None:
    """HybridSearchError where there can be no cluster at this address, or nothing listens; auto is left to Ray."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise not_there(address, "it must be auto or HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=LISTEN_SECONDS).close()
    except (OSError, OverflowError, ValueError) as error:
        raise not_there(address, str(error)) from None


def check_same(plan: Plan) -> None:
    """SettingsError where this process, which has joined a cluster, has joined another than the plan's."""
    import ray

    here: str = ray.get_runtime_context().gcs_address
    if plan.address not in (None, "auto") and _resolved(str(plan.address)) != _resolved(here):
        raise SettingsError(
            f"a process joins one Ray cluster; this one has joined {here}; got --address {plan.address}. Leave the "
            "address away, or call ray.shutdown() first."
        )


def _resolved(address: str) -> tuple[str, str]:
    """Host and port, with one word for this machine's own loopback names and the name that its Ray node has."""
    import ray

    host, _, port = address.rpartition(":")
    try:
        number, own = socket.gethostbyname(host.strip("[]")), ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    except OSError:
        return host, port
    return "here" if number.startswith("127.") or number == own else number, port


def join(address: str) -> None:
    """Join the cluster; HybridSearchError where it does not answer in time, or refuses."""
    import ray

    failure: list[Exception] = []
    given_up = threading.Event()

    def call() -> None:
        try:
            ray.init(address=address, **SAY_LITTLE)
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
        raise not_there(address, lines[0])
    if thread.is_alive():
        given_up.set()
        wanted = f"in {' or '.join(TOKENS)}, or in ~/.ray/auth_token, and {MODE}=token before Ray is imported."
        raise not_there(address, f"no answer in {ANSWER_SECONDS:g} s. A cluster with a token wants it {wanted}")


def choose_mode(address: str) -> None:
    """Whether tokens are sent: as the user says, else as the cluster wants, where there is a token to send.

    `ray start --head` asks for a token as soon as one lies on the machine; a driver sends one only in this mode,
    which Ray reads when it is imported.
    """
    given = any(os.environ.get(name) for name in TOKENS) or Path.home().joinpath(".ray", "auth_token").exists()
    if MODE in os.environ or not given:
        return
    environment = {**os.environ, MODE: "disabled"}
    asking = subprocess.Popen(
        [sys.executable, "-c", PROBE, address],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = asking.communicate(timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        asking.kill()
        asking.communicate()
        raise not_there(address, f"no answer in {ANSWER_SECONDS:g} s") from None
    if asking.returncode not in (0, 3):
        raise not_there(address, (said.strip() or "the question failed").splitlines()[-1])
    os.environ[MODE] = "token" if asking.returncode == 3 else "disabled"


def not_there(address: str, reason: str) -> SettingsError:
    """The error that names the address and what came of trying it."""
    return SettingsError(f"--address must be that of a running Ray cluster; {address} is not: {reason}")
