"""Import torchvision with a build of torch that lacks its compiled operators.

The compiled library of torchvision does not load beside every build of torch. An example is torchvision 0.28.0 of PyPI,
which needs CUDA libraries, beside the CPU build of torch 2.13.0. `import torchvision`, and therefore `import timm`,
then fails with "operator torchvision::nms does not exist", because its module `_meta_registrations` describes operators
that were not loaded. Neither this package nor timm uses these operators. After `import hybrid_search`, this error of
this module is ignored, so that `import torchvision` and `import timm` work in any order.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader

DESCRIPTIONS = "torchvision._meta_registrations"


class _TolerantLoader:
    """Load the descriptions of operators as usual, but ignore that an operator does not exist."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return the module that the usual loader creates."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, and mark it as left out if an operator does not exist."""
        try:
            self._loader.exec_module(module)
        except RuntimeError as error:
            if "operator torchvision::" not in str(error):
                raise
            module.left_out = True  # type: ignore[attr-defined]


class _DescriptionsFinder:
    """Find the module with the descriptions, and no other module."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the usual specification with the tolerant loader; None for every other module."""
        if fullname != DESCRIPTIONS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _TolerantLoader(spec.loader)  # type: ignore[assignment]  # importlib.abc loads slowly
        return spec


def allow_missing_operators() -> None:
    """Let every later import of torchvision succeed although its compiled operators are not loaded."""
    if not any(isinstance(finder, _DescriptionsFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _DescriptionsFinder())


def import_torchvision() -> bool:
    """Import torchvision, without the descriptions of its compiled operators if these are not loaded.

    Nothing changes if torchvision imports normally or is not installed.

    Returns:
        Whether the descriptions were left out.

    Raises:
        RuntimeError: torchvision fails for another reason.
    """
    allow_missing_operators()
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        return False  # the code that uses torchvision raises the error
    return getattr(sys.modules.get(DESCRIPTIONS), "left_out", False)
