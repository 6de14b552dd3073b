"""Choose one trial of a search: the best, the knee of the front, a trial number, or the best within a bound."""

from hybrid_search.analysis.picks.knee import Knee, front_knee
from hybrid_search.analysis.picks.pick import Pick, pick_trial

__all__ = ["Knee", "Pick", "front_knee", "pick_trial"]
