"""The recipes: a name and rules give the settings that are not given, and a stored search keeps its numbers."""

import pytest
from support.fakes import tiny_space

from hybrid_search import Ledger, Settings, SpaceError
from hybrid_search._internal.recipes import FILLED, RECIPES
from hybrid_search.cli.options import changed_settings
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.search.opening import check_stored, open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.space import SearchSpace

CLASSIC = {
    "optimizer": "adamw", "learning_rate": 0.015, "weight_decay": 0.05, "warmup_epochs": 2.0, "label_smoothing": 0.1,
    "ema": 0.9,
}  # fmt: skip


def test_the_rate_follows_the_batch_and_the_warm_up_follows_the_epochs():
    rates = [Settings(batch_size=size).learning_rate for size in (32, 64, 1024)]
    assert rates == [0.02828, 0.04, 0.16]
    assert [Settings(epochs=epochs).warmup_epochs for epochs in (3, 12, 300)] == [0.6, 2.4, 5.0]
    assert Settings(recipe="paper", batch_size=4096, epochs=130).learning_rate == 1.6
    assert Settings(recipe="paper", batch_size=4096, epochs=130).warmup_epochs == 10.0


def test_another_optimizer_has_a_rate_of_its_own():
    assert Settings(optimizer="nesterov", batch_size=128).learning_rate == 0.2
    assert Settings(optimizer="adamw", batch_size=64).learning_rate == 0.015


@pytest.mark.parametrize("epochs", [1, 8, 300])
def test_classic_is_the_default_of_earlier_versions(epochs):
    settings = Settings(recipe="classic", batch_size=1000, epochs=epochs)
    assert {name: getattr(settings, name) for name in FILLED} == CLASSIC
    assert settings.digest == Settings(**CLASSIC, batch_size=1000, epochs=epochs).digest


def test_what_is_given_stays_and_the_rest_follows_every_change():
    settings = Settings(weight_decay=0.01)
    assert "weight_decay" not in settings.from_recipe
    larger = settings.with_(batch_size=256, learning_rate="recipe")
    assert (larger.learning_rate, larger.weight_decay) == (0.08, 0.01)
    assert larger.with_(recipe="classic").weight_decay == 0.05  # another recipe replaces all of it
    assert larger.with_(recipe="classic", ema=0.5).ema == 0.5


def test_stored_settings_are_numbers_that_no_later_recipe_changes():
    settings = Settings(recipe="paper", epochs=130)
    stored = settings.to_dict()
    assert "recipe" not in stored
    again = Settings.from_dict(stored)
    assert again == settings
    assert again.from_recipe == ()
    assert again.with_(batch_size=64).learning_rate == settings.learning_rate


def test_the_command_line_and_a_space_name_a_recipe():
    base = Settings(warmup_epochs=3)
    assert changed_settings(base, {"recipe": "classic"}, ["ema=0.99"]) == Settings(recipe="classic", ema=0.99)
    assert changed_settings(base, {}, ["recipe=classic"]) == Settings(recipe="classic")
    space = {**tiny_space().to_dict(), "settings": {"recipe": "classic", "epochs": 2}}
    assert SearchSpace.from_dict(space).settings == Settings(recipe="classic", epochs=2)
    with pytest.raises(SpaceError, match=r"settings\.recipe must be one of short, classic, paper, modern; got 'old'"):
        SearchSpace.from_dict({**space, "settings": {"recipe": "old"}})
    with pytest.raises(SettingsError, match=r"recipe must be one of .*; got 'classi'"):
        changed_settings(base, {"recipe": "classi"}, None)


def test_a_recipe_that_replaces_settings_of_a_space_is_said():
    base, lines = Settings(learning_rate=0.02, ema=0.9), []
    changed_settings(base, {"recipe": "classic"}, ["ema=0.9"], lines.append)
    classic = Settings(recipe="classic").learning_rate
    assert lines == [
        f"recipe classic replaces settings of the space: learning_rate 0.02 (now {classic}). --set keeps a value"
    ]
    changed_settings(Settings(), {"recipe": "classic"}, [], lines.append)
    changed_settings(base, {"epochs": 3}, [], lines.append)
    assert len(lines) == 1


def test_a_search_of_an_earlier_default_keeps_its_recipe_and_says_so(tmp_path):
    def spec(**settings):
        return SearchSpec.create(tiny_space(), trials=2, settings=Settings(**settings))

    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        open_search(spec(**CLASSIC), ledger)
        line = check_stored(spec(), ledger)
        assert line is not None
        assert line.startswith("search tiny keeps the recipe that it began with: optimizer adamw (default now: muon)")
        assert open_search(spec(), ledger).spec.settings == Settings(**CLASSIC)
        assert check_stored(spec(**CLASSIC), ledger) is None
        with pytest.raises(LedgerError, match="optimizer is adamw"):
            check_stored(spec(recipe="paper"), ledger)
        with pytest.raises(LedgerError, match=r"learning_rate is 0\.015 \(got 0\.1\)"):
            check_stored(spec(learning_rate=0.1), ledger)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_gives_legal_settings_for_few_and_many_epochs(name):
    for batch_size, epochs in ((1, 1), (32, 3), (1024, 300), (65536, 1)):
        settings = Settings(recipe=name, batch_size=batch_size, epochs=epochs)
        assert 0 < settings.learning_rate <= 100
        assert settings.warmup_epochs <= max(2, epochs / 2)
