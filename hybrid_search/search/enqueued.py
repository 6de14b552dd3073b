"""Check the designs that a user enqueues, and return their complete choices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hybrid_search._internal.json_text import parse_json
from hybrid_search._internal.text_file import file_name, read_text
from hybrid_search.errors import SettingsError, SpaceError, nearest, shown
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.recipe_tuning import PREFIX

Designs = Sequence[Mapping[str, Any]]
LAW = "designs to enqueue must be a list of objects with the choice of each parameter"


def enqueued_designs(spec: SearchSpec, given: Designs | str | Path) -> list[dict[str, Any]]:
    """Return the complete choices of designs that are to be trained first.

    Args:
        spec: The search.
        given: The choices of each design (parameter name -> choice), or the path of a JSON file with a list of them, as
            `hybrid-search effects --pairs FILE` writes it. A tuned setting may be left out; it has the value of the
            recipe.

    Raises:
        SettingsError: It is no such list, or a design lacks a parameter, has an unknown one or a choice that the space
            does not offer, or is over the budget.

    Example:
        >>> enqueued_designs(spec, [{"stem.conv3x3.width": 8, "stage1.operator": "conv", ...}])
    """
    source = ""
    content: Any = given
    if isinstance(given, str | Path):
        path, law = Path(given), "designs to enqueue must be a readable JSON file"
        source = f" of {file_name(path)}"
        content = parse_json(read_text(path, law, SettingsError), law, file_name(path), SettingsError)
    if not isinstance(content, Sequence) or isinstance(content, str) or not content:
        raise SettingsError(f"{LAW}; got {shown(content)}{source}.")
    return [_complete(spec, choices, f"design {number}{source}") for number, choices in enumerate(content, start=1)]


def _complete(spec: SearchSpec, choices: object, which: str) -> dict[str, Any]:
    """Return all choices of one design; raise SettingsError, which names the design."""
    if not isinstance(choices, Mapping):
        raise SettingsError(f"{LAW}; {which} is {shown(choices)}.")
    chooser = FixedChoices(choices)
    try:
        architecture = spec.architecture(chooser)
        spec.trial_settings(chooser)
    except SpaceError as error:
        raise SettingsError(f"{which}: {error}") from None
    for name in choices:
        if name not in chooser.params:
            known = list(chooser.params)
            raise SettingsError(
                f"parameters of {which} are {', '.join(known)}; got {shown(name)}.{nearest(name, known)}"
            )
    for name, offered in chooser.offered.items():
        if name not in choices and not name.startswith(PREFIX):
            raise SettingsError(f"{which} must have a choice for {name}, one of {', '.join(map(str, offered))}.")
    if spec.budget_excess(architecture) > 0:
        costs = ", ".join(f"{value:,.0f} {name}" for name, value in spec.cost(architecture).items())
        raise SettingsError(f"{which} must be within the budget of the search; it has {costs}.")
    return chooser.params
