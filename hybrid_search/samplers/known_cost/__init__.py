"""A sampler for studies in which some objectives, such as FLOPs, are known before training."""

from hybrid_search.samplers.known_cost.sampler import KnownCostSampler

__all__ = ["KnownCostSampler"]
