"""The build of the CPU kernel: each extent is compiled on first use, and the library is stored in the user's cache.

The name of a library contains the extent, the type, the instruction set, and a hash of every file of the kernel, the
compiler and its flags. A new version of any of them is therefore compiled again. Processes that need the same library
at the same time wait for a file lock. The library appears under its name in one step.
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
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from filelock import FileLock

from hybrid_search._internal.cache_folder import cached_file, is_trusted, private_folder
from hybrid_search.errors import SettingsError

SOURCE = Path(__file__).parent / "cpu_kernel" / "kernel.cpp"  # its folder has the headers
COMPILERS = ("g++", "c++", "clang++")
FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-w"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)


@dataclass(frozen=True)
class Instructions:
    """An instruction set: its name, the bytes of a vector, the flags of the compiler."""

    name: str
    vector_bytes: int
    flags: tuple[str, ...]


# torch's name of the capability of a processor -> the instruction set to compile for; otherwise GENERIC.
INSTRUCTIONS = {
    "AVX512": Instructions("avx512", 64, ("-march=x86-64-v4", "-mprefer-vector-width=512")),
    "AVX2": Instructions("avx2", 32, ("-march=x86-64-v3",)),
}
GENERIC = Instructions("generic", 16, ())
TYPES = {torch.float32: "float", torch.float64: "double"}

log = logging.getLogger("hybrid_search.ops")


class BuildError(Exception):
    """The kernel cannot be compiled or loaded; the message is the reason in one line."""


def instructions() -> Instructions:
    """Return the instruction set of this processor."""
    return INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), GENERIC)


@cache
def compiler() -> tuple[str, ...]:
    """Return the command of the C++ compiler: the environment variable CXX, otherwise the first that is installed.

    Raises:
        BuildError: there is none.
    """
    given = shlex.split(os.environ.get("CXX", ""))
    for command in [given] if given else [[name] for name in COMPILERS]:
        path = shutil.which(command[0])
        if path:
            return (path, *command[1:])
    names = " ".join(given) if given else ", ".join(COMPILERS)
    raise BuildError(f"there is no C++ compiler here, looked for {names}; install one (apt-get install g++)")


@cache
def _version(command: tuple[str, ...]) -> bytes:
    return subprocess.run([*command, "--version"], capture_output=True, check=False).stdout


def notice(line: str) -> None:
    """Write one line to the log `hybrid_search.ops` and to stderr."""
    log.info(line)
    print(f"hybrid-search: {line}", file=sys.stderr, flush=True)


def library(extent: int, real: str, columns: bool) -> ctypes.CDLL:
    """Return the kernel for this processor. It is compiled if the cache does not contain it.

    Args:
        extent: side of the window in pixels.
        real: C++ type of the numbers, "float" or "double".
        columns: whether the lanes of a vector are columns of one map, or heads and images.

    Raises:
        BuildError: the kernel cannot be compiled or loaded.
    """
    return _library(extent, real, columns, instructions())


@cache
def _library(extent: int, real: str, columns: bool, target: Instructions) -> ctypes.CDLL:
    command = [*compiler(), *FLAGS, *target.flags, f"-DVECTOR_BYTES={target.vector_bytes}"]
    command += [f"-DEXTENT={extent}", f"-DREAL={real}", f"-DLANES_ARE_COLUMNS={int(columns)}"]
    made_of = [*_sources(), _version(compiler()), platform.machine().encode(), *map(str.encode, command)]
    digest = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:16]
    what = f"{extent}-{real}-{'columns' if columns else 'pairs'}-{target.name}"
    try:
        path = _safe_place(cached_file("kernels", f"local-attention-{what}-{digest}.so", notice))
    except SettingsError as error:
        raise BuildError(str(error).rstrip(".")) from None
    if not _is_usable(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # the operating system releases it if the process dies
                if not _is_usable(path):  # another process may have compiled it in the meantime
                    _compile(command, path, f"the local attention kernel {what}")
        except OSError as error:
            raise BuildError(f"the kernel cannot be compiled: {error}") from error
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise BuildError(f"the kernel does not load: {error}") from error


def _safe_place(path: Path) -> Path:
    """Return the path of a library; one in the private temporary folder if other users can write that folder."""
    if not path.parent.exists() or is_trusted(path.parent):
        return path
    safe = private_folder("cache") / "kernels" / path.name
    notice(f"other users can write {path.parent}, so no kernel is loaded from there: {safe.parent} is used")
    return safe


def _is_usable(path: Path) -> bool:
    """Return whether a library exists and no other user can have written it; otherwise it is compiled again."""
    return path.exists() and is_trusted(path)


def _sources() -> list[bytes]:
    """Return the names and contents of all files of the kernel."""
    files = sorted(path for path in SOURCE.parent.iterdir() if path.suffix in (".cpp", ".h"))
    return [part for path in files for part in (path.name.encode(), path.read_bytes())]


def _compile(command: list[str], path: Path, what: str) -> None:
    notice(f"compiling {what} (once; stored in {path.parent})")
    begin = time.perf_counter()
    new = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        done = subprocess.run(
            [*command, str(SOURCE), "-o", str(new)], capture_output=True, text=True, errors="replace", check=False
        )
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
            raise BuildError(f"{command[0]} cannot compile the kernel: {lines[0] if lines else done.returncode}")
        new.chmod(0o755)  # a group must not write what this process loads
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    log.info("compiled %s in %.1f s", what, time.perf_counter() - begin)
