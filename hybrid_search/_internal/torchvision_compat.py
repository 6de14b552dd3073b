"""Import torchvision with a build of torch that lacks its compiled operators.

The compiled library of torchvision does not load beside every build of torch. An example is torchvision 0.28.0 of PyPI,
which needs CUDA libraries, beside the CPU build of torch 2.13.0. `import torchvision` then fails with "operator
torchvision::nms does not exist", because its module `_meta_registrations` describes operators that were not loaded.
Neither this package nor timm uses these operators, so in this case the module is replaced by an empty one.
"""

import sys
from importlib import import_module
from types import ModuleType

DESCRIPTIONS = "torchvision._meta_registrations"


def import_torchvision() -> bool:
    """Import torchvision, without the descriptions of its compiled operators if these are not loaded.

    Nothing changes if torchvision imports normally or is not installed.

    Returns:
        Whether the descriptions were left out.

    Raises:
        RuntimeError: torchvision fails for another reason.
    """
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        return False  # the code that uses torchvision raises the error
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
    else:
        return getattr(sys.modules.get(DESCRIPTIONS), "left_out", False)
    stub = ModuleType(DESCRIPTIONS, "Left out by hybrid_search: the compiled operators are not loaded.")
    stub.left_out = True  # type: ignore[attr-defined]
    sys.modules[DESCRIPTIONS] = stub
    import_module("torchvision")
    return True
