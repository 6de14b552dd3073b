"""hybrid-search: where should a vision network attend, and where should it convolve?"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> room. Names are loaded when they are first used, so that reading a front needs no torch.
_ROOMS = {
    "Architecture": "architecture",
    "Stage": "architecture",
    "SearchSpace": "space",
    "load_space": "space",
    "reference": "references",
    "build_model": "model",
    "cost": "costs",
    "Cost": "costs",
    "Settings": "record",
    "Search": "search",
    "run": "engines",
    "confirm": "engines.confirming",
    "Ledger": "ledger",
    "pareto_front": "front",
    "hypervolume": "front",
    "export_model": "export",
    "load_exported": "export",
}
__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"hybrid_search.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
