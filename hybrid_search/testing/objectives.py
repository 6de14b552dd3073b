"""The contract of an objective as a class of tests."""

import math
from typing import ClassVar

from hybrid_search.objectives import OBJECTIVES, Objective, from_json, objectives, to_json


class ObjectiveContract:
    """The tests that every objective must pass. Inherit from it in a test module.

    The package of the objective must be installed, so that its entry point is found.

    Attributes:
        objective: the objective.

    Example:
        >>> class TestSharpness(ObjectiveContract):
        ...     objective = SHARPNESS
    """

    objective: ClassVar[Objective]

    def test_the_table_has_the_objective_under_its_name(self) -> None:
        """The name of the entry point is the name of the measurement."""
        assert OBJECTIVES[self.objective.name] == self.objective

    def test_a_search_takes_it_beside_a_cost(self) -> None:
        """By its name and as an object. Only FLOPs and parameters are known before training."""
        cost = "params" if self.objective.name == "flops" else "flops"
        for given in (self.objective.name, self.objective):
            assert objectives((given, cost))[0] == self.objective

    def test_label_and_unit_are_one_line_for_people(self) -> None:
        """They are shown in tables and on axes."""
        assert self.objective.label.strip()
        assert "\n" not in self.objective.label + self.objective.unit

    def test_values_read_as_one_line_with_the_unit(self) -> None:
        """A missing value is a dash."""
        for value in (0.0, 0.5, 12345.0, -2.0):
            text = self.objective.text(value)
            assert text.strip()
            assert text.endswith("%" if self.objective.unit == "share" else self.objective.unit)
        assert self.objective.text(None) == "-"

    def test_it_is_the_same_after_it_was_stored(self) -> None:
        """The ledger stores an objective of a plugin with the search."""
        name = self.objective.name
        names, own = from_json(to_json([name], [] if self.objective.is_built_in else [self.objective]))
        assert names == (name,)
        assert own == (() if self.objective.is_built_in else (self.objective,))

    def test_its_bounds_are_finite(self) -> None:
        """`worst` is the reference of the hypervolume."""
        for bound in (self.objective.worst, self.objective.best):
            assert bound is None or math.isfinite(bound)
