"""torch.compile: for a network that the user wants compiled, or where a short probe finds that it pays."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from hybrid_search.errors import SettingsError

Forward = Callable[[Tensor], Tensor]
Precision = Callable[[], AbstractContextManager[Any]]
AUTO = "auto"
PROBE_STEPS = 10  # that are timed of each form, after two that are not
LEAST_SECONDS = 120.0  # of the whole training; compiling takes about as long as it saves in a shorter one
LEAST_GAIN = 1.05  # a compiled form must be faster by this factor
TOLERANCE = 0.05  # largest difference of a logit, as a share of the largest logit: bfloat16 is rounded in another order


class Chosen(NamedTuple):
    """How a network is run in training: the function, and why it was chosen, in words for the facts."""

    forward: Forward
    reason: str


def compiled(model: nn.Module | Forward, **options: Any) -> Forward:
    """Return a function that runs a network compiled by torch. The first call compiles it.

    Args:
        model: the network; its weights are shared.
        options: those of `torch.compile`.

    Raises:
        SettingsError: at the first call, the network cannot be compiled here.
    """
    run = torch.compile(model, **options)

    def forward(x: Tensor) -> Tensor:
        try:
            return cast("Tensor", run(x))
        except Exception as error:
            if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise SettingsError(
                    f"compile must be possible here; torch cannot compile the network: {reason}. Use compile=false."
                ) from error
            raise

    return forward


GRAPHS = "torch.compile with CUDA graphs"
# The sizes of batches differ by one image, so that each form is compiled for two sizes.
FORMS: Mapping[str, Callable[[nn.Module], Forward]] = MappingProxyType(
    {
        "torch.compile": lambda model: compiled(model, dynamic=False),
        GRAPHS: lambda model: compiled(model, dynamic=False, mode="reduce-overhead"),
    }
)


def choose_form(
    model: nn.Module,
    images: Tensor,
    steps: int,
    precision: Precision,
    forms: Mapping[str, Callable[[nn.Module], Forward]] = FORMS,
    clock: Callable[[], float] = time.perf_counter,
) -> Chosen:
    """Time forward and backward passes of a network as it is and compiled, and return the fastest form.

    Weights and statistics of batch norm are as before afterwards, and there are no gradients.

    Args:
        model: the network, on the device of training.
        images: a batch, (n, channels, rows, columns).
        steps: the number of steps of the whole training. If they take less than two minutes, nothing is compiled.
        precision: returns the context manager of a forward pass.
        forms: name -> a function from the network to a function that runs it.
        clock: returns the time in seconds.

    Returns:
        The fastest form whose logits are those of the network. A form that fails is left out, and the reason says so.
    """
    buffers = [(each, each.clone()) for each in model.buffers()]
    model.train()
    try:
        plain = _seconds(model, model, images, precision, clock)
        if plain * steps < LEAST_SECONDS:
            return Chosen(model, f"not compiled: {steps} steps of {_text(plain)} are too few")
        best, fastest, notes = Chosen(model, "not compiled"), plain / LEAST_GAIN, [f"{_text(plain)} a step"]
        for name, make in forms.items():
            try:
                forward = make(model)
                wrong = _differs(model, forward, images, precision)
                seconds = _seconds(model, forward, images, precision, clock)
            except Exception as error:  # of any class: the network trains as it is
                notes.append(f"{name} failed ({type(error).__name__})")
                continue
            if wrong:
                notes.append(f"{name} has other logits")
                continue
            notes.append(f"{name} {_text(seconds)}")
            if seconds < fastest:
                best, fastest = Chosen(forward, name), seconds
        return Chosen(best.forward, f"{best.reason}: {', '.join(notes)}")
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        model.zero_grad(set_to_none=True)


def _seconds(
    model: nn.Module, forward: Forward, images: Tensor, precision: Precision, clock: Callable[[], float]
) -> float:
    """Return the seconds of a forward and backward pass."""
    start = 0.0
    for step in range(PROBE_STEPS + 2):
        if step == 2:
            _wait(images)
            start = clock()
        _pass(model, forward, images, precision)
    _wait(images)
    return (clock() - start) / PROBE_STEPS


def _differs(model: nn.Module, forward: Forward, images: Tensor, precision: Precision) -> bool:
    """Return whether a form has other logits than the network. A network with random layers has others each time."""
    first, second, ours = (_pass(model, run, images, precision) for run in (model, model, forward))
    if not torch.equal(first, second):
        return not bool(ours.isfinite().all())
    return not bool((ours - first).abs().max() <= TOLERANCE * first.abs().max())


def _pass(model: nn.Module, forward: Forward, images: Tensor, precision: Precision) -> Tensor:
    """Make a forward and a backward pass, and return the logits. CUDA graphs need both passes of every step."""
    with precision():
        logits = forward(images)
    result = logits.detach().float().clone()  # the memory of a CUDA graph is written again by the next pass
    logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return result


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize(images.device)


def _text(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
