"""The front and its hypervolume, against plain definitions."""

import itertools
import math
import time

import moocore
import numpy as np
import pytest

from hybrid_search.errors import SettingsError, UnknownName
from hybrid_search.objectives import OBJECTIVES, objectives
from hybrid_search.pareto import (
    RunningFront,
    front_reference,
    front_rows,
    hypervolume,
    pareto_front,
    reference_point,
)

UP, DOWN = "maximize", "minimize"


def dominated(a, b):
    return (b <= a).all() and (b < a).any()


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_the_front_agrees_with_its_definition(columns):
    points = np.random.default_rng(columns).integers(0, 6, (80, columns)).astype(float)
    expected = [i for i, a in enumerate(points) if not any(dominated(a, b) for b in points)]
    assert pareto_front(points, [DOWN] * columns) == expected


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_a_running_front_equals_the_front_of_all_points(columns):
    points = np.random.default_rng(columns).integers(0, 6, (60, columns)).astype(float)
    points[7, 0] = math.nan
    front = RunningFront([UP] * columns)
    for number, point in enumerate(points):
        stands = front.add(number, list(point))
        expected = pareto_front(points[: number + 1], [UP] * columns)
        assert front.numbers == expected
        assert stands == (number in expected)


def test_a_front_of_a_hundred_thousand_points_takes_less_than_a_second():
    points = np.random.default_rng(0).random((100_000, 2))
    points[0] = [0.5, math.inf]
    began = time.process_time()
    front = pareto_front(points, [DOWN, DOWN])
    assert time.process_time() - began < 1
    assert 2 < len(front) < 60


def test_directions_change_the_sign_of_a_column():
    points = [[0.9, 10.0], [0.8, 20.0], [0.95, 30.0], [0.9, 10.0]]
    assert pareto_front(points, [UP, DOWN]) == [0, 2, 3]


def test_points_with_nan_are_on_no_front():
    assert pareto_front([[float("nan"), 1.0], [0.5, 2.0]], [UP, DOWN]) == [1]
    assert pareto_front(np.empty((0, 2)), [UP, DOWN]) == []


@pytest.mark.parametrize("columns", [1, 2, 3, 4])
def test_the_hypervolume_is_the_counted_share_of_boxes(columns):
    points = np.random.default_rng(columns).integers(0, 5, (12, columns)).astype(float)
    cells = np.stack(np.meshgrid(*[np.arange(5)] * columns, indexing="ij"), -1).reshape(-1, columns)
    covered = sum(any((point <= cell).all() for point in points) for cell in cells)
    assert hypervolume(points, [5.0] * columns, [DOWN] * columns) == pytest.approx(covered)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_the_hypervolume_is_that_of_moocore(columns):
    rng = np.random.default_rng(columns)
    for count in (1, 7, 60):
        points = rng.random((count, columns))
        reference = np.full(columns, 0.9)
        expected = moocore.hypervolume(points, ref=reference) if columns > 1 else max(0.0, 0.9 - points.min())
        assert hypervolume(points, reference, [DOWN] * columns) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("columns", [3, 4])
def test_the_hypervolume_of_many_objectives_is_the_sum_of_its_slices(columns):
    rng = np.random.default_rng(columns)
    points = rng.random((25, columns))
    levels = np.append(np.sort(points[:, -1]), 1.0)
    slices = [
        (high - low) * hypervolume(points[points[:, -1] <= low, :-1], [1.0] * (columns - 1), [DOWN] * (columns - 1))
        for low, high in itertools.pairwise(levels)
    ]
    assert hypervolume(points, [1.0] * columns, [DOWN] * columns) == pytest.approx(sum(slices), rel=1e-12)


def test_a_point_without_bound_has_an_infinite_hypervolume():
    assert hypervolume([[-math.inf, 0.5, 0.5]], [1.0] * 3, [DOWN] * 3) == math.inf
    assert hypervolume([[math.nan, 0.5, 0.5]], [1.0] * 3, [DOWN] * 3) == 0.0


def test_points_beyond_the_reference_add_nothing():
    assert hypervolume([[0.9, 11.0], [0.5, 5.0]], [0.0, 10.0], [UP, DOWN]) == pytest.approx(0.5 * 5.0)
    assert hypervolume(np.empty((0, 2)), [0.0, 10.0], [UP, DOWN]) == 0.0


def test_a_dominated_point_changes_no_hypervolume():
    front = [[0.9, 8.0], [0.5, 2.0]]
    with_more = [*front, [0.4, 9.0], [0.9, 8.0]]
    assert hypervolume(front, [0.0, 10.0], [UP, DOWN]) == hypervolume(with_more, [0.0, 10.0], [UP, DOWN])


def test_the_reference_is_worse_than_every_point():
    kinds = objectives(("accuracy", "flops"))
    assert reference_point([[0.9, 10.0], [0.8, 20.0]], kinds) == [0.0, 21.0]
    assert reference_point([[0.9, 10.0]], kinds) == [0.0, 11.0]


def test_the_reference_is_the_known_bound_or_fixed_by_the_first_eight_points():
    kinds = objectives(("loss", "flops"))
    rows = [[1.0 + n % 4, 10.0 + n] for n in range(8)]
    assert reference_point(rows, kinds, {"flops": 99.0}) == [pytest.approx(4.3), 99.0]
    assert reference_point([*rows, [50.0, 500.0]], kinds) == reference_point(rows, kinds)


def test_the_front_reference_is_a_tenth_of_the_range_beyond_the_worst():
    rows = [[0.9, 20.0], [0.5, 10.0], [0.1, 90.0], [math.nan, 1.0]]
    assert front_reference(rows, [UP, DOWN]) == pytest.approx([0.46, 21.0])
    assert front_reference([[0.9, 20.0], [0.8, 40.0]], [UP, DOWN]) == pytest.approx(
        [0.89, 22.0]
    )  # one point: of all rows
    assert front_reference([[0.9, 20.0]], [UP, DOWN]) == pytest.approx([0.8, 20.1])
    with pytest.raises(SettingsError, match="a front needs at least one point with finite numbers; got none"):
        front_reference([], [UP, DOWN])


def test_front_rows_are_sorted_and_ignore_trials_without_an_objective():
    trials = [(4, {"accuracy": 0.8, "flops": 1.0}), (7, {"accuracy": 0.9, "flops": 3.0}), (9, {"accuracy": 0.99})]
    assert front_rows(trials, ("accuracy", "flops")) == [7, 4]


def test_unknown_objectives_are_refused_with_a_suggestion():
    with pytest.raises(UnknownName, match=r"objective must be one of accuracy, .*; got 'flop'. Did you mean 'flops'"):
        objectives(("accuracy", "flop"))
    with pytest.raises(SettingsError, match="objectives must be one or more different names; got none"):
        objectives(())


def test_values_are_written_with_their_unit():
    assert OBJECTIVES["accuracy"].text(0.9731) == "97.31 %"
    assert OBJECTIVES["flops"].text(3_410_000) == "3.41 MFLOPs"
    assert OBJECTIVES["params"].text(None) == "-"


def test_points_and_directions_of_different_widths_are_refused():
    with pytest.raises(SettingsError, match="points must have a column for each of 3 directions"):
        pareto_front([[1, 2], [3, 4], [5, 6]], [UP, DOWN, DOWN])
    with pytest.raises(SettingsError, match="points must have a column for each of 2 directions"):
        hypervolume([[1, 2]], [0.0, 1.0, 2.0, 3.0], [UP, DOWN])
