"""hybrid-search: where should a vision network attend, and where should it convolve?"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# name -> room. Names are loaded when they are first used, so that reading a front needs no torch.
_ROOMS = {
    "Architecture": "networks.architecture",
    "Stage": "networks.architecture",
    "SearchSpace": "spaces.space",
    "load_space": "spaces.space",
    "reference": "networks.references",
    "build_model": "networks.model",
    "cost": "networks.costs",
    "Cost": "networks.costs",
    "Settings": "records",
    "Resources": "records",
    "Objective": "objectives",
    "Trial": "search.trial",
    "Outcome": "search.trial",
    "Search": "search.search",
    "SearchSpec": "search.spec",
    "run": "runs.run",
    "confirm": "runs.confirm",
    "Ledger": "ledger",
    "pareto_front": "pareto",
    "hypervolume": "pareto",
    "export_model": "export",
    "load_exported": "export",
}
__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"hybrid_search.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
