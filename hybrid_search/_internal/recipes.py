"""The training recipes: a table from name to settings, with rules for batch size and epochs, and the reason of each.

A recipe fills the settings that are not given. `Settings(recipe="paper", learning_rate=0.1)` has the learning rate that
is given, and everything else from the recipe. A search stores the numbers, so a later recipe does not change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

BATCH = 64  # the batch size for which the learning rate of a recipe is stated
DEFAULT = "short"
# Learning rate for 64 images, exponent of the batch size, weight decay: where another optimizer than that of the recipe
# is given, these take the place of the recipe's.
OPTIMIZERS = {
    "muon": (0.04, 0.5, 0.05),  # those of `short`
    "adamw": (0.015, 0.5, 0.05),  # those of `classic`, with the rule of `modern` for the batch
    "nesterov": (0.1, 1.0, 5e-4),  # usual for ResNets on CIFAR (He et al. 2016), for a batch of 128 there
    "lamb": (0.0009, 0.5, 0.02),  # 0.005 for a batch of 2,048 (Wightman et al. 2021)
}
# Settings that only some recipes fill; with all others they have these values.
MORE: Mapping[str, object] = {
    "stochastic_depth": 0.0, "mixup": 0.0, "cutmix": 0.0, "trivial_augment": 0.0, "random_erasing": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Values of the settings that a recipe fills.

    Attributes:
        about: what it is for, in one line.
        optimizer: "muon", "adamw", "nesterov" or "lamb".
        learning_rate: for a batch of 64 images.
        scaling: exponent of the batch size in the learning rate: 0.5 for adaptive steps (Malladi et al. 2022), 1 for
            SGD (Goyal et al. 2017), 0 for none.
        weight_decay: decay of the weights.
        warmup: warm-up as a share of the epochs.
        warmup_limit: the warm-up in epochs, at most.
        label_smoothing: share of the target that is spread over all classes.
        ema: decay of the moving average; 0: none.
        more: further settings that this recipe fills, from `MORE`.
    """

    about: str
    optimizer: str
    learning_rate: float
    scaling: float
    weight_decay: float
    warmup: float
    warmup_limit: float
    label_smoothing: float
    ema: float
    more: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    def values(self, batch_size: int, epochs: int, optimizer: str | None = None) -> dict[str, object]:
        """Return the settings that this recipe gives.

        Args:
            batch_size: images in one step.
            epochs: epochs of one trial.
            optimizer: the optimizer, if another one than that of the recipe is given: rate, rule for the batch and
                weight decay are then those of `OPTIMIZERS`.
        """
        own = (self.learning_rate, self.scaling, self.weight_decay)
        rate, scaling, decay = own if optimizer is None or optimizer == self.optimizer else OPTIMIZERS[optimizer]
        return {
            "optimizer": optimizer or self.optimizer,
            "learning_rate": float(f"{rate * (batch_size / BATCH) ** scaling:.4g}"),
            "weight_decay": decay,
            "warmup_epochs": float(f"{min(self.warmup * epochs, self.warmup_limit):.4g}"),
            "label_smoothing": self.label_smoothing,
            "ema": self.ema,
            **self.more,
        }


# Every figure is in docs/log.md, 2026-11-30.
RECIPES: Mapping[str, Recipe] = {
    "short": Recipe(
        about="the default, measured for 12 epochs and batches of 64; beyond these, rules of the literature",
        optimizer="muon",  # 0 to +10 points over AdamW on photographs, -0.2 to +4 on digits
        learning_rate=0.04,  # 0.08 is 0.3 to 0.5 points worse, 0.01 with timm's Muon 4 points
        scaling=0.5,  # adaptive steps (Malladi et al. 2022); not measured
        weight_decay=0.05,  # that of `classic` and of the loop by hand
        warmup=0.2,  # 1.3 points over a tenth after 200 steps
        warmup_limit=5.0,  # usual for long trainings (Goyal et al. 2017)
        label_smoothing=0.1,  # 1.3 points over none after 200 steps
        ema=0.0,  # averages of decay 0.9 to 0.97 change nothing where the learning rate falls to 0
    ),
    "classic": Recipe(
        about="the default of earlier versions: AdamW, a moving average, no rule for batch or epochs",
        optimizer="adamw",
        learning_rate=0.015,  # this and the numbers below: as in earlier versions, so that their searches continue
        scaling=0.0,
        weight_decay=0.05,
        warmup=2.0,  # always 2 epochs
        warmup_limit=2.0,
        label_smoothing=0.1,
        ema=0.9,
    ),
    "paper": Recipe(
        about="Ramachandran et al. 2019 on ImageNet: 130 epochs, momentum; decay and smoothing are not in the paper",
        optimizer="nesterov",
        learning_rate=0.025,  # 1.6 for a batch of 4,096
        scaling=1.0,  # SGD (Goyal et al. 2017)
        weight_decay=1e-4,  # usual for ResNet-50
        warmup=10 / 130,  # 10 epochs of 130
        warmup_limit=10.0,
        label_smoothing=0.1,  # usual for ImageNet (Szegedy et al. 2016)
        ema=0.9999,  # that of the paper
    ),
    "modern": Recipe(
        about="AdamW and strong augmentation for 100 to 300 epochs of large images, after ConvNeXt; not measured there",
        optimizer="adamw",
        learning_rate=0.0005,  # 0.004 for a batch of 4,096 (Liu et al. 2022)
        scaling=0.5,  # adaptive steps (Malladi et al. 2022)
        weight_decay=0.05,  # this and the numbers below: Liu et al. 2022
        warmup=20 / 300,
        warmup_limit=20.0,
        label_smoothing=0.1,
        ema=0.9999,
        more={  # mixing and depth: Wightman et al. 2021, A2; erasing: Liu et al. 2022. `augment` depends on the data
            "stochastic_depth": 0.05,
            "mixup": 0.1,
            "cutmix": 1.0,
            "trivial_augment": 1.0,
            "random_erasing": 0.25,
        },
    ),
}
FILLED = tuple(RECIPES[DEFAULT].values(BATCH, 1))  # the settings that a recipe fills
