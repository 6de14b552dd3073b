"""Counts have the right form of their noun, wherever a command prints them."""

import pytest
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search._internal.counted import counted
from hybrid_search.errors import nearest
from hybrid_search.ledger import Ledger
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run


@pytest.mark.parametrize(("count", "text"), [(0, "0 trials"), (1, "1 trial"), (2, "2 trials"), (1200, "1,200 trials")])
def test_one_has_the_singular_and_every_other_count_the_plural(count, text):
    assert counted(count, "trial") == text


def test_a_search_of_one_trial_and_one_epoch_prints_no_plural(capsys):
    with Ledger("sqlite:///one.db") as ledger:
        run(
            tiny_space(), trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored(rungs=1), name="one",
            settings=Settings(epochs=1), known_designs=False,
        )  # fmt: skip
    for command in ("front", "status"):
        assert cli.run([command, "one", "--db", "sqlite:///one.db"]) == 0
    printed = "".join(capsys.readouterr())
    assert "1 of 1 evaluated network\n" in printed
    assert "1 of 1 trial has ended" in printed
    for wrong in ("1 trials", "1 epochs", "1 evaluated networks"):
        assert wrong not in printed


def test_only_similar_words_are_suggested():
    assert nearest("nope", ["mine"]) == ""
    assert nearest("nope", ["npz"]) == ""
    assert nearest("mime", ["mine"]) == " Did you mean 'mine'?"
