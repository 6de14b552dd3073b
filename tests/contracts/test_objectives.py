"""The contract of objectives, on built-in ones with and without bounds and units."""

from hybrid_search.objectives import OBJECTIVES
from hybrid_search.testing import ObjectiveContract


class TestAccuracy(ObjectiveContract):
    objective = OBJECTIVES["accuracy"]


class TestFlops(ObjectiveContract):
    objective = OBJECTIVES["flops"]


class TestLatency(ObjectiveContract):
    objective = OBJECTIVES["latency_ms"]
