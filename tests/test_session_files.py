"""A Ray session on this machine finds a token and a short folder, whatever home and temporary folder are like."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hybrid_search.engines import ray as engine
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.ray import session_files
from hybrid_search.engines.ray.session_files import provide_token, session_folder
from hybrid_search.errors import SettingsError
from hybrid_search.records import Resources

PRIVATE = f"hybrid-search-{os.getuid()}"


@pytest.fixture(autouse=True)
def lines(monkeypatch, tmp_path):
    """Collect the notices of a process whose environment names no token and no temporary folder."""
    for name in [*session_files.TOKENS, session_files.AUTH_MODE, "RAY_TMPDIR", "TMPDIR", "RAY_ADDRESS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return []


def test_a_home_that_can_be_written_keeps_the_token(tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HOME", str(tmp_path))
    provide_token(lines.append)
    assert lines == []
    assert "RAY_AUTH_TOKEN_PATH" not in os.environ


@pytest.mark.parametrize("home", ["/proc/nope", "/dev/null", "/proc"])
def test_the_token_lies_in_a_private_folder_if_the_home_cannot_be_written(home, tmp_path, monkeypatch, lines):
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")  # empty means unset; monkeypatch restores it
    provide_token(lines.append)
    path = tmp_path / PRIVATE / "token" / "auth_token"
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(path)
    assert len(path.read_text()) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    (line,) = lines
    assert line.startswith(f"Ray's token cannot be written to {home}/.ray/auth_token (")
    assert line.endswith(f"it is in {path}")
    token = path.read_text()
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    provide_token(lines.append)
    assert path.read_text() == token  # a second driver of the user has the same one


def test_the_token_of_a_user_without_an_entry_in_the_list_of_users_is_private(tmp_path, monkeypatch, lines):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    provide_token(lines.append)
    assert "~/.ray/auth_token (the user has no home folder)" in lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_TOKEN", "0" * 64), ("RAY_AUTH_TOKEN_PATH", "/a/file"), ("RAY_AUTH_MODE", "disabled")],
)
def test_a_token_or_mode_of_the_user_is_not_replaced(name, value, monkeypatch, lines):
    monkeypatch.setenv("HOME", "/proc/nope")
    monkeypatch.setenv(name, value)
    provide_token(lines.append)
    assert lines == []
    assert os.environ[name] == value


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("{0}/" + "x" * 100, "the path of a socket would have"),
        ("{0}/" + "ä" * 30, "the path of a socket would have"),  # bytes count, not characters
        ("/nonexistent", "it does not exist"),
        ("/dev/null", "it is not a folder"),
        ("/proc", "No such file or directory"),
        ("tmp", "the path is not absolute"),
    ],
)
def test_a_short_folder_takes_the_place_of_one_that_ray_cannot_use(name, folder, reason, tmp_path, monkeypatch, lines):
    folder = folder.format(tmp_path)
    if folder.startswith(str(tmp_path)):
        Path(folder).mkdir()
    monkeypatch.setenv(name, folder)
    assert session_folder(lines.append) == f"/tmp/{PRIVATE}/ray"
    (line,) = lines
    assert line.startswith(f"Ray cannot keep its sockets and logs in {folder} ({reason}")
    assert line.endswith(f"they are in /tmp/{PRIVATE}/ray")


def test_the_next_short_folder_is_tried_before_an_error(tmp_path, monkeypatch, lines):
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr(session_files, "SHORT_FOLDERS", ("/proc", str(tmp_path)))
    assert session_folder(lines.append) == f"{tmp_path}/{PRIVATE}/ray"
    monkeypatch.setattr(session_files, "SHORT_FOLDERS", ("/proc",))
    with pytest.raises(SettingsError, match=r"got /nonexistent: it does not exist; .*RAY_TMPDIR names a short one"):
        session_folder(lines.append)


def test_the_default_folder_of_ray_is_left_alone_if_it_can_be_used(tmp_path, monkeypatch, lines):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("RAY_TMPDIR", short)
        monkeypatch.setenv("TMPDIR", "/nonexistent")
        assert session_folder(lines.append) is None
    assert lines == []


def test_the_longest_socket_of_the_chosen_folder_fits():
    longest = session_files.SOCKET.replace("/ray/", f"/tmp/hybrid-search-{2**31 - 2}/ray/")
    assert len(longest) <= session_files.SOCKET_BYTES


def test_both_are_said_before_anything_is_written(monkeypatch, lines):
    monkeypatch.setenv("HOME", "/proc/nope")
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "")
    context = RunContext(None, Resources(workers=1, gpus_per_trial=0))
    context.notice = lines.append
    with engine.ready(context):
        assert [line.split(" cannot")[0] for line in lines] == ["Ray's token", "Ray"]


@pytest.mark.slow
def test_a_search_runs_without_a_home_and_with_a_temporary_folder_that_is_too_long(tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    environment = os.environ | {"HOME": "/proc/nope", "XDG_CACHE_HOME": "/proc/nope", "TMPDIR": str(long)}
    words = ["run", "digits", "--trials", "1", "--epochs", "1", "--workers", "1", "--format", "csv"]
    done = subprocess.run(
        [sys.executable, "-c", "from hybrid_search.cli import main; main()", *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,  # the kernels are compiled again in the new cache, beside other tests
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr
    for part in ("cache folder /proc/nope/hybrid-search", "Ray's token", "Ray cannot keep its sockets"):
        assert done.stderr.count(part) == 1
    assert "Traceback" not in done.stderr
    assert list(Path("results").glob("*.db"))
