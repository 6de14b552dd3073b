"""Words of the field lead to the names of this package, and the difference is said where there is one."""

from dataclasses import fields

import pytest

from hybrid_search._internal.setting_rules import AUGMENTS, OPTIMIZERS, PRECISIONS, RULES
from hybrid_search.data.table import DATASETS
from hybrid_search.errors import SettingsError, nearest
from hybrid_search.errors.synonyms import DIFFERENCES, NO_SETTING, SYNONYMS
from hybrid_search.networks.stems import STEMS
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.ops import OPERATORS
from hybrid_search.ops.local_attention.options import POSITIONS
from hybrid_search.ops.operator import option_names
from hybrid_search.records import Resources, Settings
from hybrid_search.samplers import SAMPLERS
from hybrid_search.spaces.schema import SpaceForm, StageForm

SETTINGS = [each.name for each in fields(Settings)]
OPTIONS = [name for table in (OPERATORS, STEMS) for kind in table for name in option_names(table[kind])]
NAMES = {
    *SETTINGS, *(each.name for each in fields(Resources)), *SpaceForm.model_fields, *StageForm.model_fields, *OPTIONS,
    *OPERATORS, *STEMS, *OBJECTIVES, *SAMPLERS, *DATASETS, *OPTIMIZERS, *AUGMENTS, *PRECISIONS, *POSITIONS,
    "cuda", "kind",
}  # fmt: skip


def test_every_synonym_leads_to_a_name_that_exists():
    assert {name for names in SYNONYMS.values() for name in names} <= NAMES
    assert set(DIFFERENCES) <= set(SYNONYMS)
    assert not set(NO_SETTING) & set(SETTINGS)


def test_every_setting_has_a_rule_and_a_default_that_keeps_it():
    assert set(SETTINGS) == set(RULES)
    for name, value in Settings().to_dict().items():
        assert RULES[name].read(name, value) == value


WORDS = {"lr": "learning_rate", "LR": "learning_rate", "batch": "batch_size", "bs": "batch_size", "wd": "weight_decay",
         "epoch": "epochs", "img_size": "image_size", "img-size": "image_size", "optim": "optimizer",
         "Epochs": "epochs", "dataset": "data", "num_workers": "threads", "warmup": "warmup_epochs",
         "random_seed": "seed"}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_the_field_leads_to_the_setting(word):
    for refused in (
        lambda: Settings(**{word: 1}),
        lambda: Settings.from_dict({word: 1}),
        lambda: Settings().with_(**{word: 1}),
    ):
        with pytest.raises(
            SettingsError, match=rf"settings must have known names; got '{word}'\. Did you mean '{WORDS[word]}'\?"
        ):
            refused()


def test_a_setting_that_does_not_exist_says_where_its_value_comes_from():
    with pytest.raises(SettingsError, match=r"got 'classes'\. The number of classes comes from the data set\."):
        Settings(classes=10)
    with pytest.raises(
        SettingsError, match=r"got 'scheduler'\. The learning rate has a linear warm-up, then a cosine\."
    ):
        Settings(scheduler="cosine")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sgd", r"Did you mean 'nesterov'\? nesterov is SGD with Nesterov momentum 0.9\."),
        ("SGD", r"Did you mean 'nesterov'\? nesterov is SGD with Nesterov momentum 0.9\."),
        ("adam", r"Did you mean 'adamw'\? adamw is Adam with decoupled weight decay\."),
        ("AdamW", r"Did you mean 'adamw'\?$"),
    ],
)
def test_a_near_optimizer_is_refused_with_the_difference(given, message):
    with pytest.raises(SettingsError, match=message):
        Settings(optimizer=given)


def test_unknown_resources_name_the_nearest_one():
    with pytest.raises(
        SettingsError, match=r"resources must have known names; got 'worker'\. Did you mean 'workers'\?"
    ):
        Resources(worker=2)


def test_a_synonym_is_proposed_only_where_it_is_possible():
    assert nearest("kernel", ("extent", "heads")) == " Did you mean 'extent'?"
    assert nearest("kernel", ("kernel_size", "groups")) == " Did you mean 'kernel_size'?"
    assert nearest("kernel", ("kernels", "groups")) == " Did you mean 'kernels'?"
    assert nearest("lr", ("first", "second")) == ""
    assert nearest("classes", ("first", "second")) == ""
