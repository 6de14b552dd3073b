"""The recipe of a full training: that of the search, one of the table, or a YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid_search._internal.recipes import RECIPES
from hybrid_search._internal.setting_rules import RULES
from hybrid_search._internal.text_file import file_name, read_text
from hybrid_search.errors import SettingsError, UnknownName, nearest, shown
from hybrid_search.records import Settings
from hybrid_search.spaces.yaml_text import parse_yaml

SEARCH = "search"  # the recipe of the search itself
# Settings that say what a network is trained on, and where. A recipe has none of them.
NOT_IN_A_RECIPE = (
    "data", "data_dir", "image_size", "train_images", "validation_images", "split_seed", "drop_duplicates",
    "ignore_test", "max_image_pixels", "device", "threads", "seed",
)  # fmt: skip
KEYS = tuple(name for name in RULES if name not in NOT_IN_A_RECIPE)


def settings_of(base: Settings, recipe: str | None, changes: Mapping[str, Any]) -> Settings:
    """Return the settings of a full training.

    Args:
        base: The settings of the trial, or the default ones.
        recipe: "search" or None: what is filled by a recipe is filled again, for the new epochs and batch size. The
            name of a recipe, or the path of a YAML file with settings, which may name a `recipe` to start from.
        changes: Settings that are given besides; they count more than those of the recipe.

    Raises:
        UserError: The recipe is unknown, or a setting is wrong.
    """
    base = base.with_recipe_found()
    if recipe is None or recipe == SEARCH:
        return base.with_(**changes)
    if recipe in RECIPES:
        return base.with_(**{"recipe": recipe, **changes})
    if Path(recipe).suffix not in (".yaml", ".yml"):
        names = [SEARCH, *RECIPES]
        raise UnknownName(
            f"recipe must be one of {', '.join(names)}, or a .yaml file; got {shown(recipe)}.{nearest(recipe, names)}"
        )
    return base.with_(**{**read_recipe(Path(recipe)), **changes})


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the settings of a recipe file.

    Args:
        path: The YAML file.

    Raises:
        SettingsError: The file cannot be read, has a key that no recipe has, or a value that is wrong.
    """
    source = file_name(path)
    text = read_text(path, "a recipe must be a readable YAML file", SettingsError)
    content = parse_yaml(text, "a recipe must be YAML", source).values
    if not isinstance(content, dict) or not content:
        raise SettingsError(f"a recipe must be settings, one on a line (epochs: 300); {source} is {shown(content)}.")
    for name, value in content.items():
        if name not in KEYS:
            raise SettingsError(f"settings of a recipe are {', '.join(KEYS)}; {source} has {shown(name)}."
                                f"{nearest(name, KEYS)}")  # fmt: skip
        try:
            RULES[name].read(name, value)
        except SettingsError as error:
            raise SettingsError(f"{source}: {error}") from None
    return content
