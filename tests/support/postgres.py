"""A real PostgreSQL server for the tests: made in a temporary folder once a session, stopped at its end.

It can be killed and started again under the feet of a ledger, which is what tests/faults does.
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
PASSWORD = "Ge/heim@4711#?"  # must be quoted in a URL, and is looked for in whatever is printed or written
MISSING = "needs PostgreSQL: apt-get install postgresql"


def programs() -> Path | None:
    """The folder of initdb and postgres: Debian's newest, else the one on the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = debian[-1] if debian else shutil.which("initdb")
    return Path(found).parent if found else None


class Server:
    """One server with a folder of its own, on a free port of loopback. It gives every test a database."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        # PostgreSQL refuses to run as root; its folder must then belong to somebody else, where all may pass.
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
        """Start; where the last one was killed its children may linger for a moment, so it is tried again."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # for speed: a killed server loses nothing by it, a killed machine would
            "dynamic_shared_memory_type": "mmap",  # in its folder, so that a killed one leaves nothing elsewhere
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
        """Whether it takes connections."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            pass
        command = ["pg_isready", "-q", "-h", str(self.folder), "-p", str(self.port), "-d", "postgres"]
        return self._run(command).wait(timeout=10) == 0

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop: SIGINT in order (fast), SIGQUIT at once (immediate), SIGKILL as the kernel would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)

    def database(self) -> str:
        """The URL of a new, empty database, with its password."""
        name = next(self._names)
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        engine.dispose()
        return self.url(name)

    def url(self, database: str) -> str:
        """The URL of a database of this server, as a user writes it."""
        found = URL.create("postgresql", USER, PASSWORD, "127.0.0.1", self.port, database)
        return found.render_as_string(hide_password=False)

    def remove(self) -> None:
        """Stop, and leave nothing behind."""
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
    """A folder in memory where there is room: a test's database is three hundred files, and a session has a hundred."""
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > 4 * 2**30 else None


def _known(user: str) -> bool:
    with suppress(KeyError):
        return bool(getpwnam(user))
    return False


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of this session."""
    found = programs()
    if found is None:
        pytest.skip(MISSING)
    made = Server(found)
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("server").database()
