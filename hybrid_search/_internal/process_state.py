"""Save, reset and restore global state that changes results: flags of torch, random generators, warnings.

A program that calls this package may have set any of it. `clean_process_state` gives a block the state of a fresh
process and then restores the state of the caller. Training, scoring, building, costs by running and loading use it, so
that the same network and the same settings give the same number in every process.

This file imports neither torch nor numpy: a module that the process has not loaded has no state to change.
"""

import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}  # the defaults of numpy
DEVICE_TYPES = ("cpu", "cuda")  # those for which autocast has a state
HIGHEST = "highest"  # float32 products in float32
# Attributes below torch.backends that choose how float32 products are computed on a CPU or a GPU.
PRECISIONS = ("cuda.matmul", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
EXACT = ("none", "ieee")


@dataclass
class ProcessState:
    """The state of a process, as `ProcessState.of_process` found it.

    Attributes:
        flags: Flag of torch -> value; empty if torch is not loaded.
        inference: Whether torch is in inference mode.
        device: The default device of torch; None for the CPU.
        precision: The precision of float32 products: of torch itself (None if torch cannot say), and of each backend.
        generators: Name of a generator -> its state.
        numpy_errors: What numpy does about a division by zero and the like.
        threads: CPU threads of torch; None: as they are.
        seed: Seeds the generators that `generators` lacks; None: they are left as they are.
    """

    flags: dict[str, Any] = field(default_factory=dict)
    inference: bool = False
    device: Any = None
    precision: tuple[str | None, dict[str, str]] = (HIGHEST, {})
    generators: dict[str, Any] = field(default_factory=dict)
    numpy_errors: dict[str, str] = field(default_factory=lambda: dict(NUMPY_ERRORS))
    threads: int | None = None
    seed: int | None = None

    @classmethod
    def seeded(cls, seed: int, threads: int) -> "ProcessState":
        """Return the state of a fresh process with seeded generators and this number of threads."""
        return cls(threads=threads, seed=seed)

    @classmethod
    def of_process(cls) -> "ProcessState":
        """Return the present state."""
        state = cls(generators=_generators())
        if (torch := _loaded("torch")) is not None:
            device = torch.get_default_device()
            state.flags = {name: read() for name, (read, _) in _flags(torch).items()}
            state.inference = torch.is_inference_mode_enabled()
            state.device = None if device.type == "cpu" else device
            state.precision = _precision(torch)
            state.threads = torch.get_num_threads()
        if (numpy := _loaded("numpy")) is not None:
            state.numpy_errors = dict(numpy.geterr())
        return state

    def apply(self) -> None:
        """Set flags, precision and generators. Inference mode, default device and errors of numpy need a block."""
        if (torch := _loaded("torch")) is not None:
            for name, (read, write) in _flags(torch).items():
                value = self.flags.get(name, CLEAN[name])
                if read() != value:
                    write(value)
            _set_precision(torch, *self.precision)
            if self.threads is not None and self.threads != torch.get_num_threads():
                torch.set_num_threads(self.threads)
        if self.seed is not None:
            _seed_generators(self.seed)
        _set_generators(self.generators)


@contextmanager
def clean_process_state(start: ProcessState | None = None) -> Iterator[None]:
    """Run a block with the state of a fresh process, and restore the state of the caller at the end.

    In the block torch has gradients on; inference mode, autocast, anomaly detection and deterministic kernels off;
    float32 on the CPU as its defaults; and full precision of products. A warning that would be an error is a warning.
    Generators and the number of threads are restored at the end; the block starts with those of the caller.

    Args:
        start: Another state to begin with, for a block that continues an earlier one; None: that of a fresh process.
    """
    caller = ProcessState.of_process()
    chosen = start or ProcessState()
    torch, numpy = _loaded("torch"), _loaded("numpy")
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        _demote_errors()
        stack.callback(caller.apply)
        if torch is not None:
            if caller.inference != chosen.inference:
                stack.enter_context(torch.inference_mode(chosen.inference))
            if chosen.device is not None or caller.device is not None:
                stack.enter_context(chosen.device or torch.device("cpu"))
        if numpy is not None:
            stack.enter_context(numpy.errstate(**chosen.numpy_errors))
        chosen.apply()
        yield


def _loaded(name: str) -> Any:
    """Return a module that this process has loaded in full; None otherwise."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return None if getattr(spec, "_initializing", False) else module


def _demote_errors() -> None:
    """Let warnings that would be errors be warnings. Must run inside `warnings.catch_warnings`."""
    kept = [entry for entry in warnings.filters if entry[0] != "error"]
    if len(kept) < len(warnings.filters):
        warnings.resetwarnings()
        warnings.filters.extend(kept)  # type: ignore[attr-defined]  # typeshed calls it a Sequence; it is a list


# -- the flags of torch --

# The values of a fresh process.
CLEAN: dict[str, Any] = {
    "grad": True,
    "dtype": "float32",
    "deterministic": (False, False),
    "fill": True,
    "anomaly": (False, True),
    "autocast cpu": False,
    "autocast cuda": False,
    "mkldnn": True,
    "mkldnn deterministic": False,
    "nnpack": True,
    "cudnn": True,
    "cudnn benchmark": False,
    "cudnn deterministic": False,
    "flash attention": True,
    "memory-efficient attention": True,
    "math attention": True,
    "cudnn attention": True,
    "reduced sums fp16": True,
    "reduced sums bf16": True,
    "denormals are zero": False,
}

Flag = tuple[Callable[[], Any], Callable[[Any], Any]]


def _flags(torch: Any) -> dict[str, Flag]:
    """Return how each flag is read and written."""
    backends, cuda = torch.backends, torch.backends.cuda
    flags: dict[str, Flag] = {
        "grad": (torch.is_grad_enabled, torch._C._set_grad_enabled),
        "dtype": (
            lambda: str(torch.get_default_dtype()).removeprefix("torch."),
            lambda name: torch.set_default_dtype(getattr(torch, name)),
        ),
        "deterministic": (
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            lambda pair: torch.use_deterministic_algorithms(pair[0], warn_only=pair[1]),
        ),
        "fill": _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
        "anomaly": (
            lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
            lambda pair: torch.set_anomaly_enabled(*pair),
        ),
        "mkldnn": _attribute(backends.mkldnn, "enabled"),
        "mkldnn deterministic": _attribute(backends.mkldnn, "deterministic"),
        "nnpack": (torch._C._get_nnpack_enabled, torch._C._set_nnpack_enabled),
        "cudnn": _attribute(backends.cudnn, "enabled"),
        "cudnn benchmark": _attribute(backends.cudnn, "benchmark"),
        "cudnn deterministic": _attribute(backends.cudnn, "deterministic"),
        "flash attention": (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
        "memory-efficient attention": (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
        "math attention": (cuda.math_sdp_enabled, cuda.enable_math_sdp),
        "cudnn attention": (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
        "reduced sums fp16": _attribute(cuda.matmul, "allow_fp16_reduced_precision_reduction"),
        "reduced sums bf16": _attribute(cuda.matmul, "allow_bf16_reduced_precision_reduction"),
        "denormals are zero": (lambda: _denormals_are_zero(torch), torch.set_flush_denormal),
    }
    return flags | {f"autocast {kind}": _autocast(torch, kind) for kind in DEVICE_TYPES}


def _autocast(torch: Any, kind: str) -> Flag:
    return lambda: torch.is_autocast_enabled(kind), lambda value: torch.set_autocast_enabled(kind, value)


def _attribute(owner: Any, name: str) -> Flag:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _denormals_are_zero(torch: Any) -> bool:
    """Return whether this thread replaces numbers too small for a full mantissa by zero. Torch has no getter."""
    smallest = sys.float_info.min
    return bool(smallest / 2 == 0.0)


def _precision(torch: Any) -> tuple[str | None, dict[str, str]]:
    """Return the precision of float32 products: of torch itself, and of each backend."""
    try:
        whole = str(torch.get_float32_matmul_precision())
    except RuntimeError:  # the caller has set a backend only
        whole = None
    parts = {name: _backend_precision(torch, name) for name in PRECISIONS}
    return whole, {name: value for name, value in parts.items() if value is not None}


def _set_precision(torch: Any, whole: str | None, parts: dict[str, str]) -> None:
    """Set the precision of float32 products. Without `parts` every backend computes in float32."""
    found, now = _precision(torch)
    wanted = {name: parts.get(name, value if value in EXACT else "ieee") for name, value in now.items()}
    if (found, now) == (whole, wanted):
        return
    if whole is not None:
        torch.set_float32_matmul_precision(whole)
    for name, value in wanted.items():
        if _backend_precision(torch, name) != value:
            setattr(attrgetter(name)(torch.backends), "fp32_precision", value)  # noqa: B010


def _backend_precision(torch: Any, name: str) -> str | None:
    """Return the precision of products of a backend; None in a torch before 2.9, which has one for all."""
    try:
        return str(attrgetter(f"{name}.fp32_precision")(torch.backends))
    except AttributeError:
        return None


# -- the random generators --


def _generators() -> dict[str, Any]:
    """Return the states of the global generators of Python, numpy and torch."""
    states: dict[str, Any] = {"random": random.getstate()}
    if (numpy := _loaded("numpy")) is not None:
        states["numpy"] = numpy.random.get_state()
    if (torch := _loaded("torch")) is not None:
        states["torch"] = torch.random.get_rng_state()
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def _seed_generators(seed: int) -> None:
    """Seed the global generators of the modules that are loaded."""
    random.seed(seed)
    if (numpy := _loaded("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    if (torch := _loaded("torch")) is not None:
        torch.manual_seed(seed % 2**63)


def _set_generators(states: dict[str, Any]) -> None:
    """Set the global generators whose states are given."""
    if "random" in states:
        random.setstate(states["random"])
    if "numpy" in states:
        sys.modules["numpy"].random.set_state(states["numpy"])
    if "torch" in states:
        sys.modules["torch"].random.set_rng_state(states["torch"])
    if "cuda" in states:
        with suppress(RuntimeError):  # the GPU is gone
            sys.modules["torch"].cuda.set_rng_state_all(states["cuda"])
