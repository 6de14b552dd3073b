"""Rules for the numbers of an evaluation: exact costs are not reported, and bounded objectives stay in their range."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

from hybrid_search.errors import EvaluationError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import BUILT_IN, Objective
from hybrid_search.records import TRAINED
from hybrid_search.search.spec import SearchSpec
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


def not_finite(measurements: Mapping[str, float]) -> str | None:
    """Return the name of the first measurement that is infinite or not a number; None if all are finite."""
    return next((name for name, value in measurements.items() if not math.isfinite(value)), None)


def checked_outcome(outcome: Outcome, architecture: Architecture, spec: SearchSpec) -> Outcome:
    """Return an outcome as it is stored.

    A completed trial has its exact costs among its measurements, and is failed if its measurements cannot be used. A
    trial that did not complete has none.

    Args:
        outcome: The outcome.
        architecture: The network.
        spec: The configuration of the search.

    Raises:
        EvaluationError: A number may not be reported; see `check_reported`.
    """
    if outcome.state != "complete":
        return replace(outcome, measurements={})
    costs = spec.cost(architecture)
    check_reported(outcome.measurements, costs, spec.objectives, spec.evaluation)
    if name := not_finite(outcome.measurements):
        return Outcome("failed", {}, "nan", f"{name} is not finite at the end")
    for objective in spec.objectives:
        if objective.name not in outcome.measurements and objective.name not in costs:
            came = ", ".join(outcome.measurements) or "nothing"
            return Outcome("failed", {}, "bug", f"the evaluation must measure {objective.name}; it gave {came}")
    return replace(outcome, measurements={**costs, **outcome.measurements, **costs})
