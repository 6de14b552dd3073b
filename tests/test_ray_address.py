"""`--address`: a search joins an existing Ray cluster, with its token. If it cannot, the error is one line."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from support.fakes import tiny_space

from hybrid_search.engines import local as local_engine
from hybrid_search.engines import ray as ray_engine
from hybrid_search.engines.driver import RunContext
from hybrid_search.errors import HybridSearchError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources

# The command line, with an evaluation that needs no torch in the place of training.
PROGRAM = """
import sys
from types import SimpleNamespace
from hybrid_search import cli
from support.fakes import scored

sys.modules["hybrid_search.training.evaluation"] = SimpleNamespace(evaluate=scored(rungs=1))
sys.exit(cli.run(sys.argv[1:]))
"""
IMPATIENT = "from hybrid_search.engines.ray import address\naddress.ANSWER_SECONDS = 2.0\n" + PROGRAM


@pytest.fixture(scope="module")
def home():
    """Return a user's home with the token of a cluster. Its path is short, because Ray's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        folder = Path(name)
        (folder / ".ray").mkdir()
        (folder / ".ray" / "auth_token").write_text("5ea1" * 16)
        yield folder


@pytest.fixture(scope="module")
def address(home):
    """Yield the address of a cluster that was started with `ray start --head` and requires the token."""
    port = free_port()
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", f"--port={port}"]
    command += [
        f"--temp-dir={home}/ray",
        "--num-cpus=1",
        "--include-dashboard=false",
        "--object-store-memory=100000000",
    ]
    log = home / "head.log"
    with log.open("w") as out:
        head = subprocess.Popen(command, env=environment(home), stdout=out, stderr=out, start_new_session=True)
        until = time.monotonic() + 60
        while "Ray runtime started" not in log.read_text():
            assert head.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            head.send_signal(signal.SIGTERM)
            try:
                head.wait(20)
            finally:
                if head.poll() is None:
                    os.killpg(head.pid, signal.SIGKILL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(home, **more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    cache = os.environ.get(
        "XDG_CACHE_HOME", os.path.expanduser("~/.cache")
    )  # compiled kernels stay in the user's cache
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    usual = {"HOME": str(home), "XDG_CACHE_HOME": cache, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    return {**clean, **usual, **more}


def search(folder, address, home, program=PROGRAM, **more):
    """Run a search of one tiny trial; return its exit code, its last lines and its trials."""
    space = folder / "tiny.yaml"
    space.write_text(yaml.safe_dump(tiny_space().to_dict()))
    database = folder / "l.db"
    words = ["run", space, "--trials", 1, "--epochs", 1, "--db", f"sqlite:///{database}"]
    words += ["--address", address] if address else []
    call = [sys.executable, "-c", program, *map(str, words)]
    ended = subprocess.run(call, env=environment(home, **more), capture_output=True, text=True, timeout=120)
    trials = []
    if database.exists():
        with Ledger(f"sqlite:///{database}") as ledger:
            trials = ledger.read(reads.trials, ledger.search().id)
    return ended.returncode, ended.stderr.strip().splitlines(), trials


@pytest.mark.slow
def test_a_search_joins_a_cluster_that_needs_a_token(tmp_path, address, home):
    code, words, trials = search(tmp_path, address, home)
    assert code == 0, words
    assert [trial.state for trial in trials] == ["complete"]


@pytest.mark.slow
def test_a_search_without_an_address_leaves_a_cluster_of_this_machine_alone(tmp_path, address, home):
    code, words, trials = search(
        tmp_path, None, home, RAY_TMPDIR=str(home)
    )  # where Ray stores the address of that cluster
    assert code == 0, words
    assert [trial.state for trial in trials] == ["complete"]


def test_a_refused_token_is_an_error_that_says_where_tokens_are_read(tmp_path, address, home):
    code, words, trials = search(tmp_path, address, home, IMPATIENT, RAY_AUTH_TOKEN="0bad" * 16)
    assert (code, trials) == (2, [])
    assert not (tmp_path / "l.db").exists()
    assert (
        f"hybrid-search: address (--address) must be that of a running Ray cluster; {address} is not: no answer in 2 s"
        ". A cluster with a token needs it in RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or in ~/.ray/auth_token, and "
        "RAY_AUTH_MODE=token before Ray is imported."
    ) in words  # Ray prints its own lines around it


def test_an_address_where_nothing_listens_is_refused_at_once_and_nothing_is_written(tmp_path, home):
    nowhere = f"127.0.0.1:{free_port()}"
    code, words, _ = search(tmp_path, nowhere, home)
    assert code == 2
    refused = f"hybrid-search: address (--address) must be that of a running Ray cluster; {nowhere} is not: "
    assert words == [refused + "[Errno 111] Connection refused"]
    assert not (tmp_path / "l.db").exists()


def refuse(engine, context):
    with engine.ready(context):
        pass


@pytest.mark.parametrize("address", ["nohost", "ray://127.0.0.1:10001", "http://127.0.0.1:8265", "127.0.0.1:\u00b2"])
def test_an_address_of_another_form_is_refused_in_one_line(address):
    with pytest.raises(HybridSearchError, match=r"is not: it must be auto or HOST:PORT$"):
        refuse(ray_engine, RunContext(print, Resources(address=address)))


def test_a_host_that_cannot_be_is_refused_in_one_line():
    with pytest.raises(HybridSearchError, match="must be that of a running Ray cluster"):
        refuse(ray_engine, RunContext(print, Resources(address="host..name:6379")))


def test_the_address_of_the_environment_counts_for_engine_ray_alone(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "nohost")
    refuse(local_engine, RunContext(print))
    with pytest.raises(HybridSearchError, match="nohost is not"):
        refuse(ray_engine, RunContext(print))
