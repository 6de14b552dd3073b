"""The implementations of local attention, and the choice between them."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from hybrid_search.errors import UserError, one_of

if TYPE_CHECKING:
    from torch import Tensor

EXPORTABLE = "exportable"

# name -> module, best first: if no backend is named, the first that does not refuse runs. To add a backend, write its
# file and add a line here.
BACKENDS = {
    "cpu": "hybrid_search.ops.local_attention.cpu",
    "portable": "hybrid_search.ops.local_attention.portable",
    "triton": "hybrid_search.ops.local_attention.triton_backend",  # by name only, until it has run on a GPU
    EXPORTABLE: "hybrid_search.ops.local_attention.exportable",  # by name, and while an exporter records the call
    "definition": "hybrid_search.ops.local_attention.definition",
}


class Backend(Protocol):
    """The functions of a backend's module."""

    def unsupported_reason(self, q: "Tensor", extent: int, border: str) -> str | None:
        """Return the reason why the backend cannot run this call, None if it can."""

    def attend(
        self,
        q: "Tensor",
        k: "Tensor | None",
        v: "Tensor",
        rel_row: "Tensor | None",
        rel_col: "Tensor | None",
        extent: int,
        border: str,
    ) -> "Tensor":
        """Compute `local_attention`; the arguments have been checked."""


def load_backend(name: str) -> Backend:
    """Return the module of the backend, imported on first use."""
    path = BACKENDS[name]  # torch.compile can trace a look-up in sys.modules, but not an import
    return cast("Backend", sys.modules[path] if path in sys.modules else import_module(path))


def which_backend(q: "Tensor", *, extent: int = 7, border: str = "masked", backend: str | None = None) -> str:
    """Return the name of the backend that `local_attention` would run.

    While torch records the call for an exporter, this is "exportable", whatever is named.

    Args:
        q: queries (batch, heads, head_width, rows, cols); their device, type and number of columns decide.
        extent: side of the window in pixels.
        border: "masked", "zero" or "shifted".
        backend: a name of `BACKENDS`; None for the best that can run the call.

    Raises:
        UnknownName: there is no backend of this name.
        UserError: the named backend cannot run the call; the message gives the reason. No other one replaces it.

    Example:
        >>> which_backend(torch.randn(1, 8, 8, 14, 14), extent=7)
        'cpu'
    """
    from hybrid_search.ops.exporting import is_exporting  # imports torch

    if backend is not None:
        one_of("backend", backend, BACKENDS)
    if is_exporting():
        return EXPORTABLE
    if backend is None:
        return next(name for name in BACKENDS if load_backend(name).unsupported_reason(q, extent, border) is None)
    reason = load_backend(backend).unsupported_reason(q, extent, border)
    if reason is not None:
        raise UserError(f"backend {backend} cannot run this: {reason}")
    return backend
