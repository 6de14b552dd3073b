"""A space as the text of a space file."""

import yaml

from hybrid_search.settings import Settings
from hybrid_search.spaces.space import SearchSpace

ELSEWHERE = ("data", "seed", "device", "threads")  # a key of the space, options of `run`, and facts of a machine


def space_text(space: SearchSpace, settings: Settings) -> str:
    """Return the YAML text of a space with the settings of a search in place of its own.

    Args:
        space: the space.
        settings: the settings of training. Every number that a recipe filled is written out.

    Example:
        >>> Path("space.yaml").write_text(space_text(load_space("digits"), Settings(epochs=5)))
    """
    content = space.to_dict()
    numbers = {name: value for name, value in settings.to_dict().items() if name not in ELSEWHERE and value is not None}
    shown = {**content, "data": settings.data, "settings": numbers}
    return str(yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True))
