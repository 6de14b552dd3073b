"""Settings that are sampled with the architecture: learning rate and weight decay, around those of the space's recipe.

One recipe suits one operator better than another, and a wrongly chosen one hides it. The steps are few and even in the
logarithm, so that a space stays finite; the recipe's own value comes first, which is what a chooser that is silent, the
known designs and the sampler `grid` take. A trial's settings and choices record what it was trained with; its digest is
that of the network alone (docs/decisions/010).
"""

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.spaces.choosers import Chooser

PREFIX = "recipe."  # of the questions' names
STEPS: dict[str, tuple[float, ...]] = {  # multiples of the recipe's value
    "learning_rate": (1.0, 0.25, 0.5, 2.0, 4.0),
    "weight_decay": (1.0, 0.25, 4.0),
}


def tunable(settings: Settings) -> tuple[str, ...]:
    """The settings that can be sampled around this recipe; SettingsError where it leaves nothing to vary."""
    names = tuple(name for name in STEPS if getattr(settings, name) > 0)
    if not names:
        raise SettingsError("--tune-recipe needs a learning rate or a weight decay above 0 to vary; both are 0.")
    return names


def offered(settings: Settings, name: str) -> tuple[float, ...]:
    """The values of one setting, the recipe's own first."""
    own: float = getattr(settings, name)
    return tuple(float(f"{own * step:.6g}") if step != 1.0 else own for step in STEPS[name])


def choose_settings(chooser: Chooser, settings: Settings, tuned: tuple[str, ...]) -> Settings:
    """The settings with the tuned ones as the chooser answers."""
    if not tuned:
        return settings
    chosen = {name: chooser.suggest_categorical(PREFIX + name, offered(settings, name)) for name in tuned}
    return settings.with_(**chosen)


def own_recipe(settings: Settings, tuned: tuple[str, ...]) -> dict[str, float]:
    """The answers that leave the recipe as it is."""
    return {PREFIX + name: offered(settings, name)[0] for name in tuned}


def untuned(choices: Mapping[str, Any]) -> dict[str, Any]:
    """The answers that make the network, without those that make its recipe."""
    return {name: value for name, value in choices.items() if not name.startswith(PREFIX)}


def recipe_of(choices: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The answers that make the recipe."""
    return tuple((name, value) for name, value in choices.items() if name.startswith(PREFIX))
