"""Functions of the training settings: device, precision, seeds, optimizer, learning rate, averaged weights."""

import copy
import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.training.muon import Muon, is_matrix

MOMENTUM = 0.9
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def device_of(settings: Settings) -> torch.device:
    """Return the device of `settings.device`. "auto" is the GPU if there is one, otherwise the CPU.

    Args:
        settings: `device` is used.

    Raises:
        SettingsError: this machine has no such device.
    """
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        raise SettingsError(f"device must be one of auto, cpu, cuda, cuda:N; got {settings.device!r}.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise SettingsError(
            f"device must be one that torch sees here ({count} GPUs, and cpu); got {settings.device!r}."
        )
    return torch.device(name)


def count_devices(settings: Settings) -> int:
    """Return how many GPUs torch sees here; 0 if the settings train on a CPU.

    Args:
        settings: `device` is used.

    Raises:
        SettingsError: this machine has no such device.
    """
    return torch.cuda.device_count() if device_of(settings).type == "cuda" else 0


def precision_of(settings: Settings, device: torch.device) -> str:
    """Return "fp32", "bf16" or "fp16". "auto" is bf16 on a GPU that supports it, otherwise fp32.

    Args:
        settings: `precision` is used.
        device: where the network runs.
    """
    if settings.precision != "auto":
        return settings.precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context manager for a forward pass at a precision.

    Args:
        device: where the network runs.
        precision: "fp32", "bf16" or "fp16".
    """
    return torch.autocast(device.type, dtype=DTYPES[precision], enabled=precision != "fp32")


def seed_for(*parts: object) -> int:
    """Return a 63-bit seed, a hash of the arguments. Similar arguments give unrelated seeds.

    Args:
        parts: strings and numbers, for example `seed_for("epoch", seed, epoch)`.
    """
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


@contextmanager
def reproducible(device: torch.device, threads: int, seed: int) -> Iterator[None]:
    """Run a block with a seed, a number of CPU threads and, on a CPU, deterministic kernels.

    The block starts with the state of a fresh process, and the state of the caller is restored afterwards: see
    `clean_process_state`. On a GPU the seed is set too, but the order of additions may vary: results are close, not
    bitwise equal.

    Args:
        device: where the block computes.
        threads: the number of CPU threads.
        seed: the seed of torch's global generators.
    """
    before = torch.get_num_threads()
    with clean_process_state(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        if device.type == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
            # Filling every new tensor with NaN helps to find bugs, but is slow.
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        try:
            yield
        finally:
            torch.set_num_threads(before)


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return Muon, AdamW, LAMB, or SGD with Nesterov momentum.

    Weight decay is applied to the weights of convolutions and linear layers only, not to norm scales, biases and the
    position tables of attention.

    Args:
        model: the network to train.
        settings: `optimizer`, `learning_rate` and `weight_decay` are used.

    Raises:
        SettingsError: the optimizer needs a package that is not installed.
    """
    layers = (module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    decaying = {id(layer.weight) for layer in layers}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    weights = [p for p in parameters if id(p) in decaying]
    groups = [
        {"params": weights, "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if id(p) not in decaying], "weight_decay": 0.0},
    ]
    if settings.optimizer == "muon":
        matrices = [p for p in weights if is_matrix(p)]
        groups[0]["params"] = [p for p in weights if not is_matrix(p)]
        groups.insert(0, {"params": matrices, "weight_decay": settings.weight_decay, "muon": True})
    groups = [group for group in groups if group["params"]]
    if settings.optimizer == "muon":
        return Muon(groups, settings.learning_rate)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    if settings.optimizer == "lamb":
        return _lamb(groups, settings.learning_rate)
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=MOMENTUM, nesterov=True, fused=True)


def _lamb(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """Return timm's LAMB (You et al. 2020). The training loop limits the gradient itself."""
    import_torchvision()
    try:
        from timm.optim.lamb import Lamb
    except ImportError as error:
        raise SettingsError(
            f"optimizer lamb is timm's, which cannot be imported: {error}. Install it: pip install "
            "'hybrid-search[timm]'."
        ) from None
    optimizer: torch.optim.Optimizer = Lamb(groups, lr=lr, max_grad_norm=None)
    return optimizer


def learning_rate(settings: Settings, step: int, steps: int) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine down to zero.

    Args:
        settings: `learning_rate`, `epochs` and `warmup_epochs` are used. The warm-up is at most half of the training.
        step: the number of the step from 0, over all epochs.
        steps: the number of steps in an epoch.
    """
    total = settings.epochs * steps
    warm = min(round(settings.warmup_epochs * steps), total // 2)
    if step < warm:
        return settings.learning_rate * (step + 1) / (warm + 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


class MovingAverage:
    """Exponential moving average of the weights and buffers of a network, including batch norm statistics.

    The decay is (1 + step) / (10 + step) until it reaches its full value, so that the random initial weights have
    little effect.

    Args:
        model: the network; it is copied.
        decay: the full decay, 0..1.

    Attributes:
        model: a network with the averaged weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Include the weights of `model` after a step.

        Args:
            model: the network that is trained.
            step: the number of the step from 0.
        """
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        average([old for old, _ in floating], [new for _, new in floating], None)
        for old, new in pairs:
            if not old.is_floating_point():
                old.copy_(new)
