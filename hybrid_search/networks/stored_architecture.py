"""Architectures that a ledger or an exported model holds. Their plugins may be absent on this machine."""

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import UserError
from hybrid_search.networks.architecture import STAGE_KEYS, Architecture, Stage, size_text
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.stems import STEMS, make_stem
from hybrid_search.ops import OPERATORS
from hybrid_search.plugins import Table


def stored_architecture(plain: Mapping[str, Any], packages: Mapping[str, str] | None = None) -> Architecture:
    """Return an architecture that a ledger or an exported model holds.

    Args:
        plain: a `to_dict` result.
        packages: operator, block or stem -> package and version of its plugin, as far as they are known.

    Raises:
        PluginError: an operator, a block or the stem comes from a plugin that is not installed here, or cannot be used.
        ArchitectureError: something is missing, unknown or illegal.
    """
    packages = packages or {}
    for table, name in _names_in(plain):
        table.stored(name, packages.get(name, ""))
    return Architecture.from_dict(plain)


def plugins_of(architecture: Architecture) -> dict[str, tuple[str, str]]:
    """Return the plugins that an architecture needs: operator, block or stem -> package and version."""
    found = {name: table.package_of(name) for table, name in _names_in(architecture.to_dict())}
    return {name: package for name, package in found.items() if package is not None}


def _names_in(plain: object) -> list[tuple[Table[type[Any]], str]]:
    """Return stem, operators and blocks of a `to_dict` result with their tables. Anything malformed is left out."""
    content = plain if isinstance(plain, Mapping) else {}
    stem, stages = content.get("stem"), content.get("stages")
    found = [(STEMS, stem.get("kind"))] if isinstance(stem, Mapping) else []
    if isinstance(stages, list | tuple):
        for stage in stages:
            if isinstance(stage, Mapping):
                found += [(OPERATORS, stage.get("operator")), (BLOCKS, _block_name(stage.get("block")))]
    return [(table, name) for table, name in found if isinstance(name, str)]


def _block_name(plain: object) -> object:
    """Return the name of a stored block; None for a stage that names none."""
    return plain.get("kind") if isinstance(plain, Mapping) else plain


def readable_line(plain: Mapping[str, Any]) -> str:
    """Return the one-line text of a stored architecture.

    A part whose plugin is not installed here is shown as it is stored: its name and all its options.

    Args:
        plain: a `to_dict` result.
    """
    try:
        return str(Architecture.from_dict(plain))
    except UserError as error:
        stem, stages = plain.get("stem"), plain.get("stages")
        if not isinstance(stem, Mapping) or not isinstance(stages, list | tuple):
            return f"not readable here: {error}"
        size = size_text(plain.get("image_size"))
        return " | ".join([*size, _stem_line(stem), *(_stage_line(stage) for stage in stages)])


def _stem_line(plain: Mapping[str, Any]) -> str:
    """Return the text of a stored stem, as its own class words it if that is installed."""
    options = {name: value for name, value in plain.items() if name != "kind"}
    try:
        return str(make_stem(plain.get("kind"), options))
    except UserError:
        return " ".join([str(plain.get("kind")), *(f"{name}={value}" for name, value in options.items())])


def _stage_line(plain: object) -> str:
    """Return the text of a stored stage; with an operator that cannot be used here, from the names and values alone."""
    if not isinstance(plain, Mapping):
        return str(plain)
    try:
        return str(Stage.from_dict(plain))
    except UserError:
        stride = f"/{plain['stride']}" if plain.get("stride", 1) != 1 else ""
        options = [f"{name}={value}" for name, value in plain.items() if name not in STAGE_KEYS]
        block = plain.get("block")
        blocks = [f"{n}={v}" if n != "kind" else str(v) for n, v in block.items()] if isinstance(block, Mapping) else []
        head = f"{plain.get('depth', '?')}x{plain.get('width', '?')}{stride}"
        return " ".join([head, *blocks, str(plain.get("operator", "?")), *options])
