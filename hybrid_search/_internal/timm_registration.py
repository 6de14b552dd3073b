"""Register the networks of this package in timm, whichever of the two is imported first.

timm builds a folder such as `local-dir:my-network` only if the architecture is registered in the process. This package
does not import timm. So the module with the networks is imported at the end of the first import of timm.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader

TIMM = "timm"


class _ThenRegister:
    """Load timm as usual, then import the module that registers the networks."""

    def __init__(self, loader: "Loader", module: str) -> None:
        self._loader = loader
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that the usual loader creates."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run timm, and register the networks."""
        self._loader.exec_module(module)
        _register(self._module)


class _TimmFinder:
    """Find timm itself, and no other module."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the usual specification with a loader that registers; None for every other module."""
        if fullname != TIMM:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader, self._module)  # type: ignore[assignment]
        return spec


def register_with_timm(module: str) -> None:
    """Import a module as soon as timm is imported; now, if it is.

    Args:
        module: the name of the module that registers the networks.
    """
    if TIMM in sys.modules:
        _register(module)
    elif not any(isinstance(finder, _TimmFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TimmFinder(module))


def _register(module: str) -> None:
    """Import the module; a version of timm that it does not fit stays usable without it."""
    try:
        import_module(module)
    except (ImportError, AttributeError):
        return
