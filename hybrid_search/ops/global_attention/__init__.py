"""Global self-attention: every pixel attends to the whole map."""

from hybrid_search.ops.global_attention.declaration import GlobalAttention
from hybrid_search.ops.global_attention.options import POSITIONS

__all__ = ["POSITIONS", "GlobalAttention"]
