"""Objects of a program that are registered by name: operators, blocks, stems, data sets and export formats."""

import pytest
from support.own_objects import SIZE, Listed, own_block, own_dataset, own_operator, own_stem

from hybrid_search import build_model, cost, export_model
from hybrid_search.data import DATASETS, load
from hybrid_search.errors import LedgerError, PluginError
from hybrid_search.export import EXPORT_FORMATS
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.stems import STEMS
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.ops import OPERATORS
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.samplers import SAMPLERS
from hybrid_search.spaces.space import SearchSpace

SETTINGS = Settings(data="gradients", epochs=1, batch_size=16)
LOCAL = Resources("local")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    """Register one object in every table, until the end of a test."""
    for table in (OPERATORS, BLOCKS, STEMS, DATASETS, EXPORT_FORMATS):
        monkeypatch.setattr(table, "_registered", {})
    OPERATORS.register("largest", own_operator())
    BLOCKS.register("enter", own_block())
    STEMS.register("pointwise", own_stem())
    DATASETS.register("gradients", own_dataset())


def own_space(**stage):
    operator = {"largest": {}, "conv": {"kernel_size": [3]}}
    stages = [{"depth": [1, 2], "width": [4, 8], "block": "enter", "operator": operator, **stage}]
    return SearchSpace.from_dict({"name": "own", "stem": {"pointwise": {"width": 8}}, "stages": stages})


def search(url, trials=2, **more):
    return run(own_space(), trials=trials, ledger=url, settings=SETTINGS, resources=LOCAL, **more)


def scored(architecture, settings):
    yield {"accuracy": int(architecture.digest[:4], 16) / 65536}


def test_a_search_trains_and_exports_networks_of_registered_objects(tmp_path):
    found = search(f"sqlite:///{tmp_path}/l.db")
    assert found.progress().counts["complete"] == 2
    architecture = next(stored_architecture(t.architecture) for t in found.trials() if "largest" in str(t.architecture))
    assert cost(architecture, SIZE, 2).flops == found.spec.cost(architecture)["flops"]
    model, data = build_model(architecture, SIZE[0], 2), load(SETTINGS)
    about = {"input_size": SIZE, "classes": data.classes, "mean": data.mean, "std": data.std}
    import torch

    images = torch.from_numpy(data.validation.images[:4]).float()
    (proof,) = export_model(model, architecture, tmp_path / "out", images=images, formats=[Listed()], **about)
    assert proof.holds
    assert torch.equal(EXPORT_FORMATS["listed"].load(tmp_path / "out")(images), model(images))


@pytest.mark.parametrize(
    ("table", "name", "thing", "message"),
    [
        (OPERATORS, "conv", own_operator(), "a registered operator must have a new name; got 'conv', which hybrid_sea"),
        (OPERATORS, "largest", own_block(), "a registered operator must have a new name; got 'largest', which the ope"),
        (BLOCKS, "own", own_operator(), "block 'own' must have the methods"),
        (STEMS, "other", own_stem(), "stem 'other' must have a class constant kind equal to its name"),
        (DATASETS, "other", own_dataset(), "name of a Source must be its name in the table, 'other'; got 'gradients'"),
        (EXPORT_FORMATS, "a b", Listed(), r"must be a letter, then letters, digits, '_', '.' or '-'; got 'a b'"),
        (SAMPLERS, "mine", print, "sampler objects have no registered names; got 'mine'. Pass the object itself"),
    ],
)
def test_a_wrong_object_and_a_taken_name_are_refused(table, name, thing, message):
    with pytest.raises(PluginError, match=message):
        table.register(name, thing)
    assert table.registered().get(name) is not thing


def test_an_object_that_is_defined_again_takes_the_place_of_the_first():
    architecture = next(iter(own_space(operator="largest", depth=1, width=4).enumerate()))
    again = own_operator(kernel=3)
    OPERATORS.register("largest", again)
    assert OPERATORS["largest"] is again
    assert build_model(architecture, 1, 2).stages[0][0].operator.kernel_size == 3


def test_an_operator_of_one_block_is_stored_with_the_search(tmp_path):
    stage = {"depth": 1, "width": [4, 8], "by_block": {"enter": {"largest": {}}}}
    space = SearchSpace.from_dict({"name": "own", "stem": {"pointwise": {"width": 8}}, "stages": [stage]})
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:
        run(space, trials=1, ledger=ledger, settings=SETTINGS, resources=LOCAL, evaluate=scored)
        stored = ledger.read(reads.registered_objects, ledger.search().id)
    assert sorted(stored) == ["block enter", "data gradients", "operator largest", "stem pointwise"]


def test_two_objects_under_one_name_share_no_search(tmp_path):
    url = f"sqlite:///{tmp_path}/l.db"
    search(url, evaluate=scored)
    with Ledger(url) as ledger:
        stored = ledger.read(reads.registered_objects, ledger.search().id)
    assert sorted(stored) == ["block enter", "data gradients", "operator largest", "stem pointwise"]
    OPERATORS.register("largest", own_operator())  # the same code
    assert search(url, 3, evaluate=scored).progress().counts["complete"] == 3
    OPERATORS.register("largest", own_operator(kernel=3))
    message = r"operator largest is the registered object #[0-9a-f]{12}@[\d.]+ \(got the registered object #"
    with pytest.raises(LedgerError, match=message):
        search(url, 4, evaluate=scored)
    with pytest.raises(LedgerError, match=message):
        confirm(ledger=url, evaluate=scored, resources=LOCAL)
    OPERATORS._registered.clear()
    with pytest.raises(PluginError, match="not installed here, or from an object that is not registered here"):
        confirm(ledger=url, evaluate=scored, resources=LOCAL)
