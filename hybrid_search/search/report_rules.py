"""Rules for the numbers of an evaluation: exact costs are not reported, and bounded objectives stay in their range."""

import math
from collections.abc import Iterable, Mapping

from hybrid_search.errors import EvaluationError
from hybrid_search.objectives import BUILT_IN, Objective
from hybrid_search.records import TRAINED
from hybrid_search.search.trial import Outcome


def check_reported(
    measurements: Mapping[str, float], costs: Mapping[str, float], objectives: Iterable[Objective], evaluation: str
) -> None:
    """Check the measurements of one report, before anything of it is written.

    Args:
        measurements: What the evaluation reported.
        costs: The exact costs of the network, by name.
        objectives: The objectives of the search.
        evaluation: Name of the evaluation; the package's own training reports the exact costs itself.

    Raises:
        EvaluationError: A cost is reported that is not the exact one, or a value is outside the range of its objective.

    Example:
        >>> check_reported({"accuracy": 93.5}, {}, search.spec.objectives, "mine")
        Traceback (most recent call last):
        EvaluationError: accuracy must be 0 to 1; got 93.5. Divide a number in per cent by 100.
    """
    for name, exact in costs.items():
        if evaluation != TRAINED and name in measurements and measurements[name] != exact:
            raise EvaluationError(
                f"{name} must be left out of a report, because it is known exactly; got {measurements[name]:g}, the "
                f"network has {exact:g}. Report yours under another name, such as own_{name}."
            )
    own = {objective.name: objective for objective in objectives}
    shares = {name: objective for name, objective in BUILT_IN.items() if objective.unit == "share"}
    for name, objective in {**shares, **own}.items():
        if name in measurements and (problem := objective.range_problem(measurements[name])):
            raise EvaluationError(problem)


def checked_outcome(outcome: Outcome, costs: Mapping[str, float], objectives: Iterable[Objective]) -> Outcome:
    """Return the outcome of a completed trial, or a failure if its measurements cannot be used.

    Args:
        outcome: The outcome.
        costs: The exact costs of the network, by name.
        objectives: The objectives of the search.
    """
    for name, value in outcome.measurements.items():
        if not math.isfinite(value):
            return Outcome("failed", {}, "nan", f"{name} is not finite at the end")
    for objective in objectives:
        if objective.name not in outcome.measurements and objective.name not in costs:
            came = ", ".join(outcome.measurements) or "nothing"
            return Outcome("failed", {}, "bug", f"the evaluation must measure {objective.name}; it gave {came}")
    return outcome
