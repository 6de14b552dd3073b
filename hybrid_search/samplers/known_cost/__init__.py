"""The sampler for studies whose costs are known before training; it models only what must be measured."""

from hybrid_search.samplers.known_cost.sampler import KnownCostSampler

__all__ = ["KnownCostSampler"]
