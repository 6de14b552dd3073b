"""The effects of a search as plain JSON: what `effects --format json`, the report and the API state."""

from typing import Any

from hybrid_search.analysis.effects.matched_pairs import Comparison
from hybrid_search.analysis.effects.model_effects import ModelEffect
from hybrid_search.analysis.effects.search_effects import SearchEffects
from hybrid_search.objectives import Objective


def effects_document(name: str, found: SearchEffects) -> dict[str, Any]:
    """Return everything as plain JSON; numbers in the unit of the objective.

    Args:
        name: Name of the search.
        found: Its effects.
    """
    return {
        "search": name,
        "objective": found.objective.name,
        "trials": found.trials,
        "left_out": found.left_out,
        "comparisons": effect_rows(found),
        "operators": [
            {
                "place": share.factor.place,
                "question": share.factor.question,
                "choice": share.choice,
                "trained": share.trained,
                "on_front": share.on_front,
                "best": share.best,
                "best_trial": share.best_trial,
            }
            for share in found.shares
        ],
        "importance": [dict(vars(each)) for each in found.importances],
        "open_questions": [
            {
                "place": each.comparison.factor.place,
                "question": each.comparison.factor.question,
                "choice": each.comparison.b,
                "instead_of": each.comparison.a,
                "partners": list(each.partners),
                "designs": [dict(design) for design in each.designs],
            }
            for each in found.questions
        ],
    }


def effect_rows(found: SearchEffects) -> list[dict[str, Any]]:
    """Return a row for each comparison.

    Args:
        found: The effects of a search.
    """
    return [_row(each, found.at_equal_flops(each)) for each in found.comparisons]


def _row(comparison: Comparison, model: ModelEffect | None) -> dict[str, Any]:
    low, high = comparison.interval or (None, None)
    model_low, model_high = model.interval if model else (None, None)
    return {
        "place": comparison.factor.place,
        "kind": comparison.factor.kind,
        "question": comparison.factor.question,
        "choice": comparison.b,
        "instead_of": comparison.a,
        "pairs": comparison.pairs,
        "difference": comparison.difference,
        "low": low,
        "high": high,
        "p_value": comparison.p_value,
        "flops_ratio": comparison.flops_ratio,
        "model_difference": model.difference if model else None,
        "model_low": model_low,
        "model_high": model_high,
        "bands": [dict(vars(band)) for band in comparison.bands],
    }


def difference_text(objective: Objective, value: float | None, low: float | None, high: float | None) -> str:
    """Return a difference with its interval: `-1.16 ± 0.31 points`.

    Args:
        objective: What the difference is of.
        value: The difference; None: "-".
        low, high: The ends of its interval; None: unknown.
    """
    if value is None:
        return "-"
    scale, unit, digits = (100.0, " points", 2) if objective.unit == "share" else (1.0, objective.unit, 4)
    half = "" if low is None or high is None else f" ± {scale * (high - low) / 2:.{digits}f}"
    return f"{scale * value:+.{digits}f}{half}{unit}"
