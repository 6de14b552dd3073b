"""The contracts of the tables as classes of tests, for this package and for plugins. They need pytest.

from hybrid_search.testing import OperatorContract

class TestShift(OperatorContract):
    name, operator = "shift", Shift
    cases = ({}, {"step": 2})
    illegal = (({"step": 0}, 16, "step must be a whole number"),)
"""

from importlib import import_module
from typing import Any

# name -> module. A contract imports torch and pytest, so it is loaded on first use.
_CONTRACTS = {
    "ChartContract": "charts",
    "CheckpointStoreContract": "checkpoint_stores",
    "DatasetContract": "datasets",
    "EngineContract": "engines",
    "ExportFormatContract": "export_formats",
    "OperatorContract": "operators",
    "PrunerContract": "pruners",
    "SamplerContract": "samplers",
    "StemContract": "stems",
}
__all__ = sorted(_CONTRACTS)


def __getattr__(name: str) -> Any:
    if name in _CONTRACTS:
        return getattr(import_module(f"hybrid_search.testing.{_CONTRACTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
