"""Tables at the end of `run --help`: objectives, settings and recipes, with defaults and units.

They come from the tables and docstrings of the package. Nothing heavy is imported: no plugin, no torch, no pydantic.
"""

import re
from collections.abc import Callable
from dataclasses import fields

Rows = list[tuple[str, str]]

ENTRY = re.compile(r"^ {4,8}(\w+): (.+(?:\n {9,}.+)*)", re.MULTILINE)  # of the section "Args" of a docstring


def tables_of(command: str | None) -> dict[str, Rows]:
    """Return the tables of a command for its help page: heading -> rows of name and text.

    Args:
        command: name of the command. Only `run` has tables.
    """
    return {heading: rows() for heading, rows in TABLES.get(command or "", {}).items()}


def objective_rows() -> Rows:
    """Return the objectives: name, label, unit and direction; those of plugins with their package."""
    from hybrid_search.objectives import BUILT_IN, OBJECTIVES

    rows = []
    for name, each in BUILT_IN.items():
        unit = {"share": " in %", "": ""}.get(each.unit, f" in {each.unit}")
        before = "; known before training" if each.known else ""
        rows.append((name, f"{each.label}{unit}, {each.direction}d{before}"))
    return rows + [(name, "of an installed plugin") for name in OBJECTIVES.names() if name not in BUILT_IN]


def setting_rows() -> Rows:
    """Return the settings: name and default, meaning, possible values."""
    from hybrid_search._internal.recipes import FILLED, MORE
    from hybrid_search._internal.setting_rules import RULES
    from hybrid_search.records import Settings

    meanings = {name: " ".join(text.split()) for name, text in ENTRY.findall(Settings.__doc__ or "")}
    rows = []
    for field in fields(Settings):
        unset = "recipe" if field.name in (*FILLED, *MORE) else "none"
        default = unset if field.default is None else str(field.default).lower()
        meaning = meanings.get(field.name, "")
        possible = RULES[field.name].possible()
        if possible and not any(word in meaning for word in possible.split(", ")):
            meaning = f"{meaning.rstrip('.')}; {possible}."
        rows.append((f"{field.name}={default}", meaning.replace("None:", "none:")))
    return rows


def recipe_rows() -> Rows:
    """Return what each recipe is for, and the settings that it fills for 64 images in a batch and 12 epochs."""
    from hybrid_search._internal.recipes import BATCH, RECIPES

    def pairs(values: dict[str, object]) -> str:
        return ", ".join(f"{name}={value}" for name, value in values.items())

    return [(name, f"{each.about}; {pairs(each.values(BATCH, 12))}") for name, each in RECIPES.items()]


def space_rows() -> Rows:
    """Return the settings of each shipped space that differ from the defaults, with its data set."""
    from hybrid_search.spaces.shipped import shipped_spaces

    rows = []
    for name, path in shipped_spaces().items():
        text = path.read_text(encoding="utf-8")
        data = re.search(r"^data: (.+)", text, re.MULTILINE)
        settings = re.search(r"^settings: \{(.*)\}", text, re.MULTILINE)
        pairs = settings[1].replace(": ", "=") if settings else ""
        rows.append((name, ", ".join(part for part in (f"data={data[1]}" if data else "", pairs) if part)))
    return rows


TABLES: dict[str, dict[str, Callable[[], Rows]]] = {
    "run": {
        "Objectives of --objectives": objective_rows,
        "Settings of --set, with their defaults": setting_rows,
        "Recipes of --recipe, for a batch of 64 and 12 epochs": recipe_rows,
        "Settings of the shipped spaces (see: hybrid-search spaces)": space_rows,
    }
}
