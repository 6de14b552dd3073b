"""Compiles kernel.cpp for one extent on its first use and keeps the library in the user's cache.

A library is named by the extent, the type, the instruction set and a hash of all that it is made of, so that a new
version of the source or the compiler never meets an old library. Processes that want the same one at the same time
wait at a lock file, and it appears under its name in one step.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from platformdirs import user_cache_path

try:
    import fcntl
except ImportError:  # Windows: no lock, the library still appears in one step
    fcntl = None  # type: ignore[assignment]

SOURCE = Path(__file__).with_name("kernel.cpp")
COMPILERS = ("g++", "c++", "clang++")
FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-w"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


@dataclass(frozen=True)
class Instructions:
    """An instruction set: its name, the bytes of a vector, the compiler's flags."""

    name: str
    vector_bytes: int
    flags: tuple[str, ...]


# What torch says of this processor -> the instruction set to compile for; anything else is generic.
INSTRUCTIONS = {
    "AVX512": Instructions("avx512", 64, ("-march=x86-64-v4", "-mprefer-vector-width=512")),
    "AVX2": Instructions("avx2", 32, ("-march=x86-64-v3",)),
}
GENERIC = Instructions("generic", 16, ())
TYPES = {torch.float32: "float", torch.float64: "double"}

log = logging.getLogger("hybrid_search.ops")


class BuildError(Exception):
    """There is no library: the reason in one line."""


def instructions() -> Instructions:
    """The instruction set of this processor."""
    return INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), GENERIC)


@cache
def compiler() -> tuple[str, ...]:
    """The command of the C++ compiler: that of the variable CXX, or the first found; BuildError for none."""
    asked = shlex.split(os.environ.get("CXX", ""))
    for command in [asked] if asked else [[name] for name in COMPILERS]:
        found = shutil.which(command[0])
        if found:
            return (found, *command[1:])
    names = " ".join(asked) if asked else ", ".join(COMPILERS)
    raise BuildError(f"there is no C++ compiler here, looked for {names}; install one (apt-get install g++)")


@cache
def _version(command: tuple[str, ...]) -> bytes:
    return subprocess.run([*command, "--version"], capture_output=True, check=False).stdout


def notice(line: str) -> None:
    """One line to the log `hybrid_search.ops` and to stderr."""
    log.info(line)
    print(f"hybrid-search: {line}", file=sys.stderr, flush=True)


def library(extent: int, real: str, columns: bool) -> ctypes.CDLL:
    """The kernel for this extent, C++ type and processor, compiled if the cache does not hold it.

    `columns` says which of its two ways to fill a vector. BuildError where there can be no kernel.
    """
    return _library(extent, real, columns, instructions())


@cache
def _library(extent: int, real: str, columns: bool, target: Instructions) -> ctypes.CDLL:
    command = [*compiler(), *FLAGS, *target.flags, f"-DVECTOR_BYTES={target.vector_bytes}"]
    command += [f"-DEXTENT={extent}", f"-DREAL={real}", f"-DLANES_ARE_COLUMNS={int(columns)}"]
    made_of = [SOURCE.read_bytes(), _version(compiler()), platform.machine().encode(), *map(str.encode, command)]
    digest = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]
    folder = _folder()
    what = f"{extent}-{real}-{'columns' if columns else 'pairs'}-{target.name}"
    path = folder / f"local-attention-{what}-{digest}.so"
    if not path.exists():
        with _locked(path.with_suffix(".lock")):
            if not path.exists():  # another process may have been faster
                _compile(command, path, f"the local attention kernel {what}")
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BuildError(f"the kernel does not load: {error}") from error


def _folder() -> Path:
    return kept() or _own_folder()


def kept() -> Path | None:
    """Where libraries are kept, in the user's cache; None where it cannot be written."""
    folder = user_cache_path("hybrid-search") / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


@cache
def _own_folder() -> Path:
    """Where the cache cannot be written: a temporary folder of this process, which leaves with it."""
    own = tempfile.TemporaryDirectory(prefix="hybrid-search-")
    _kept.append(own)
    return Path(own.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the process ends, however it ends
        yield


def _compile(command: list[str], path: Path, what: str) -> None:
    notice(f"compiling {what} (once; kept in {path.parent})")
    begin = time.perf_counter()
    new = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        done = subprocess.run(
            [*command, str(SOURCE), "-o", str(new)], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise BuildError(f"{command[0]} cannot compile the kernel: {lines[0] if lines else done.returncode}")
        new.replace(path)
    except OSError as error:
        raise BuildError(f"the kernel cannot be compiled: {error}") from error
    finally:
        new.unlink(missing_ok=True)
    log.info("compiled %s in %.1f s", what, time.perf_counter() - begin)
