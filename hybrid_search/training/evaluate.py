"""All that a worker runs: one architecture and its settings in, one Report per epoch out."""

import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from statistics import median

import safetensors.torch
import torch
from torch import Tensor, nn

from hybrid_search import __version__
from hybrid_search.data import Dataset, load
from hybrid_search.errors import NotFinite, OtherData, TrialError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.networks.model import build_model
from hybrid_search.ops.local_attention import which_backend
from hybrid_search.records import FailureKind, Report, Settings
from hybrid_search.training.loop import Trainer, device_of, precision_of, seed_for, steady

LATENCY_RUNS = 25
FINGERPRINT = "fingerprint"  # of the data, in a state that is kept: the bytes of the word, as a tensor
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


def evaluate(
    architecture: Architecture,
    settings: Settings,
    *,
    resume: Mapping[str, Tensor] | None = None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None = None,
) -> Iterator[Report]:
    """Build and train one network, yielding its numbers after every epoch (a rung is an epoch).

    Measurements: `accuracy` 0..1 and `loss` on the validation split, `train_loss`, `flops`, `params`, `train_seconds`
    up to here; with the last rung also `latency_ms` and the scored weights as safetensors bytes. `keep(rung, state)` is
    called after every epoch; `state()` is then the state (a flat dictionary of tensors, as safetensors writes them)
    that, given as `resume`, goes on from there bit for bit (on a CPU). Raises NotFinite, TrialError where memory ran
    out, CheckpointError where `resume` is of another network or of other data, before anything is trained, and
    UserErrors for data and devices that are not there.
    """
    try:
        yield from _epochs(architecture, settings, resume, keep)
    except Exception as error:
        if isinstance(error, TrialError) or classify_failure(error) != "oom":
            raise
        words = (str(error) or type(error).__name__).splitlines()[0]
        raise TrialError(
            f"training must fit in memory; not enough memory for {architecture.digest} in batches of "
            f"{settings.batch_size}, at a peak of {_peak_gib(settings):.2f} GiB: {words}"
        ) from error


def classify_failure(exception: BaseException) -> FailureKind:
    """What went wrong, as the ledger names it: nan, oom, timeout, pre-empted, else bug. Causes count too."""
    seen: BaseException | None = exception
    while seen is not None:
        if isinstance(seen, NotFinite):
            return "nan"
        text = str(seen).lower()
        memory = isinstance(seen, RuntimeError | TrialError) and any(words in text for words in OUT_OF_MEMORY)
        if memory or isinstance(seen, MemoryError | torch.OutOfMemoryError):
            return "oom"
        if isinstance(seen, TimeoutError):
            return "timeout"
        if isinstance(seen, KeyboardInterrupt | SystemExit):
            return "pre-empted"
        seen = seen.__cause__
    return "bug"


def _epochs(
    architecture: Architecture,
    settings: Settings,
    resume: Mapping[str, Tensor] | None,
    keep: Callable[[int, Callable[[], dict[str, Tensor]]], None] | None,
) -> Iterator[Report]:
    device = device_of(settings)
    dataset = load(settings)
    channels, classes = dataset.input_size[0], len(dataset.classes)
    price = cost(architecture, dataset.input_size, classes)
    with steady(device, settings.threads, seed_for("weights", settings.seed)):
        trainer = Trainer(build_model(architecture, channels, classes), dataset, settings)
    mark = torch.frombuffer(bytearray(dataset.fingerprint.encode()), dtype=torch.uint8)
    if resume is not None:
        _same_data(resume, dataset)
        trainer.load_state_dict(resume)
    facts = gather_facts(architecture, dataset, settings)

    def state() -> dict[str, Tensor]:
        return {**trainer.state_dict(), FINGERPRINT: mark}

    for epoch in trainer.run():
        if keep is not None:
            keep(epoch.epoch, state)
        measurements = {
            "accuracy": epoch.accuracy,
            "loss": epoch.loss,
            "train_loss": epoch.train_loss,
            "flops": float(price.flops),
            "params": float(price.params),
            "train_seconds": trainer.seconds,
        }
        weights, last = None, epoch.epoch == settings.epochs
        if last:
            measurements["latency_ms"] = latency_ms(trainer.scored, dataset.input_size, settings)
            weights = weights_of(trainer.scored, architecture)
        yield Report(epoch.epoch, measurements, facts, last, weights)


def _same_data(state: Mapping[str, Tensor], dataset: Dataset) -> None:
    """OtherData unless the state was reached on these images."""
    was = bytes(state[FINGERPRINT].tolist()).decode() if FINGERPRINT in state else "no fingerprint"
    if was != dataset.fingerprint:
        raise OtherData(
            f"a checkpoint must be of the data it goes on with; it has {was}, {dataset.name} here has fingerprint "
            f"{dataset.fingerprint}."
        )


def latency_ms(model: nn.Module, input_size: tuple[int, int, int], settings: Settings) -> float:
    """Milliseconds of one image's forward pass, fp32, the median of 25 runs after five to warm up."""
    device = device_of(settings)
    image = torch.zeros(1, *input_size, device=device).contiguous(memory_format=torch.channels_last)
    model.eval()
    times = []
    with steady(device, settings.threads, 0), torch.inference_mode():
        for _ in range(LATENCY_RUNS + 5):
            start = time.perf_counter()
            model(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(1000 * (time.perf_counter() - start))
    return median(times[5:])


def weights_of(model: nn.Module, architecture: Architecture) -> bytes:
    """The weights and buffers as safetensors bytes, on the CPU, with the architecture in the header."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in model.state_dict().items()}
    return safetensors.torch.save(tensors, {"architecture": json.dumps(architecture.to_dict())})


def gather_facts(architecture: Architecture, dataset: Dataset, settings: Settings) -> dict[str, str]:
    """What makes the numbers a result: data, settings, code, versions, machine."""
    device = device_of(settings)
    return {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "settings": settings.digest,
        "architecture": architecture.digest,
        "precision": precision_of(settings, device),
        "threads": str(settings.threads),
        "attention_backend": attention_backend(architecture, device),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        **_machine(),
    }


def attention_backend(architecture: Architecture, device: torch.device) -> str:
    """The implementations that local attention has here, ` + ` between them; empty where there is none."""
    names = set()
    for stage in architecture.stages:
        options = dict(stage.options)
        if stage.operator == "local_attention":
            heads, extent = int(options["heads"]), int(options["extent"])
            q = torch.empty(1, heads, stage.width // heads, 8, 8, device=device)
            names.add(which_backend(q, extent=extent, border=str(options["border"])))
    return " + ".join(sorted(names))


@lru_cache(maxsize=1)
def _machine() -> dict[str, str]:
    return {
        "commit": commit(Path(__file__).resolve().parent),
        "hybrid-search": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "host": platform.node(),
        "cpu": _cpu_model(),
    }


def commit(folder: Path) -> str:
    """The git commit of the source in this folder, `-dirty` where it was changed, else `v` and the package's version.

    A folder that merely lies inside some other checkout (a virtual environment does) is not that checkout's source.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "evaluate.py")
        return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return f"v{__version__}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _peak_gib(settings: Settings) -> float:
    """The most memory that this process held: of the GPU where it trained there, else of the machine."""
    device = device_of(settings)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
