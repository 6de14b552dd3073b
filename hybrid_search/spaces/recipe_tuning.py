"""Settings that are tuned with the architecture: learning rate and weight decay, as multiples of the recipe.

A recipe may suit one operator better than another, and a poor recipe hides a good operator. The multiples are few and
even in the logarithm, so the space stays finite. The value of the recipe itself is the first choice; `FixedChoices`,
the known designs and the sampler `grid` use it. The settings and choices of a trial record its values.
Its digest is that of the network alone (docs/decisions/010).
"""

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.spaces.choosers import Chooser

PREFIX = "recipe."  # of the names of these parameters
STEPS: dict[str, tuple[float, ...]] = {  # multiples of the value of the recipe
    "learning_rate": (1.0, 0.25, 0.5, 2.0, 4.0),
    "weight_decay": (1.0, 0.25, 4.0),
}


def tunable(settings: Settings) -> tuple[str, ...]:
    """Return the settings that can be tuned. Raise SettingsError if the recipe has none above 0."""
    names = tuple(name for name in STEPS if getattr(settings, name) > 0)
    if not names:
        raise SettingsError(
            "tune_recipe (--tune-recipe) needs a learning rate or a weight decay above 0 to vary; both are 0."
        )
    return names


def setting_choices(settings: Settings, name: str) -> tuple[float, ...]:
    """Return the choices of one setting, the value of the recipe first."""
    own: float = getattr(settings, name)
    return tuple(float(f"{own * step:.6g}") if step != 1.0 else own for step in STEPS[name])


def choose_settings(chooser: Chooser, settings: Settings, tuned: tuple[str, ...]) -> Settings:
    """Return the settings with the tuned ones selected by the chooser."""
    if not tuned:
        return settings
    chosen = {name: chooser.suggest_categorical(PREFIX + name, setting_choices(settings, name)) for name in tuned}
    return settings.with_(**chosen)


def default_recipe_choices(settings: Settings, tuned: tuple[str, ...]) -> dict[str, float]:
    """Return the choices that leave the recipe unchanged."""
    return {PREFIX + name: setting_choices(settings, name)[0] for name in tuned}


def without_recipe(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Return the choices of the network, without those of the recipe."""
    return {name: value for name, value in choices.items() if not name.startswith(PREFIX)}


def recipe_choices(choices: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the choices of the recipe."""
    return tuple((name, value) for name, value in choices.items() if name.startswith(PREFIX))
