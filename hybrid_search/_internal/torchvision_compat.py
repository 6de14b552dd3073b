"""torchvision, imported whichever build of torch stands beside it.

Its compiled library does not load beside every build of torch (PyPI's 0.28.0 needs CUDA's libraries, which the CPU
build of torch 2.13.0 does not bring). `import torchvision` then ends in "operator torchvision::nms does not exist", for
its `_meta_registrations` describe operators that were never loaded. Nothing here or in timm's networks uses those
operators, so in that one case the descriptions are left out. Where torchvision imports, or is missing, nothing is
touched.
"""

import sys
from importlib import import_module
from types import ModuleType

DESCRIPTIONS = "torchvision._meta_registrations"


def import_torchvision() -> bool:
    """Import torchvision, without the descriptions of its compiled operators if they do not exist.

    Returns whether they had to be left out. Any other failure of torchvision is its own and is passed on.
    """
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        return False  # who needs it says so
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
