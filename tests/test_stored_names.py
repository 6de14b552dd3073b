"""The stored name of an evaluation: the same in every process; if there is none, the error explains it in one line."""

from functools import partial

import pytest

from hybrid_search.errors import SettingsError
from hybrid_search.search.stored_names import EVALUATION_LENGTH, evaluation_name


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
        (partial(evaluate, data=object()), HERE + "evaluate(data=object)"),
        (partial(partial(evaluate, epochs=3), epochs=4), HERE + "evaluate(epochs=4)"),
        (Evaluation(), HERE + "Evaluation"),
        (Evaluation().__call__, HERE + "Evaluation.__call__"),
        (NamedEvaluation(), "my-evaluation"),
    ],
)
def test_functions_partials_and_objects_have_a_name(given, name):
    assert evaluation_name(given) == name


def test_a_long_name_is_cut_to_the_column():
    assert len(evaluation_name(partial(evaluate, data="x" * 500))) == EVALUATION_LENGTH


def test_an_evaluation_without_a_name_is_refused():
    with pytest.raises(SettingsError, match=r"a name that stays the same, .*; got .*<lambda>. Use a function"):
        evaluation_name(lambda architecture, settings: iter(()))
    with pytest.raises(SettingsError, match="evaluate must be a function or a callable object; got 3"):
        evaluation_name(3)
