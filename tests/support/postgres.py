"""A real PostgreSQL server for the tests, in a temporary folder: started once a session, stopped at its end.

tests/faults kills it and starts it again while a ledger uses it.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from pwd import getpwnam

import pytest
from sqlalchemy import URL, create_engine, text

USER = "hybrid"
PASSWORD = "Ge/heim@4711#?"  # must be quoted in a URL; tests search all output and all files for it
MISSING = "needs PostgreSQL: apt-get install postgresql"


def programs() -> Path | None:
    """Return the folder of initdb and postgres: Debian's newest, otherwise the one on the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = debian[-1] if debian else shutil.which("initdb")
    return Path(initdb).parent if initdb else None


class Server:
    """One server with a folder of its own, on a free loopback port; `database` creates a new database for a test."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        # PostgreSQL refuses to run as root; its folder must then belong to another user and be reachable by all.
        self._user = next(name for name in ("postgres", "nobody") if _known(name)) if os.getuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="hybrid-postgres-", dir=_memory()))
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self._user:
            for path in (self.folder, secret):
                shutil.chown(path, self._user)
        self._data = self.folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        options = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"]
        command = ["initdb", "--no-sync", f"--username={USER}", "--locale=C", *options, f"--pgdata={self._data}"]
        self._run(command).communicate(timeout=60)
        self._process: subprocess.Popen[bytes] | None = None
        self._names = (f"test{n}" for n in count(1))

    def _run(self, command: list[str], output: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        command = [str(self._bin / command[0]), *command[1:]]
        return subprocess.Popen(command, user=self._user, cwd=self.folder, stdout=output, stderr=output)

    def start(self, wait: bool = True) -> None:
        """Start the server. The children of a killed one may stay for a moment, so the start is retried."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # for speed: a killed server loses nothing without it, a killed machine would
            "dynamic_shared_memory_type": "mmap",  # in its folder, so a killed server leaves nothing elsewhere
            "max_connections": 40,
            "shared_buffers": "32MB",
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                self._process = self._run(["postgres", "-D", str(self._data), *flags])
            if not wait or self.answers():
                return
            time.sleep(0.05)
        raise TimeoutError(f"PostgreSQL in {self.folder} does not start")

    def answers(self) -> bool:
        """Return whether the server accepts connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            pass
        command = ["pg_isready", "-q", "-h", str(self.folder), "-p", str(self.port), "-d", "postgres"]
        return self._run(command).wait(timeout=10) == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is a clean (fast) shutdown, SIGQUIT an immediate one, SIGKILL a crash."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)

    def database(self) -> str:
        """Return the URL of a new, empty database, with its password."""
        name = next(self._names)
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        engine.dispose()
        return self.url(name)

    def url(self, database: str) -> str:
        """Return the URL of a database of this server, as a user writes it."""
        url = URL.create("postgresql", USER, PASSWORD, "127.0.0.1", self.port, database)
        return url.render_as_string(hide_password=False)

    def remove(self) -> None:
        """Stop the server and remove its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def typed(*words: object) -> Iterator[list[str]]:
    """Yield the words of a command line without the passwords of URLs. PGPASSWORD has the password meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        shown = []
        for word in map(str, words):
            shown.append(re.sub(r"^(postgresql://[^:/@]*):[^@]*@", r"\1@", word))
            if shown[-1] != word:
                patch.setenv("PGPASSWORD", PASSWORD)
        yield shown


def _memory() -> str | None:
    """Return a folder in memory if it has room. A database has 300 files, and a session up to 100 databases."""
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > 4 * 2**30 else None


def _known(user: str) -> bool:
    with suppress(KeyError):
        return bool(getpwnam(user))
    return False


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Yield the server of this session."""
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip(MISSING)
    postgres = Server(bin_folder)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("server").database()
