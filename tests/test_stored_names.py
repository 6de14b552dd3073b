"""The stored name of an evaluation: the same in every process; if there is none, the error explains it in one line."""

from functools import partial

import numpy as np
import pytest

from hybrid_search.errors import SettingsError
from hybrid_search.search.stored_names import EVALUATION_LENGTH, evaluation_name, stored_name


def evaluate(architecture, settings, epochs=1, data=None):
    yield {"accuracy": 0.5}


class Evaluation:
    def __call__(self, architecture, settings):
        yield {"accuracy": 0.5}


class NamedEvaluation(Evaluation):
    name = "my-evaluation"


HERE = f"{__name__}."


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (evaluate, HERE + "evaluate"),
        (partial(evaluate, epochs=3), HERE + "evaluate(epochs=3)"),
        (partial(evaluate, data="digits", epochs=3), HERE + "evaluate(data='digits', epochs=3)"),
        (partial(evaluate, data=len), HERE + "evaluate(data=builtins.len)"),
        (partial(partial(evaluate, epochs=3), epochs=4), HERE + "evaluate(epochs=4)"),
        (Evaluation(), HERE + "Evaluation"),
        (Evaluation().__call__, HERE + "Evaluation.__call__"),
        (NamedEvaluation(), "my-evaluation"),
    ],
)
def test_functions_partials_and_objects_have_a_name(given, name):
    assert evaluation_name(given) == name


def test_a_long_name_fits_the_column_and_differs_from_another_long_name():
    names = {evaluation_name(partial(evaluate, data="x" * 500 + end)) for end in ("", "y", "z")}
    assert len(names) == 3
    assert {len(name) for name in names} == {EVALUATION_LENGTH}


def test_an_argument_without_a_complete_text_is_named_by_its_class():
    assert evaluation_name(partial(evaluate, data=object())) == HERE + "evaluate(data=<object>)"
    assert evaluation_name(partial(evaluate, data=np.zeros(3000))) == HERE + "evaluate(data=<ndarray>)"


@pytest.mark.parametrize(("what", "name"), [("evaluate", "trained"), ("sampler", "tpe"), ("pruner", "none")])
def test_a_name_of_the_package_is_refused(what, name):
    thing = NamedEvaluation()
    thing.name = name
    with pytest.raises(SettingsError, match=f"must be its own; got '{name}'"):
        stored_name(what, thing)


def test_a_lambda_is_an_evaluation_and_no_sampler():
    assert evaluation_name(lambda architecture, settings: iter(())).endswith("<locals>.<lambda>")
    with pytest.raises(SettingsError, match=r"a name that stays the same, .*; got .*<lambda>. Use a function"):
        stored_name("sampler", lambda seed, facts: None)


def test_an_evaluation_that_cannot_be_called_is_refused():
    with pytest.raises(SettingsError, match="evaluate must be a function or a callable object; got 3"):
        evaluation_name(3)
    with pytest.raises(SettingsError, match="evaluate must be a function or a callable object; got 'trained'"):
        evaluation_name("trained")
