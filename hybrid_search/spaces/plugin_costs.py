"""Check that the plugins of a space state the costs of the modules that they build."""

from collections.abc import Iterator, Sequence
from typing import Any

from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.costs import simplified_for
from hybrid_search.networks.stems import STEMS
from hybrid_search.networks.stored_architecture import plugins_of
from hybrid_search.ops import OPERATORS
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.values import Kinds

MOST_NETWORKS = 64  # that are checked for one plugin


class _Using:
    """Choose one stem, operator or block wherever it is offered, and a given one of all other choices.

    Args:
        place: "stem", "operator" or "block".
        name: the stem, operator or block.
        variant: index of the variant of its options.
        number: index of every other choice, counted round.
        block: the block that has the operator; "": any.
    """

    def __init__(self, place: str, name: str, variant: int, number: int, block: str = "") -> None:
        self._place, self._name, self._variant, self._number = place, name, variant, number
        self._block = block

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return the choice of a parameter; a stage is not left out."""
        last = name.rpartition(".")[2]
        if last == "block" and self._block in choices:
            return self._block
        if last in ("stem", "operator", "block"):
            return self._name if last == self._place and self._name in choices else choices[0]
        if last == "variant":
            return choices[self._variant % len(choices)]
        if last == "depth":
            choices = [choice for choice in choices if choice]
        return choices[self._number % len(choices)]


def check_space_costs(space: SearchSpace, input_size: tuple[int, int, int]) -> None:
    """Raise PluginError for the first plugin of a space whose stated cost is not that of its module.

    Every value of every option of a plugin is in one of the networks that are checked. A space without plugins is not
    checked, and torch is not imported.

    Args:
        space: a search space.
        input_size: (channels, rows, cols) of an image.
    """
    for place, name, block, variants, values in _plugins(space):
        for index in range(min(MOST_NETWORKS, variants * values)):
            chooser = _Using(place, name, index // values, index % values, block)
            check_network_costs(simplified_for(space.choose(chooser), input_size), input_size)


def check_network_costs(architecture: Architecture, input_size: tuple[int, int, int]) -> None:
    """Raise PluginError for the first plugin of a network whose stated cost is not that of its module.

    Without plugins, torch is not imported.

    Args:
        architecture: the network.
        input_size: (channels, rows, cols) of an image.
    """
    if plugins_of(architecture):
        from hybrid_search.networks.counting import check_plugin_costs

        check_plugin_costs(architecture, input_size)


def _plugins(space: SearchSpace) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield the plugins of a space: place, name, block (of `by_block`), variants, most values of an option."""
    form = space.form
    found: dict[tuple[str, str, str], tuple[int, int]] = {}
    tables = {"stem": STEMS, "operator": OPERATORS, "block": BLOCKS}
    used: list[tuple[str, Kinds, str]] = [("stem", form.stem, "")]
    for stage in form.stages:
        used.append(("block", form.blocks(stage), ""))
        blocks = list(stage.by_block or [""])
        used += [("operator", form.operators(stage, block), block) for block in blocks]
    for place, kinds, block in used:
        for name, variants in kinds.items():
            if not tables[place].is_built_in(name):
                values = max((len(choices) for options in variants for choices in options.values()), default=1)
                before = found.get((place, name, block), (1, 1))
                found[place, name, block] = (max(before[0], len(variants)), max(before[1], values))
    for key, numbers in found.items():
        yield *key, *numbers
