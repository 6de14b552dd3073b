"""The settings of training: data, recipe and seed, as one frozen value."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from hybrid_search._internal.recipes import DEFAULT, FILLED, MORE, RECIPES
from hybrid_search._internal.setting_rules import ADDED, RULES, known_names

# Settings that change where and how fast a network is trained, but not the numbers; they are not part of the digest.
NOT_IN_DIGEST = ("data_dir", "device", "threads", "max_image_pixels", "cache")
FROM_RECIPE: Any = None  # a setting that is not given: the recipe says it


@known_names("settings")
@dataclass(frozen=True)
class Settings:
    """The settings with which every network of a search is trained: data, recipe, seed.

    Args:
        data: Name of the data set; a data set of your own is registered by an entry point, see `data.Source`.
        data_dir: Folder or file of the data set; None: its usual place, or a download.
        image_size: Rows and columns after resizing, in pixels; None: as they are.
        train_images: Number of training images to use, stratified by class; None: all.
        validation_images: Number of validation images to use, stratified by class; None: all.
        epochs: Epochs of one trial.
        batch_size: Images in one step.
        recipe: Name of the recipe, which fills those of its settings that are not given (None or "recipe"):
            `optimizer` to `label_smoothing` and `ema_decay`, and for some recipes `stochastic_depth`, `mixup`,
            `cutmix`, `trivial_augment` and `random_erasing`.
        optimizer: "muon", "adamw", "nesterov" or "lamb" (of timm).
        learning_rate: Peak of the schedule (linear warm-up, then cosine).
        weight_decay: Decay of weights; norms and biases are left out.
        warmup_epochs: Epochs of the warm-up.
        label_smoothing: Share of the target that is spread over all classes, 0 to 1.
        ema: Decay of the moving average of the weights that is scored; 0: no average.
        augment: "none", "shift", "shift+flip", "crop" (random resized crop) or "crop+flip".
        crop_area: Smallest area of a random resized crop, as a share of the image.
        trivial_augment: Share of the images with one random change of colour or geometry (TrivialAugment); 0: off.
        random_erasing: Share of the images that lose a random rectangle; 0: off.
        stochastic_depth: Probability that the last block is left out for an image while training; 0: off.
        mixup: Parameter of the Beta distribution with which pairs of images are blended (Zhang et al. 2018); 0: off.
        cutmix: The same for a rectangle that replaces part of an image (Yun et al. 2019); 0: off.
        accumulate: Parts of a batch that are trained one after the other and added up, so that it fits in memory.
        clip: Largest norm of the gradient of a step; a larger one is scaled down. 0: no limit.
        distillation: Share of the loss that compares the network with a teacher, if there is one.
        compile: Whether torch compiles the network; it takes minutes, and later steps are faster. "auto": a short
            probe decides, on a GPU and for trainings of two minutes and more.
        precision: "fp32", "bf16", "fp16", or "auto": fp32 on a CPU, bf16 on a GPU.
        device: "auto", "cpu", "cuda" or "cuda:N".
        threads: CPU threads of one trial.
        seed: Seed of the weights and of the order of images.
        split_seed: Seed of the train, validation and test splits.
        drop_duplicates: Whether training images that are also in validation or test, by content, are removed.
        ignore_test: Whether a test folder is left out; the test split is then cut from the training images.
        max_image_pixels: Pixels of one image file, at most; None: 178,956,970, the limit of Pillow.
        stored_size: Rows and columns at which decoded image files are stored; None: `image_size`, and 1 / 0.875 of it
            if `augment` crops. Evaluation uses the central 0.875 of a larger image.
        cache: "disk": image files are decoded once into the cache folder. "none": whenever they are used.
        image_column: Column of the images in data `hf`; None: the only one that can be.
        label_column: Column of the labels in data `hf`; None: the only one that can be.

    Raises:
        SettingsError: A value is out of range.

    Example:
        >>> settings = Settings(data="fashion-mnist", epochs=10, learning_rate=5e-3)
    """

    data: str = "digits"
    data_dir: str | None = None
    image_size: int | None = None
    train_images: int | None = None
    validation_images: int | None = None
    epochs: int = 8
    batch_size: int = 32
    optimizer: str = FROM_RECIPE
    learning_rate: float = FROM_RECIPE
    weight_decay: float = FROM_RECIPE
    warmup_epochs: float = FROM_RECIPE
    label_smoothing: float = FROM_RECIPE
    ema: float = FROM_RECIPE
    augment: str = "none"
    precision: str = "auto"
    device: str = "auto"
    threads: int = 1
    seed: int = 0
    split_seed: int = 0
    drop_duplicates: bool = False
    ignore_test: bool = False
    max_image_pixels: int | None = None
    stochastic_depth: float = FROM_RECIPE
    crop_area: float = 0.25
    trivial_augment: float = FROM_RECIPE
    random_erasing: float = FROM_RECIPE
    stored_size: int | None = None
    cache: str = "disk"
    image_column: str | None = None
    label_column: str | None = None
    mixup: float = FROM_RECIPE
    cutmix: float = FROM_RECIPE
    accumulate: int = 1
    clip: float = 2.0
    distillation: float = 0.5
    compile: bool | str = False
    recipe: str = field(default=DEFAULT, compare=False)  # not stored: the numbers are

    def __post_init__(self) -> None:
        more = _filled_more(self.recipe)
        for name in MORE:
            if name not in more and getattr(self, name) in (None, "recipe"):
                object.__setattr__(self, name, MORE[name])
        filled = tuple(name for name in (*FILLED, *more) if getattr(self, name) in (None, "recipe"))
        for each in fields(self):
            if each.name not in filled:
                object.__setattr__(self, each.name, RULES[each.name].read(each.name, getattr(self, each.name)))
        optimizer = None if "optimizer" in filled else self.optimizer
        values = RECIPES[self.recipe].values(self.batch_size, self.epochs, optimizer)
        for name in filled:
            object.__setattr__(self, name, values[name])
        object.__setattr__(self, "_from_recipe", filled)

    @property
    def from_recipe(self) -> tuple[str, ...]:
        """The names of the settings that were not given: the recipe filled them."""
        found: tuple[str, ...] = vars(self)["_from_recipe"]
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON: numbers instead of the recipe, and no default of `ADDED`."""
        values = {name: value for name, value in asdict(self).items() if name != "recipe"}
        return {name: value for name, value in values.items() if name not in ADDED or value != ADDED[name]}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> Self:
        """Return the settings that `to_dict` wrote.

        Args:
            d: setting name -> value.

        Raises:
            SettingsError: A name is unknown, or a value is out of range.
        """
        return cls(**d)

    def with_(self, **changes: Any) -> Self:
        """Return the same settings with some values changed.

        What the recipe filled is filled again, for the new batch size and epochs.

        Args:
            changes: setting name -> new value. Another recipe also replaces the values of the earlier one and those
                that were given.
        """
        again = self.from_recipe
        if "recipe" in changes:
            again = tuple(dict.fromkeys([*FILLED, *_filled_more(changes["recipe"]), *again]))
        return replace(self, **{**dict.fromkeys(again), **changes})

    def with_recipe_found(self) -> Self:
        """Return the same numbers, with what a recipe would fill marked as filled: `with_` then fills it again.

        The settings of a stored search have numbers only. The recipe is the one that gives most of them.
        """

        def filled(name: str) -> tuple[str, ...]:
            recipe = RECIPES[name]
            values = recipe.values(self.batch_size, self.epochs, self.optimizer)
            names = [*(FILLED if self.optimizer == recipe.optimizer else FILLED[1:]), *recipe.more]
            return tuple(each for each in names if getattr(self, each) == values[each])

        best = max(RECIPES, key=lambda name: len(filled(name)))  # the first one, which is the default, wins a tie
        again: dict[str, Any] = dict.fromkeys(filled(best))
        return replace(self, recipe=best, **again)

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over every setting that changes the numbers."""
        kept = {name: value for name, value in self.to_dict().items() if name not in NOT_IN_DIGEST}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _filled_more(recipe: object) -> tuple[str, ...]:
    """Return the names of `MORE` that a recipe fills; none for a name that is unknown, which is refused later."""
    return tuple(RECIPES[recipe].more) if isinstance(recipe, str) and recipe in RECIPES else ()
