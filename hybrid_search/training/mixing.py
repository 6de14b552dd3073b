"""Mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019): each image of a batch is mixed with another one.

The partner of an image is its mirror in the batch, whose order is random. timm's Mixup does the same for batches with
an even number of images; the batches of an epoch differ by one image here, so that none is dropped.
"""

import numpy as np
from torch import Tensor

from hybrid_search.records import Settings
from hybrid_search.training.from_settings import seed_for

CUTMIX_SHARE = 0.5  # share of batches with CutMix if both are on, as in timm


class Mixer:
    """Mixes the batches of one epoch. The random numbers depend on seed and epoch only, not on the device.

    Args:
        settings: `mixup` and `cutmix` are the parameters of the Beta distribution of the shares; 0: off.
        epoch: the number of the epoch from 0.
    """

    def __init__(self, settings: Settings, epoch: int) -> None:
        self._mixup, self._cutmix = settings.mixup, settings.cutmix
        self._rng = np.random.default_rng(seed_for("mix", settings.seed, epoch))

    def mix(self, x: Tensor) -> tuple[Tensor, float]:
        """Return the mixed images, and the share of the label of each image itself.

        Args:
            x: the images, (n, channels, rows, columns). They may be changed in place.
        """
        if not self._mixup and not self._cutmix:
            return x, 1.0
        cut = self._rng.random() < (CUTMIX_SHARE if self._mixup and self._cutmix else float(bool(self._cutmix)))
        alpha = self._cutmix if cut else self._mixup
        share = float(self._rng.beta(alpha, alpha))
        if not cut:
            return x.mul(share).add_(x.flip(0), alpha=1 - share), share
        rows, cols = x.shape[2:]
        row, col = (self._cut(size, (1 - share) ** 0.5) for size in (rows, cols))
        x[:, :, row[0] : row[1], col[0] : col[1]] = x.flip(0)[:, :, row[0] : row[1], col[0] : col[1]]
        return x, 1 - (row[1] - row[0]) * (col[1] - col[0]) / (rows * cols)

    def _cut(self, size: int, share: float) -> tuple[int, int]:
        """Return begin and end of an interval of this share of the size around a random centre, cut at the border."""
        half, centre = int(size * share) // 2, int(self._rng.integers(size))
        return max(0, centre - half), min(size, centre + half)
