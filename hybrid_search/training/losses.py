"""The losses of an epoch, and the loss of distillation."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from hybrid_search.errors import NotFinite
from hybrid_search.records import Settings

CHECK_STEPS = 20  # on a GPU the loss is read after so many steps, because reading it waits for the GPU
TEMPERATURE = 2.0  # of the distributions that distillation compares


class Losses:
    """The mean loss of an epoch. A loss that is not finite is found at its step on a CPU, within 20 steps on a GPU.

    Args:
        settings: for the message.
        device: where the losses are.
        first: the number of the first step of the epoch, over all epochs, from 0.
        total: the number of steps of the training.
        added: returns the sum of a number over the processes that train together, each of which has a part of a step.
    """

    def __init__(
        self,
        settings: Settings,
        device: torch.device,
        first: int,
        total: int,
        added: Callable[[Tensor], Tensor] = lambda value: value,
    ) -> None:
        self._settings, self._total, self._added = settings, total, added
        self._step, self._images = first, 0
        self._on_device = device.type != "cpu"
        self._part = 0.0  # of the present step, on a CPU
        self._sum: float | Tensor = torch.zeros((), dtype=torch.float64, device=device) if self._on_device else 0.0
        self._count = 0

    def add(self, loss: Tensor, images: int) -> None:
        """Add the loss of a step, or of a part of it.

        Args:
            loss: the mean loss; that of a part is weighted by its share of the step.
            images: the number of images of the step.

        Raises:
            NotFinite: the loss is NaN or infinite. On a GPU this is found later.
        """
        self._images = images
        if isinstance(self._sum, Tensor):
            self._sum += loss.detach().double() * images
            return
        value = self._added(loss.detach().clone()).item()
        if not math.isfinite(value):
            raise self._not_finite(f"step {self._step + 1} of {self._total} gave {value}")
        self._part += value

    def end_step(self) -> None:
        """Note that the losses of a step are complete.

        Raises:
            NotFinite: on a GPU, a loss of the last 20 steps was NaN or infinite.
        """
        if isinstance(self._sum, Tensor):
            if (self._step + 1) % CHECK_STEPS == 0:
                self._check()
        else:
            self._sum += self._images * self._part
            self._part = 0.0
        self._count += self._images
        self._step += 1

    def mean(self) -> float:
        """Return the mean loss of the epoch.

        Raises:
            NotFinite: on a GPU, a loss of the last 20 steps was NaN or infinite.
        """
        return self._check() / self._count

    def _check(self) -> float:
        value = float(self._added(self._sum.clone()) if isinstance(self._sum, Tensor) else self._sum)
        if not math.isfinite(value):
            raise self._not_finite(f"one of the {CHECK_STEPS} steps up to {self._step + 1} of {self._total} was not")
        return value

    def _not_finite(self, what: str) -> NotFinite:
        settings = self._settings
        return NotFinite(
            f"the training loss must be finite; {what}. A learning_rate below {settings.learning_rate:g} or more "
            "warmup_epochs may help."
        )


def distillation_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of two networks at a temperature (Hinton et al. 2015).

    Args:
        logits: of the network, (n, classes).
        teacher: logits of the teacher, (n, classes).
    """
    mine, wanted = (F.log_softmax(each / TEMPERATURE, dim=1) for each in (logits, teacher.float()))
    return F.kl_div(mine, wanted, reduction="batchmean", log_target=True) * TEMPERATURE**2
