"""Local self-attention: every pixel attends to the extent x extent window around it.

Ramachandran et al., Stand-Alone Self-Attention in Vision Models, arXiv 1906.05909. Here stand the operator's
declaration and the one function `local_attention`, behind which the backends stand; torch is imported by neither.

`hybrid_search.ops.local_attention` as an attribute is the function; the modules below this package are reached by
import statements, `from hybrid_search.ops.local_attention.definition import attend`.
"""

import sys
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast

from hybrid_search.errors import ArchitectureError, UserError, odd, one_of, whole, yes_or_no
from hybrid_search.ops.operator import Family, Layer

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "BACKENDS",
    "BORDERS",
    "LOGITS",
    "POSITIONS",
    "PROJECTIONS",
    "LocalAttention",
    "check_heads",
    "local_attention",
    "which_backend",
]

POSITIONS = ("none", "absolute", "relative")
LOGITS = ("qk+qr", "qr")
BORDERS = ("masked", "zero", "shifted")
PROJECTIONS = ("dense", "grouped")

# name -> module, best first: where none is asked for, the first that does not refuse runs. Adding a backend: its file
# and its line here.
BACKENDS = {
    "cpu": "hybrid_search.ops.local_attention.cpu",
    "portable": "hybrid_search.ops.local_attention.portable",
    "triton": "hybrid_search.ops.local_attention.gpu",  # by name only: before portable once a GPU has run it
    "definition": "hybrid_search.ops.local_attention.definition",
}


class Backend(Protocol):
    """What the module of a backend offers."""

    def refuses(self, q: "Tensor", extent: int, border: str) -> str | None:
        """Why it cannot take this call, None where it can."""

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
        """`local_attention` on arguments that have been checked."""


def check_heads(heads: int, width: int, even: bool) -> None:
    """ArchitectureError unless `heads` divides `width`, into even head widths where a position table halves them."""
    whole("heads", heads)
    step = 2 if even else 1
    if width % (heads * step):
        fit = [str(n) for n in range(1, width + 1) if width % (n * step) == 0]
        law = "heads must divide the width into even parts (one half for rows, one for columns)"
        possible = ", ".join(fit) or "none"
        raise ArchitectureError(
            f"{law if even else 'heads must divide the width'}; got {heads} heads at width {width}; "
            f"possible: {possible}."
        )


@dataclass(frozen=True)
class LocalAttention:
    """Local self-attention without bias or output projection; the paper's operator with its defaults.

    `extent` is the window's side; `position` none, absolute (a sinusoid on the input of q and k) or relative (learned
    row and column tables); `logits` "qk+qr" or "qr" (the position term alone: W_K does not exist); `border` masked,
    zero or shifted; `projection` dense, or grouped (a head sees only its own channels); `scale` divides the logits by
    the root of the head's width; `norm` puts batch norm on q, k and v.
    """

    family: ClassVar[Family] = "attention"
    label: ClassVar[str] = "local attention"
    symbol: ClassVar[str] = "A"
    extent: int = 7
    heads: int = 8
    position: str = "relative"
    logits: str = "qk+qr"
    border: str = "masked"
    projection: str = "dense"
    scale: bool = False
    norm: bool = False

    def check(self, width: int) -> None:
        """Raise ArchitectureError, one line, for the first law that is broken at this width."""
        odd("extent", self.extent)
        one_of("position", self.position, POSITIONS, ArchitectureError)
        one_of("logits", self.logits, LOGITS, ArchitectureError)
        one_of("border", self.border, BORDERS, ArchitectureError)
        one_of("projection", self.projection, PROJECTIONS, ArchitectureError)
        yes_or_no("scale", self.scale)
        yes_or_no("norm", self.norm)
        check_heads(self.heads, width, even=self.position == "relative")
        if self.logits == "qr" and self.position != "relative":
            raise ArchitectureError(
                f"logits qr needs position relative, for without it there are no logits; got position {self.position}; "
                "possible: position relative, or logits qk+qr."
            )
        if self.position == "absolute" and width % 4:
            raise ArchitectureError(
                f"position absolute needs a width divisible by 4 (sine and cosine of rows and columns); got {width}."
            )

    def canonical(self, width: int, size: tuple[int, int] | None = None) -> Self:
        """The same operator with the options that cannot change the built network set to one value.

        A window of one pixel never leaves the map and its one weight is 1, whatever the logits: border and scale fall
        away, and the heads too unless position tables or groups of channels are shaped by them. (Position and logits
        stay: they decide which parameters exist.) A head of one channel has nothing to scale by. One head sees every
        channel, so its groups are one: dense.

        Where the map of `size` is smaller than the window, the extent is the least that covers it from every pixel:
        what is wider is never looked up. Not with border zero, whose outside pixels have a weight.
        """
        same = self
        if size is not None and self.border != "zero":
            longest = max(size)
            covering = 2 * longest - 1 if self.border == "masked" else longest + 1 - longest % 2
            same = replace(same, extent=min(same.extent, covering))
        if same.extent == 1:
            same = replace(same, border="masked", scale=False)
            if same.position != "relative" and same.projection == "dense":
                same = replace(same, heads=1)
        if same.heads == width:
            same = replace(same, scale=False)
        return replace(same, projection="dense") if same.heads == 1 else same

    def terms(self) -> tuple[str, ...]:
        """The products that cost extent^2 x width MACs a pixel each: q.k, q.r (expanded table), weights.v."""
        content = ("q.k",) if self.logits == "qk+qr" else ()
        position = ("q.r",) if self.position == "relative" else ()
        return (*content, *position, "weights.v")

    def cost(self, width: int, rows: int, cols: int, stride: int) -> list[Layer]:
        """The projections, batch norm and the attention itself, all at the input resolution (see PAPER: Table 1).

        Per pixel 3 d^2 MACs of projections (2 d^2 without W_K) and k^2 d for each of `terms`; k d parameters of
        relative position. The pool of a strided layer comes after and costs no MACs.
        """
        pixels = rows * cols
        square = width * width // (self.heads if self.projection == "grouped" else 1)
        groups = f" / {self.heads}" if self.projection == "grouped" and self.heads > 1 else ""

        def projection(name: str) -> Layer:
            formula = f"{len(name)} x {width} x {width}{groups}"
            return Layer(name, "projection", len(name) * square, len(name) * square * pixels, rows, cols, formula)

        names = self.projections()
        layers = [projection(name) for name in names]
        if self.norm:
            layers.append(Layer("norm", "norm", 2 * width * sum(map(len, names)), 0, rows, cols))
        window = self.extent**2 * width
        table = self.extent * width if self.position == "relative" else 0
        formula = " + ".join(f"{self.extent}^2 x {width} ({term})" for term in self.terms())
        macs = len(self.terms()) * window * pixels
        layers.append(Layer("attention", "attention", table, macs, rows, cols, formula))
        return layers

    def projections(self) -> tuple[str, ...]:
        """The 1x1 convolutions of the built layer, one letter for each of q, k, v that they make."""
        if self.position == "absolute":
            return ("qk", "v")  # the sinusoid joins the input of q and k only
        return ("qkv",) if self.logits == "qk+qr" else ("qv",)

    def build(self, width: int, stride: int) -> "nn.Module":
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride))."""
        from hybrid_search.ops.local_attention.layer import LocalAttention2d

        return LocalAttention2d.of(self, width, stride)


def _backend(name: str) -> Backend:
    path = BACKENDS[name]  # torch.compile follows a look into sys.modules, an import it does not
    return cast("Backend", sys.modules[path] if path in sys.modules else import_module(path))


def which_backend(q: "Tensor", *, extent: int = 7, border: str = "masked", backend: str | None = None) -> str:
    """The name of the backend that `local_attention` would run for such a q.

    A backend asked for by name is the answer or an error, never another one: UserError says why it refuses.
    """
    if backend is None:
        return next(name for name in BACKENDS if _backend(name).refuses(q, extent, border) is None)
    one_of("backend", backend, BACKENDS)
    reason = _backend(backend).refuses(q, extent, border)
    if reason is not None:
        raise UserError(f"backend {backend} cannot run this: {reason}")
    return backend


def local_attention(
    q: "Tensor",
    k: "Tensor | None",
    v: "Tensor",
    rel_row: "Tensor | None" = None,
    rel_col: "Tensor | None" = None,
    *,
    extent: int,
    border: str = "masked",
    backend: str | None = None,
) -> "Tensor":
    """y_ij = sum over ab in the window of softmax_ab(q_ij . k_ab + q_ij . r_(a-i, b-j)) v_ab, for every head.

    `q`, `k`, `v` are (batch, heads, head_width, rows, cols), the result has the shape of q. `rel_row` and `rel_col`
    are (heads or 1, head_width // 2, extent), both or neither: r_(a-i, b-j) is the concatenation of row entry
    a - i + extent // 2 and column entry b - j + extent // 2. `k` None leaves q . r alone. There is no scaling.

    `border` is what a window does at the edge of the map: "masked" leaves the pixels outside out of the softmax,
    "zero" lets them in with a key and value of zero (their logit is q . r), "shifted" moves the window into the map;
    a shifted window reads the tables by the place in the window, and where the map is smaller than the window it
    starts at the map's first pixel and what sticks out is left out.

    `backend` is a name of `BACKENDS`, or None for the best that takes the call. Raises ArchitectureError for shapes,
    types or options that do not fit, UnknownName or UserError for a backend that is not there or cannot.
    """
    _check(q, k, v, rel_row, rel_col)
    odd("extent", extent)
    one_of("border", border, BORDERS, ArchitectureError)
    heads, head_width = q.shape[1:3]
    for name, table in (("rel_row", rel_row), ("rel_col", rel_col)):
        fits = [(heads, head_width // 2, extent), (1, head_width // 2, extent)]
        if table is not None and tuple(table.shape) not in fits:
            raise ArchitectureError(
                f"{name} must be (heads or 1, head_width // 2, extent), here {fits[0]}; got {tuple(table.shape)}."
            )
    name = which_backend(q, extent=extent, border=border, backend=backend)
    return _backend(name).attend(q, k, v, rel_row, rel_col, extent, border)


def _check(q: Any, k: Any, v: Any, rel_row: Any, rel_col: Any) -> None:
    """ArchitectureError unless the tensors fit one another."""
    if q.dim() != 5:
        raise ArchitectureError(f"q must be (batch, heads, head_width, rows, cols); got {tuple(q.shape)}.")
    if min(q.shape[1:]) < 1:
        raise ArchitectureError(f"heads, head_width, rows and cols must be at least 1; got q of {tuple(q.shape)}.")
    for name, x in (("k", k), ("v", v)):
        if x is not None and x.shape != q.shape:
            raise ArchitectureError(f"{name} must have the shape of q, {tuple(q.shape)}; got {tuple(x.shape)}.")
    if (rel_row is None) != (rel_col is None):
        raise ArchitectureError("rel_row and rel_col must be given together; got one of them.")
    if k is None and rel_row is None:
        raise ArchitectureError("k may be None only where rel_row and rel_col give the logits; got neither.")
    if rel_row is not None and q.shape[2] % 2:
        raise ArchitectureError(f"position tables need an even head_width; got {q.shape[2]}.")
    if not q.is_floating_point():
        raise ArchitectureError(f"q must be a floating-point tensor; got {q.dtype}.")
    for name, x in (("k", k), ("v", v), ("rel_row", rel_row), ("rel_col", rel_col)):
        if x is not None and (x.dtype, x.device) != (q.dtype, q.device):
            raise ArchitectureError(
                f"{name} must have the type and device of q, {q.dtype} on {q.device}; got {x.dtype} on {x.device}."
            )
