"""Recipes tuned with the architecture: sampled, recorded with the trial, used in training, not part of the digest."""

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.costs import simplified_for
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.known_designs import known_designs
from hybrid_search.spaces.recipe_tuning import recipe_choices, setting_choices, tunable, without_recipe

SPACE = tiny_space()
BOTH = ("learning_rate", "weight_decay")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def accuracy(trial):
    """Return an accuracy that depends on the recipe only; it is best at four times the default learning rate."""
    return 0.5 + 0.1 * trial.settings.learning_rate / 0.06


def play(ledger, trials=12, **more):
    options = {"settings": SPACE.settings.with_(recipe="classic"), **more}
    search = open_search(SearchSpec.create(SPACE, trials=trials, tune_recipe=True, **options), ledger)
    while (trial := search.ask()) is not None:
        search.tell(trial, Outcome("complete", {"accuracy": accuracy(trial)}))
    return ledger.read(reads.trials, search.record.id), search


def test_steps_are_even_in_the_logarithm_and_begin_with_the_value_of_the_recipe():
    recipe = Settings(learning_rate=0.015, weight_decay=0.05)
    assert setting_choices(recipe, "learning_rate") == (0.015, 0.00375, 0.0075, 0.03, 0.06)
    assert setting_choices(recipe, "weight_decay") == (0.05, 0.0125, 0.2)


def test_settings_that_are_zero_in_the_recipe_are_not_tuned():
    assert tunable(Settings()) == BOTH
    assert tunable(Settings(weight_decay=0.0)) == ("learning_rate",)
    with pytest.raises(
        SettingsError, match=r"tune_recipe \(--tune-recipe\) needs a learning rate or a weight decay above 0 to vary"
    ):
        SearchSpec.create(SPACE, trials=1, settings=Settings(learning_rate=0.0, weight_decay=0.0), tune_recipe=True)


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_every_sampler_tunes_and_trains_no_network_twice(ledger, sampler):
    trials, search = play(ledger, 9 if sampler == "gp" else 40, sampler=sampler)  # gp is slow
    assert len({trial.digest for trial in trials}) == len(trials) == (9 if sampler == "gp" else SPACE.size())
    recipes = {tuple(trial.settings[name] for name in BOTH) for trial in trials}
    assert len(recipes) > 1 or sampler == "grid"  # the grid trains each design once, with the recipe of the search
    assert search.record.tuned == BOTH


def test_a_trial_records_the_recipe_it_was_trained_with(ledger):
    seen = {}

    def evaluate(architecture, settings):
        seen[architecture.digest] = settings
        yield {"accuracy": 0.5}

    search = run(SPACE, trials=8, resources=Resources("local"), ledger=ledger, evaluate=evaluate, tune_recipe=True)
    for trial in ledger.read(reads.trials, search.record.id):
        used = seen[trial.digest]
        assert Settings.from_dict(trial.settings) == used
        assert dict(recipe_choices(trial.choices)) == {f"recipe.{name}": getattr(used, name) for name in BOTH}
        assert (used.digest == search.record.settings.digest) == all(
            getattr(used, name) == getattr(search.record.settings, name) for name in BOTH
        )
        assert "recipe" not in str(without_recipe(trial.choices))
    assert len({settings.digest for settings in seen.values()}) > 1


def test_known_designs_keep_the_recipe(ledger):
    trials, search = play(ledger, 4)
    known = [each.architecture.digest for each in known_designs(search.record)]
    assert [trial.digest for trial in trials[:2]] == known
    assert all(Settings.from_dict(trial.settings) == search.record.settings for trial in trials[:2])


def test_known_cost_learns_which_recipe_is_better(ledger):
    trials, _ = play(ledger, 12)
    assert [trial.settings["learning_rate"] for trial in trials[9:]] == [0.06] * 3


def test_a_resumed_search_has_the_proposals_of_an_uninterrupted_one(ledger):
    def proposals(name, targets):
        for target in targets:
            trials, _ = play(ledger, target, name=name)
        return [(trial.digest, recipe_choices(trial.choices)) for trial in trials]

    assert proposals("halves", (3, 9, 12)) == proposals("whole", (12,))


def test_an_unfinished_trial_is_retried_with_its_recipe(ledger):
    spec = SearchSpec.create(SPACE, trials=6, tune_recipe=True, known_designs=False, seed=3)
    lost = open_search(spec, ledger).ask()
    retried = open_search(spec, ledger).ask()
    assert (retried.number, retried.architecture, retried.settings) == (lost.number, lost.architecture, lost.settings)


def test_a_repeated_network_with_another_recipe_adds_only_measured_results_to_the_study(ledger):
    trials, search = play(ledger, 10, sampler="random", seed=1)
    measured = {(trial.digest, recipe_choices(trial.choices)): trial.measurements["accuracy"] for trial in trials}
    assert search.progress().duplicates > 0
    for trial in search.proposer.study.trials:
        if trial.values is not None:
            digest = simplified_for(SPACE.choose(FixedChoices(trial.params)), search.record.input_size).digest
            assert trial.values[0] == measured[digest, recipe_choices(trial.params)]


def test_a_tuned_search_has_another_spec(ledger):
    run(SPACE, trials=2, resources=Resources("local"), ledger=ledger, evaluate=scored())
    with pytest.raises(LedgerError, match=r"tuned is \(\) \(got \('learning_rate', 'weight_decay'\)\)"):
        run(SPACE, trials=4, resources=Resources("local"), ledger=ledger, evaluate=scored(), tune_recipe=True)
