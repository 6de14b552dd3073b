"""Spaces that a ledger holds. The plugins of their operators, blocks and stems may be absent on this machine."""

from collections.abc import Mapping
from typing import Any

from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.stems import STEMS
from hybrid_search.ops import OPERATORS
from hybrid_search.spaces.space import SearchSpace


def stored_space(content: Mapping[str, Any], source: str = "space") -> SearchSpace:
    """Return the space that a search of the ledger has.

    Args:
        content: a `SearchSpace.to_dict` result.
        source: what holds the space, for messages.

    Raises:
        PluginError: an operator or a stem comes from a plugin that is not installed here, or cannot be used.
        SpaceError: the space breaks a rule of this version.
    """
    for name in _names(content.get("stem")):
        STEMS.stored(name)
    for name in _names(content.get("block")):
        BLOCKS.stored(name)
    groups, stages = content.get("groups"), content.get("stages")
    parts = [*(groups.values() if isinstance(groups, Mapping) else ()), *(stages if isinstance(stages, list) else ())]
    for part in (part for part in parts if isinstance(part, Mapping)):
        by_block = part.get("by_block")
        for name in [*_names(part.get("block")), *_names(by_block)]:
            BLOCKS.stored(name)
        for kinds in (part.get("operator"), *(by_block.values() if isinstance(by_block, Mapping) else ())):
            for name in _names(kinds):
                OPERATORS.stored(name)
    return SearchSpace.from_dict(content, source)


def _names(kinds: object) -> list[str]:
    """Return the names of a stored choice of operators or stems. Anything malformed has none."""
    return [name for name in kinds if isinstance(name, str)] if isinstance(kinds, Mapping) else []
