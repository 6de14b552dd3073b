"""Where attention helps: the effect of each operator, block, stem and option of a search on its result.

Two kinds of evidence answer this. Matched pairs are trained designs that are equal but for one choice; see
`matched_pairs.py`. Where there are few of them, a surrogate of the results answers at equal FLOPs; see
`model_effects.py`. `search_effects` reads both for a search of the ledger, with what else shows where attention helps:
the operators of the front, the importance of every parameter, and new designs that make pairs for an open question.
"""

from hybrid_search.analysis.effects.factors import Factor, factors
from hybrid_search.analysis.effects.importance import Importance, importance
from hybrid_search.analysis.effects.matched_pairs import Comparison, FlopsBand, compare
from hybrid_search.analysis.effects.model_effects import ModelEffect, model_effects
from hybrid_search.analysis.effects.open_questions import OpenQuestion, open_questions
from hybrid_search.analysis.effects.operator_shares import OperatorShare, operator_shares
from hybrid_search.analysis.effects.search_effects import SearchEffects, search_effects
from hybrid_search.analysis.effects.trained_designs import TrainedDesigns

__all__ = [
    "Comparison",
    "Factor",
    "FlopsBand",
    "Importance",
    "ModelEffect",
    "OpenQuestion",
    "OperatorShare",
    "SearchEffects",
    "TrainedDesigns",
    "compare",
    "factors",
    "importance",
    "model_effects",
    "open_questions",
    "operator_shares",
    "search_effects",
]
