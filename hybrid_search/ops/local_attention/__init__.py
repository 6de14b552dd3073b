"""Local self-attention: every pixel attends to the extent x extent window around it.

Ramachandran et al. 2019, Stand-Alone Self-Attention in Vision Models, arXiv 1906.05909. This package does not import
torch before an operator is built or the function is called.

As an attribute, `hybrid_search.ops.local_attention` is the function. The modules of this package are reached by import
statements such as `from hybrid_search.ops.local_attention.definition import attend`.
"""

from hybrid_search.ops.local_attention.backends import BACKENDS, Backend, which_backend
from hybrid_search.ops.local_attention.declaration import LocalAttention
from hybrid_search.ops.local_attention.function import local_attention
from hybrid_search.ops.local_attention.options import BORDERS, LOGITS, POSITIONS, PROJECTIONS

__all__ = [
    "BACKENDS",
    "BORDERS",
    "LOGITS",
    "POSITIONS",
    "PROJECTIONS",
    "Backend",
    "LocalAttention",
    "local_attention",
    "which_backend",
]
