"""The public names: all there, all documented, and nothing more than is promised."""

import importlib
import inspect

import hybrid_search
from hybrid_search import ops

PROMISED = [
    "Architecture",
    "Stage",
    "SearchSpace",
    "load_space",
    "reference",
    "build_model",
    "cost",
    "Cost",
    "Settings",
    "Resources",
    "Objective",
    "Trial",
    "Outcome",
    "Search",
    "SearchSpec",
    "run",
    "confirm",
    "Ledger",
    "pareto_front",
    "hypervolume",
    "export_model",
    "load_exported",
]


def test_the_public_names_are_those_promised():
    assert sorted(hybrid_search.__all__) == sorted(PROMISED)
    assert {"local_attention", "LocalAttention2d"} <= set(ops.__all__)


def test_every_public_name_loads_and_says_what_it_is():
    for name in PROMISED:
        assert inspect.getdoc(getattr(hybrid_search, name)), name
    assert callable(ops.local_attention)
    assert inspect.isclass(ops.LocalAttention2d)


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(hybrid_search, "evaluate_everything")


def test_no_public_name_is_hidden_by_a_room_of_that_name():
    for name in PROMISED:
        importlib.import_module(f"hybrid_search.{hybrid_search._ROOMS[name]}")
    assert not [name for name in PROMISED if inspect.ismodule(getattr(hybrid_search, name))]
