"""hybrid-search: find where a vision network should use attention and where convolution.

The public names are imported on first use, so `hybrid-search front` and `--help` start without torch, ray and optuna.
Editors and type checkers see the imports below `TYPE_CHECKING`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hybrid_search._internal.timm_registration import register_with_timm
from hybrid_search._internal.torchvision_compat import allow_missing_operators

if TYPE_CHECKING:
    from hybrid_search.errors import (
        ArchitectureError,
        CheckpointError,
        DataError,
        EvaluationError,
        HybridSearchError,
        LedgerAway,
        LedgerError,
        LostLease,
        NotFinite,
        OtherData,
        PluginError,
        SettingsError,
        SpaceError,
        TrialError,
        UnknownName,
        UserError,
    )
    from hybrid_search.export import export_model, load_exported
    from hybrid_search.ledger import Ledger
    from hybrid_search.networks.architecture import Architecture, Stage
    from hybrid_search.networks.costs import Cost, cost
    from hybrid_search.networks.model import build_model
    from hybrid_search.networks.references import reference
    from hybrid_search.objectives import Objective
    from hybrid_search.pareto import hypervolume, pareto_front
    from hybrid_search.records import Report, Resources, Settings
    from hybrid_search.runs.baseline import baseline
    from hybrid_search.runs.confirm import confirm
    from hybrid_search.runs.run import run
    from hybrid_search.runs.train import train
    from hybrid_search.search.opening import open_search
    from hybrid_search.search.search import Search
    from hybrid_search.search.spec import SearchSpec
    from hybrid_search.search.studies import to_frame, to_optuna
    from hybrid_search.search.trial import Outcome, Trial
    from hybrid_search.spaces.space import SearchSpace, load_space

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "ArchitectureError",
    "CheckpointError",
    "Cost",
    "DataError",
    "EvaluationError",
    "HybridSearchError",
    "Ledger",
    "LedgerAway",
    "LedgerError",
    "LostLease",
    "NotFinite",
    "Objective",
    "OtherData",
    "Outcome",
    "PluginError",
    "Report",
    "Resources",
    "Search",
    "SearchSpace",
    "SearchSpec",
    "Settings",
    "SettingsError",
    "SpaceError",
    "Stage",
    "Trial",
    "TrialError",
    "UnknownName",
    "UserError",
    "baseline",
    "build_model",
    "confirm",
    "cost",
    "export_model",
    "hypervolume",
    "load_exported",
    "load_space",
    "open_search",
    "pareto_front",
    "reference",
    "run",
    "to_frame",
    "to_optuna",
    "train",
]

# module -> its public names
_PUBLIC: dict[str, tuple[str, ...]] = {
    "networks.architecture": ("Architecture", "Stage"),
    "networks.costs": ("Cost", "cost"),
    "networks.model": ("build_model",),
    "networks.references": ("reference",),
    "spaces.space": ("SearchSpace", "load_space"),
    "records": ("Report", "Resources", "Settings"),
    "objectives": ("Objective",),
    "search.spec": ("SearchSpec",),
    "search.search": ("Search",),
    "search.opening": ("open_search",),
    "search.studies": ("to_frame", "to_optuna"),
    "search.trial": ("Outcome", "Trial"),
    "runs.run": ("run",),
    "runs.baseline": ("baseline",),
    "runs.confirm": ("confirm",),
    "runs.train": ("train",),
    "ledger": ("Ledger",),
    "pareto": ("hypervolume", "pareto_front"),
    "export": ("export_model", "load_exported"),
    "errors": (
        "ArchitectureError",
        "CheckpointError",
        "DataError",
        "HybridSearchError",
        "LedgerAway",
        "EvaluationError",
        "LedgerError",
        "LostLease",
        "NotFinite",
        "OtherData",
        "PluginError",
        "SettingsError",
        "SpaceError",
        "TrialError",
        "UnknownName",
        "UserError",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}


allow_missing_operators()  # otherwise timm cannot be imported beside some builds of torch


register_with_timm("hybrid_search.networks.timm_models")  # for timm.create_model("local-dir:...")


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f"hybrid_search.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
