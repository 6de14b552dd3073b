"""Latency of a network on this machine."""

import time
from statistics import median

import torch
from torch import nn

from hybrid_search.records import Settings
from hybrid_search.training.from_settings import device_of, reproducible

RUNS = 25
WARM_UP = 5


def latency_ms(model: nn.Module, input_size: tuple[int, int, int], settings: Settings) -> float:
    """Measure the forward pass of one image in fp32.

    Args:
        model: the network; it is put into evaluation mode.
        input_size: channels, rows and columns of the image.
        settings: `device` and `threads` are used.

    Returns:
        Milliseconds, the median of 25 runs after 5 runs to warm up.
    """
    device = device_of(settings)
    model.eval()
    times = []
    with reproducible(device, settings.threads, 0), torch.inference_mode():
        image = torch.zeros(1, *input_size, device=device).contiguous(memory_format=torch.channels_last)
        for _ in range(RUNS + WARM_UP):
            start = time.perf_counter()
            model(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(1000 * (time.perf_counter() - start))
    return median(times[WARM_UP:])
