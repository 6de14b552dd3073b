"""The contracts of the tables as classes of tests, for this package and for plugins. They need pytest.

from hybrid_search.testing import OperatorContract

class TestShift(OperatorContract):
    name, operator = "shift", Shift
    cases = ({}, {"reach": 2})
    illegal = (({"reach": 0}, 16, "reach must be a whole number"),)
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hybrid_search.testing.blocks import BlockContract
    from hybrid_search.testing.charts import ChartContract
    from hybrid_search.testing.checkpoint_stores import CheckpointStoreContract
    from hybrid_search.testing.datasets import DatasetContract
    from hybrid_search.testing.engines import EngineContract
    from hybrid_search.testing.export_formats import ExportFormatContract
    from hybrid_search.testing.loggers import LoggerContract
    from hybrid_search.testing.objectives import ObjectiveContract
    from hybrid_search.testing.operators import OperatorContract
    from hybrid_search.testing.pruners import PrunerContract
    from hybrid_search.testing.samplers import SamplerContract
    from hybrid_search.testing.stems import StemContract

__all__ = [
    "BlockContract",
    "ChartContract",
    "CheckpointStoreContract",
    "DatasetContract",
    "EngineContract",
    "ExportFormatContract",
    "LoggerContract",
    "ObjectiveContract",
    "OperatorContract",
    "PrunerContract",
    "SamplerContract",
    "StemContract",
]

# name -> module. A contract imports torch and pytest, so it is loaded on first use.
_CONTRACTS = {
    "BlockContract": "blocks",
    "ChartContract": "charts",
    "CheckpointStoreContract": "checkpoint_stores",
    "DatasetContract": "datasets",
    "EngineContract": "engines",
    "ExportFormatContract": "export_formats",
    "LoggerContract": "loggers",
    "ObjectiveContract": "objectives",
    "OperatorContract": "operators",
    "PrunerContract": "pruners",
    "SamplerContract": "samplers",
    "StemContract": "stems",
}

if find_spec("pytest") is None:
    raise ModuleNotFoundError("hybrid_search.testing needs pytest, which is not installed. Run: pip install pytest")


def __getattr__(name: str) -> Any:
    if name in _CONTRACTS:
        return getattr(import_module(f"hybrid_search.testing.{_CONTRACTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
