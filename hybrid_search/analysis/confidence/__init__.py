"""Confidence in the results of a search, after trials were trained again under fresh seeds.

The seed of the search does not count once a trial has fresh seeds: the trial was selected for its result under that
seed, so the result is biased upwards.
"""

from hybrid_search.analysis.confidence.confirmed_front import ConfirmedFront, confirmed_front
from hybrid_search.analysis.confidence.front_membership import (
    UNDECIDED_MARGIN,
    ObjectivePosterior,
    decided_share,
    front_probability,
    next_trial,
    undecided,
)
from hybrid_search.analysis.confidence.measurement_noise import TEST_OBJECTIVES, class_step, repeated_means
from hybrid_search.analysis.confidence.seed_means import SeedMeans, seed_means
from hybrid_search.analysis.confidence.trial_confidence import (
    TEST_ACCURACY,
    TrialConfidence,
    objective_posterior,
    read_confidence,
    seed_values,
    trial_confidence,
)

__all__ = [
    "TEST_ACCURACY",
    "TEST_OBJECTIVES",
    "UNDECIDED_MARGIN",
    "ConfirmedFront",
    "ObjectivePosterior",
    "SeedMeans",
    "TrialConfidence",
    "class_step",
    "confirmed_front",
    "decided_share",
    "front_probability",
    "next_trial",
    "objective_posterior",
    "read_confidence",
    "repeated_means",
    "seed_means",
    "seed_values",
    "trial_confidence",
    "undecided",
]
