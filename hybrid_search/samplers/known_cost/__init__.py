"""The sampler that takes the cost as exact and models only what must be learned."""

from hybrid_search.samplers.known_cost.sampler import KnownCostSampler

__all__ = ["KnownCostSampler"]
