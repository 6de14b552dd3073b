"""`train` for designs without a search: references, files, initial weights, teachers; and the parts of its recipes."""

import importlib.util
import json
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from hybrid_search import Settings, build_model, cli, reference
from hybrid_search.data import load
from hybrid_search.errors import NotFinite, SettingsError, UnknownName
from hybrid_search.export import export_model, export_training, load_exported
from hybrid_search.export.exported_teacher import find_teacher
from hybrid_search.export.initial_weights import InitialWeights
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.trainings import trainings
from hybrid_search.runs.train import train
from hybrid_search.training.loop import Trainer
from hybrid_search.training.losses import Losses, distillation_loss
from hybrid_search.training.mixing import Mixer
from hybrid_search.training.teachers import timm_teacher

needs_timm = pytest.mark.skipif(
    not importlib.util.find_spec("timm"), reason='timm is not installed: pip install "hybrid-search[timm]"'
)
DATA = {"data": "digits", "train_images": 80, "validation_images": 40, "batch_size": 16}
SMALL = {"epochs": 1, "notice": lambda line: None}
DESIGN = "resnet-basic-4"


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


@pytest.fixture
def exported(tmp_path, _proof_in_this_process):
    """Return a folder with a network of 8 x 6 images and classes that are not those of digits."""
    dataset = load(Settings(**DATA))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(reference(DESIGN), 1, 3)
    export_model(
        model, reference(DESIGN), tmp_path / "exported", input_size=(1, 16, 16), classes=("a", "b", "c"),
        mean=dataset.mean, std=dataset.std, images=torch.zeros(2, 1, 16, 16),
    )  # fmt: skip
    return tmp_path / "exported"


def trained(ledger, design=DESIGN, **changes):
    return train(design, settings={**DATA, **changes.pop("settings", {})}, ledger=ledger, **{**SMALL, **changes})


@pytest.mark.usefixtures("_proof_in_this_process")
def test_a_reference_is_trained_without_a_search_and_exported(ledger, tmp_path):
    record = trained(ledger).record
    assert ledger.read(trainings, None) == [record]
    assert (record.search_id, record.trial, record.design, record.recipe) == (None, None, DESIGN, "short")
    assert trained(ledger).was_complete
    export_training(ledger, record.number, tmp_path / "out")
    assert load_exported(tmp_path / "out")
    assert "Resnet-basic-4, trained in full with recipe short" in (tmp_path / "out" / "README.md").read_text()


def test_a_design_creates_its_database_and_a_file_is_a_design(tmp_path, capsys):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(reference(DESIGN).to_dict()))
    options = [each for name, value in DATA.items() if name != "data" for each in ("--set", f"{name}={value}")]
    command = ["train", str(file), "--data", "digits", "--epochs", "1", "--format", "json", *options]
    assert cli.run([*command, "--db", f"sqlite:///{tmp_path}/new.db"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["design"] == str(file)


@pytest.mark.parametrize(
    ("design", "changes", "message"),
    [
        (DESIGN, {"settings": {"data": None}}, "data must be text"),
        (DESIGN, {"pick": "knee"}, r"pick \(--pick\) must be given with a search"),
        ("resnet-basic", {}, r"a design must be a reference .*; got 'resnet-basic'"),
        (DESIGN, {"init_from": "nothing"}, "an exported network must be a folder"),
        (DESIGN, {"teacher": "nothing"}, "an exported network must be a folder"),
        (DESIGN, {"settings": {"accumulate": 9}}, r"accumulate must leave 2 images in each part.* got 9"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_stored(ledger, design, changes, message):
    with pytest.raises((SettingsError, UnknownName, ValueError), match=message):
        trained(ledger, design, **changes)
    assert ledger.read(trainings, None) == []


def test_a_design_without_data_is_refused(ledger):
    with pytest.raises(SettingsError, match="a design must be trained on data; got none for resnet-basic-4"):
        train(DESIGN, ledger=ledger)


def test_initial_weights_for_other_classes_get_a_new_classifier_and_say_so(ledger, exported):
    said = []
    record = trained(ledger, None, init_from=exported, notice=said.append).record
    assert any("initial weights: a new classifier for 10 classes" in line for line in said)
    assert len(record.options["init_from"]) == 16
    with pytest.raises(SettingsError, match="must be a network with the layers of the design"):
        trained(ledger, "mobilenet-8", init_from=exported)


def test_initial_weights_are_copied_and_tables_are_interpolated(exported):
    weights = InitialWeights.of(exported)
    model = build_model(reference(DESIGN), 1, 3)
    weights.load_into(model, ("a", "b", "c"))
    again = load_exported(exported).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())

    class Table(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.table = nn.Parameter(torch.linspace(0, 1, size).repeat(2, 1))

    from hybrid_search.export.initial_weights import _interpolated

    assert torch.allclose(_interpolated(Table(5).table, Table(9).table), Table(9).table)
    assert any("images of 20x20 pixels" in line for line in weights.notes(reference(DESIGN), (1, 20, 20), ("a",)))


def test_a_teacher_must_have_the_classes_of_the_data(ledger, exported):
    with pytest.raises(SettingsError, match=r"a teacher must have the 10 classes of the data; the one in .* lacks '0'"):
        trained(ledger, teacher=exported)


@pytest.mark.usefixtures("_proof_in_this_process")
def test_a_teacher_changes_the_training_and_is_part_of_its_identity(ledger, tmp_path):
    first = trained(ledger).record
    export_training(ledger, first.number, tmp_path / "teacher")
    dataset = load(Settings(**DATA))
    teacher, _ = find_teacher(str(tmp_path / "teacher"), dataset)
    x = torch.randn(3, *dataset.input_size)
    assert torch.allclose(teacher(x), load_exported(tmp_path / "teacher")(x), atol=1e-5)
    second = trained(ledger, teacher=tmp_path / "teacher").record
    assert second.uid != first.uid
    assert second.measurements["train_loss"] != first.measurements["train_loss"]


@needs_timm
def test_a_teacher_of_timm_with_other_classes_or_another_name_is_refused():
    with pytest.raises(SettingsError, match="a teacher must have the 10 classes of the data; resnet18 has 1000"):
        timm_teacher("resnet18", 10)
    with pytest.raises(UnknownName, match=r"teacher must be timm:NAME .*Did you mean 'resnet18'"):
        timm_teacher("resnet18x", 10)


# -- the parts of recipes --


def test_the_recipe_modern_fills_mixup_and_others_leave_it_off():
    modern = Settings(recipe="modern")
    assert (modern.mixup, modern.cutmix, modern.stochastic_depth) == (0.1, 1.0, 0.05)
    assert (modern.trivial_augment, modern.random_erasing) == (1.0, 0.25)
    assert modern.with_(recipe="short") == Settings()
    assert Settings(stochastic_depth=0.3).with_(recipe="classic").stochastic_depth == 0.3
    assert Settings(recipe="modern", mixup=0).with_(epochs=50).mixup == 0
    assert "mixup" not in Settings().to_dict()
    assert Settings.from_dict(modern.to_dict()) == modern


@pytest.mark.parametrize("recipe", ["short", "classic", "paper", "modern"])
def test_the_recipe_of_stored_settings_is_found_and_fills_again(recipe):
    stored = Settings.from_dict(Settings(recipe=recipe, epochs=3).to_dict())
    assert stored.with_recipe_found() == stored
    assert stored.with_recipe_found().with_(epochs=100) == Settings(recipe=recipe, epochs=100)
    kept = Settings.from_dict(Settings(recipe=recipe, epochs=3, weight_decay=0.123).to_dict())
    assert kept.with_recipe_found().with_(epochs=100).weight_decay == 0.123


def test_mixed_images_keep_their_sum_of_labels_and_depend_on_seed_and_epoch_only():
    settings = Settings(mixup=0.4, cutmix=1.0, seed=3)
    shares = set()
    for epoch in range(12):
        x = torch.arange(7.0).view(7, 1, 1, 1).expand(7, 2, 6, 8).clone()
        mixed, share = Mixer(settings, epoch).mix(x.clone())
        again, _ = Mixer(settings, epoch).mix(x.clone())
        assert torch.equal(mixed, again)
        assert 0 <= share <= 1
        assert torch.allclose(mixed.mean((1, 2, 3)), share * x[:, 0, 0, 0] + (1 - share) * x.flip(0)[:, 0, 0, 0])
        shares.add(share)
    assert len(shares) > 8
    assert Mixer(Settings(), 0).mix(x)[1] == 1.0


def losses_after(**changes):
    settings = Settings(**DATA, epochs=1, threads=1, **changes)
    dataset = load(settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(reference(DESIGN), 1, 10)
    trainer = Trainer(model, dataset, settings)
    return trainer.advance().train_loss, model


def test_gradients_of_the_parts_of_a_batch_add_up_without_batch_norm(monkeypatch):
    monkeypatch.setattr(nn.BatchNorm2d, "forward", lambda self, x: x * 0.5)
    whole, one = losses_after()
    parts, two = losses_after(accumulate=4)
    assert whole == pytest.approx(parts, rel=1e-4)
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.allclose(a.float(), b.float(), atol=1e-3) for a, b in pairs)


@needs_timm
def test_lamb_of_timm_continues_with_its_count_of_steps():
    settings = Settings(**DATA, epochs=2, optimizer="lamb", threads=1)
    dataset = load(settings)

    def trainer():
        torch.manual_seed(0)
        return Trainer(build_model(reference(DESIGN), 1, 10), dataset, settings)

    with torch.random.fork_rng():
        whole, first, second = trainer(), trainer(), trainer()
    numbers = [epoch.loss for epoch in whole.run()]
    first.advance()
    second.load_state_dict(first.state_dict())
    assert second.advance().loss == numbers[1]


def test_a_loss_on_a_gpu_is_read_after_twenty_steps():
    losses = Losses(Settings(), SimpleNamespace(type="cpu"), 0, 100)
    losses._sum = torch.zeros((), dtype=torch.float64)  # as on a GPU
    for _ in range(3):
        losses.add(torch.tensor(float("nan")), 4)
        losses.end_step()
    for _ in range(16):
        losses.add(torch.tensor(1.0), 4)
        losses.end_step()
    with pytest.raises(NotFinite, match=r"one of the 20 steps up to 20 of 100 was not\. A learning_rate below"):
        losses.end_step()


def test_distillation_is_zero_for_equal_logits_and_positive_otherwise():
    logits = torch.randn(5, 3)
    assert distillation_loss(logits, logits).item() == pytest.approx(0, abs=1e-6)
    assert distillation_loss(logits, logits.flip(1)).item() > 0
