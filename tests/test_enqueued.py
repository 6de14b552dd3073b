"""Designs that a person enqueues: their types, their recipe, duplicates, and what a run says about them."""

import json

import pytest
from test_effects import LOCAL, attention_helps_late, complete, two_stages

from hybrid_search import SearchSpace, SearchSpec, SettingsError
from hybrid_search.analysis.effects import search_effects
from hybrid_search.ledger import Ledger
from hybrid_search.runs.run import run
from hybrid_search.search.enqueued import enqueued_designs
from hybrid_search.search.opening import open_search


def spec(**more):
    return SearchSpec.create(two_stages(), trials=3, **more)


def trained(folder, designs, trials=4, space=None, **more):
    """Return the choices of all trials, and the notices, of a run with enqueued designs."""
    notices = []
    more |= {"evaluate": attention_helps_late, "ledger": f"sqlite:///{folder}/a.db", **LOCAL}
    search = run(space or two_stages(), trials=trials, enqueue=designs, notice=notices.append, **more)
    with search.ledger:
        return [dict(trial.choices) for trial in search.trials()], notices


def test_a_whole_number_written_as_a_decimal_is_the_choice_of_the_space():
    (design,) = enqueued_designs(spec(), [{**complete(), "stage1.width": 8.0}])
    assert json.dumps(design) == json.dumps(complete())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("8", "got '8'. Write 8 without quotes."),
        (True, "got True."),
        ([8], "got [8]."),
        (None, "got nothing."),
        (float("nan"), "got nan."),
        (10**5000, "got a int."),
        ("x" * 5000, "..."),
    ],
    ids=["text", "bool", "list", "null", "nan", "huge", "long"],
)
def test_a_choice_of_a_wrong_type_is_one_short_line(wrong, words):
    with pytest.raises(SettingsError, match=r"^design 1: stage1\.width must be one of 8, 16; got ") as caught:
        enqueued_designs(spec(), [{**complete(), "stage1.width": wrong}])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_true_is_not_the_number_one():
    stage = {"depth": 1, "width": 8, "operator": {"local_attention": {"extent": 3, "heads": [1, 2]}}}
    space = SearchSpace.from_dict({"name": "one", "stem": {"conv3x3": {"width": 8}}, "stages": [stage]})
    with pytest.raises(SettingsError, match="heads must be one of 1, 2; got True"):
        enqueued_designs(SearchSpec.create(space, trials=1), [{"stage1.local_attention.heads": True}])


@pytest.mark.parametrize("wrong", ["fast", 0.123, True])
def test_a_tuned_setting_must_be_one_of_the_choices_of_the_search(wrong):
    with pytest.raises(SettingsError, match=r"design 1: recipe\.learning_rate must be one of .*; got "):
        enqueued_designs(spec(tune_recipe=True), [{**complete(), "recipe.learning_rate": wrong}])


def test_a_tuned_setting_that_is_left_out_has_the_value_of_the_recipe(tmp_path):
    tuned = spec(tune_recipe=True)
    (design,) = enqueued_designs(tuned, [complete()])
    assert design["recipe.learning_rate"] == tuned.settings.learning_rate
    trials, _ = trained(
        tmp_path, [{**complete(), "recipe.weight_decay": tuned.settings.weight_decay}], tune_recipe=True
    )
    assert trials[0] == design


def test_a_file_with_a_byte_order_mark_is_read_and_a_huge_one_is_refused(tmp_path):
    file = tmp_path / "designs.json"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps([complete()]).encode())
    assert enqueued_designs(spec(), file) == [complete()]
    file.write_text(json.dumps([complete()] * 20_000))
    with pytest.raises(SettingsError, match="at most 1,000,000 are read"):
        enqueued_designs(spec(), file)


def test_a_design_that_is_given_twice_is_trained_once_and_said(tmp_path):
    trials, notices = trained(tmp_path, [complete(), {**complete(), "stage1.width": 8.0}])
    assert "1 of 2 enqueued designs proposed before or given twice, left out" in notices
    assert trials.count(complete()) == 1


def test_two_ways_of_writing_one_network_are_one_enqueued_design(tmp_path):
    stage = {"depth": 1, "width": 8, "operator": {"local_attention": {"extent": [3, 31, 33], "heads": 2}}}
    space = SearchSpace.from_dict({"name": "same", "stem": {"conv3x3": {"width": 8}}, "stages": [stage]})
    given = SearchSpec.create(space, trials=3)
    designs = enqueued_designs(given, [{"stage1.local_attention.extent": extent} for extent in (3, 31, 33)])
    with Ledger(f"sqlite:///{tmp_path}/a.db") as ledger:
        search = open_search(given, ledger)
        assert search.enqueue(designs) == 2
        assert [search.ask().choices for _ in designs[:2]] == designs[:2]


def test_designs_for_which_the_search_has_no_trials_are_said(tmp_path):
    designs = [complete(), {**complete(), "stage1.width": 16}, {**complete(), "stage2.width": 16}]
    trials, notices = trained(tmp_path, designs, trials=2)
    assert trials == designs[:2]
    assert "1 of 3 enqueued designs not trained: the search has 2 trials in all" in notices
    trials, notices = trained(tmp_path, designs, trials=3)
    assert trials == designs
    assert not any("not trained" in notice for notice in notices)


def test_a_known_design_that_is_enqueued_is_proposed_once(tmp_path):
    given = SearchSpec.create("digits", trials=3)
    known = given.known_designs()[0]
    with Ledger(f"sqlite:///{tmp_path}/a.db") as ledger:
        search = open_search(given, ledger)
        assert search.enqueue([known.choices]) == 1
        started = [search.ask() for _ in range(3)]
        assert started[0].architecture.digest == known.architecture.digest
        assert search.index.duplicates == 0


def test_the_twin_of_a_trial_with_a_tuned_recipe_has_the_same_recipe(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    more = {"evaluate": attention_helps_late, "sampler": "random", "tune_recipe": True, "ledger": url, **LOCAL}
    search = run(two_stages(), trials=12, **more)
    with search.ledger as ledger:
        effects = search_effects(ledger, ledger.search("two"))
        choices = {trial.number: dict(trial.choices) for trial in search.trials()}
    made = [pair for each in effects.questions for pair in zip(each.designs, each.partners, strict=True)]
    assert made
    for design, partner in made:
        recipes = [
            {name: each[name] for name in each if name.startswith("recipe.")} for each in (design, choices[partner])
        ]
        assert recipes[0] == recipes[1] != {}
