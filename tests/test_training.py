from itertools import pairwise

import pytest
import torch
from torch import nn

from hybrid_search.data import load
from hybrid_search.errors import NotFinite, SettingsError, TrialError
from hybrid_search.records import Settings
from hybrid_search.training.batches import Images, batch_edges
from hybrid_search.training.from_settings import (
    MovingAverage,
    device_of,
    learning_rate,
    make_optimizer,
    reproducible,
    seed_for,
)
from hybrid_search.training.loop import Trainer, score

CPU = torch.device("cpu")
SMALL = Settings(
    image_size=8,
    train_images=100,
    validation_images=50,
    epochs=3,
    batch_size=32,
    ema=0.0,
    label_smoothing=0.0,
    device="cpu",
)
FULL = SMALL.with_(optimizer="adamw", ema=0.9, augment="shift+flip", label_smoothing=0.1)


def net(seed=0):
    """Return a network of convolution, batch norm, dropout (which uses the global generator) and linear."""
    with reproducible(CPU, 1, seed):
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(128, 10)
        )


def trained(settings, seed=0):
    trainer = Trainer(net(seed), load(settings), settings)
    return trainer, list(trainer.run())


def same(a, b):
    assert a.keys() == b.keys()
    return all(torch.equal(a[name], b[name]) for name in a if name != "seconds")


def test_training_learns_digits_and_reports_every_epoch():
    settings = SMALL.with_(train_images=None, epochs=6, learning_rate=1e-2)
    trainer, epochs = trained(settings)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].accuracy > 0.9
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert epochs[-1].loss < 1
    assert trainer.seconds == pytest.approx(sum(epoch.seconds for epoch in epochs))
    assert all(0 < epoch.data_share < 1 for epoch in epochs)
    assert list(trainer.run()) == []


@pytest.mark.parametrize("settings", [SMALL, FULL, FULL.with_(optimizer="nesterov", learning_rate=0.1)])
def test_the_same_seed_gives_bitwise_equal_weights(settings):
    first, numbers = trained(settings)
    torch.manual_seed(123)  # the global seed has no effect
    second, again = trained(settings)
    assert same(first.state_dict(), second.state_dict())
    assert [(e.accuracy, e.loss, e.train_loss) for e in numbers] == [(e.accuracy, e.loss, e.train_loss) for e in again]
    other, _ = trained(settings.with_(seed=1))
    assert not same(first.state_dict(), other.state_dict())


@pytest.mark.parametrize("settings", [FULL, SMALL.with_(optimizer="nesterov"), FULL.with_(precision="fp16")])
@pytest.mark.parametrize("stop", [1, 2])
def test_a_resumed_run_is_bitwise_equal_to_an_uninterrupted_one(settings, stop):
    uninterrupted, numbers = trained(settings)
    first = Trainer(net(), load(settings), settings)
    for _ in range(stop):
        first.advance()
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    first.advance()  # more training must not change the saved state
    second = Trainer(net(seed=7), load(settings), settings)
    second.load_state_dict(saved)
    rest = list(second.run())
    assert [(e.accuracy, e.loss, e.train_loss) for e in rest] == [
        (e.accuracy, e.loss, e.train_loss) for e in numbers[stop:]
    ]
    assert same(uninterrupted.state_dict(), second.state_dict())


def test_safetensors_can_write_the_state():
    from safetensors.torch import load as read
    from safetensors.torch import save

    trainer = Trainer(net(), load(FULL), FULL)
    trainer.advance()
    again = Trainer(net(3), load(FULL), FULL)
    again.load_state_dict(read(save(trainer.state_dict())))
    assert same(trainer.state_dict(), again.state_dict())


def test_the_state_of_another_network_raises_an_error_and_changes_nothing():
    trainer = Trainer(net(), load(SMALL), SMALL)
    before = {name: value.clone() for name, value in trainer.state_dict().items()}
    for change in ({"model.0.weight": torch.zeros(4, 1, 3, 3)}, {"model.9.weight": torch.zeros(1)}):
        with pytest.raises(
            TrialError, match=r"must belong to the network that it resumes; it differs at model\.[09]\.weight"
        ):
            trainer.load_state_dict({**before, **change})
    with pytest.raises(TrialError, match="differs at epoch"):
        trainer.load_state_dict({name: value for name, value in before.items() if name != "epoch"})
    assert same(before, trainer.state_dict())


def test_training_restores_the_global_state_of_torch():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    threads, fill = torch.get_num_threads(), torch.utils.deterministic.fill_uninitialized_memory
    trained(FULL.with_(epochs=1, threads=threads + 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    assert torch.utils.deterministic.fill_uninitialized_memory == fill
    assert not torch.are_deterministic_algorithms_enabled()


class Explodes(nn.Module):
    """A network whose output is NaN from the third batch on."""

    def __init__(self):
        super().__init__()
        self.inner, self.calls = net(), 0

    def forward(self, x):
        self.calls += 1
        return self.inner(x) * (float("nan") if self.calls > 2 else 1)


def test_a_nan_loss_stops_training_at_that_step():
    model = Explodes()
    trainer = Trainer(model, load(SMALL), SMALL)
    with pytest.raises(
        NotFinite, match=r"the training loss must be finite; step 3 of 12 gave nan.*learning_rate below"
    ):
        trainer.advance()
    assert model.calls == 3
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_large_learning_rate_and_nan_weights_raise_not_finite():
    settings = SMALL.with_(optimizer="nesterov", learning_rate=100.0, weight_decay=0.05, epochs=30, warmup_epochs=0.0)
    model = nn.Sequential(nn.Flatten(), *(nn.Linear(64, 64) for _ in range(6)), nn.Linear(64, 10))
    with pytest.raises(NotFinite, match="must be finite"):
        list(Trainer(model, load(settings), settings).run())
    with torch.no_grad():
        model[-1].bias.fill_(float("nan"))
    with pytest.raises(NotFinite, match="the loss on a split must be finite"):
        score(model, load(SMALL).validation, load(SMALL), SMALL)


@pytest.mark.parametrize(("count", "size"), [(65, 64), (64, 64), (5, 64), (2, 2), (3, 2), (1079, 32), (7, 3)])
def test_batches_contain_every_image_and_their_sizes_differ_by_one_at_most(count, size):
    edges = batch_edges(count, size)
    sizes = [stop - start for start, stop in pairwise(edges)]
    assert sum(sizes) == count
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_65_images_in_batches_of_64_can_be_trained_and_batches_of_one_raise_an_error():
    class Pooled(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(1), nn.Linear(1, 10)

        def forward(self, x):
            return self.head(self.norm(x.mean((2, 3))))

    settings = SMALL.with_(train_images=65, batch_size=64, epochs=1)
    assert Trainer(Pooled(), load(settings), settings).advance().epoch == 1
    for bad in (settings.with_(batch_size=1), settings.with_(train_images=11, batch_size=2)):
        with pytest.raises(SettingsError, match="batch_size must be at least"):
            Trainer(Pooled(), load(bad), bad)


def test_weight_decay_applies_to_convolutions_and_linear_layers_only():
    class WithTable(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.rel_row = net(), nn.Parameter(torch.ones(4, 4, 7))

    model = WithTable()
    groups = make_optimizer(model, SMALL.with_(optimizer="adamw")).param_groups
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert {id(p) for p in groups[0]["params"]} == {id(model.body[0].weight), id(model.body[5].weight)}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = SMALL.with_(epochs=10, learning_rate=1.0, warmup_epochs=2.0)
    rates = [learning_rate(settings, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10] == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.01
    assert learning_rate(settings.with_(warmup_epochs=0.0), 0, 5) == 1.0
    for long in (99.0, 1e6):
        assert learning_rate(settings.with_(warmup_epochs=long), 25, 5) == 1.0


def test_the_moving_average_includes_weights_and_batch_norm_statistics():
    model = net()
    average = MovingAverage(model, 0.5)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    average.update(model, 100)
    for name, value in average.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, start[name] + 0.5)
        else:
            assert value == start[name] + 1  # batches counted
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_order_and_augmentation_depend_on_seed_and_epoch_only():
    dataset = load(SMALL)
    images = Images(dataset.train, dataset, CPU)
    plan, again = (images.plan(Settings(augment="shift+flip", seed=3), 1) for _ in range(2))
    assert torch.equal(images.batch(plan, 0, 32)[0], images.batch(again, 0, 32)[0])
    orders = {tuple(images.plan(Settings(seed=seed), epoch).order.tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert len({seed_for("weights", 0), seed_for("weights", 1), seed_for("epoch", 0, 1)}) == 3


def test_a_batch_is_normalised_and_a_shift_is_a_padded_crop(tmp_path):
    import numpy as np

    x = np.random.default_rng(0).integers(0, 256, (40, 2, 16, 9), dtype=np.uint8)  # non-square
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(40) % 2)
    dataset = load(Settings(data="npz", data_dir=str(tmp_path / "x.npz")))
    images = Images(dataset.train, dataset, CPU)
    mean, std = (torch.tensor(values).view(1, 2, 1, 1) for values in (dataset.mean, dataset.std))
    raw = torch.from_numpy(dataset.train.images)

    plan = images.plan(Settings(), 0)
    got, labels = images.batch(plan, 3, 9)
    assert got.shape == (6, 2, 16, 9)
    torch.testing.assert_close(got, (raw[plan.order[3:9]] / 255 - mean) / std)
    assert torch.equal(labels, torch.from_numpy(dataset.train.labels)[plan.order[3:9]])

    plan = images.plan(Settings(augment="shift+flip"), 0)
    got = images.batch(plan, 0, 24)[0] * std + mean
    for n in range(24):
        image = raw[plan.order[n]] / 255
        image = image.flip(2) if plan.flip[n] else image
        down, across = int(plan.row_shift[n]), int(plan.col_shift[n])
        assert abs(down) <= 2
        assert abs(across) <= 1
        padded = nn.functional.pad(image, (1, 1, 2, 2))
        start = 1 + (-across if plan.flip[n] else across)
        torch.testing.assert_close(got[n], padded[:, 2 + down : 18 + down, start : start + 9], atol=1e-5, rtol=0)


def test_a_missing_device_raises_an_error():
    with pytest.raises(SettingsError, match="device must be one of auto, cpu, cuda, cuda:N; got 'tpu'"):
        device_of(SMALL.with_(device="tpu"))
    with pytest.raises(SettingsError, match=r"device must be one that torch sees here .*; got 'cuda:99'"):
        device_of(SMALL.with_(device="cuda:99"))
    assert device_of(SMALL) == CPU


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_works_on_a_cpu(precision):
    trainer, epochs = trained(SMALL.with_(precision=precision, epochs=2))
    assert all(parameter.dtype == torch.float32 for parameter in trainer.model.parameters())
    assert epochs[-1].loss < 10


def test_data_and_augmentation_take_at_most_a_tenth_of_the_time():
    """Use a network of realistic size; on the small one of the other tests, the share is meaningless."""
    from hybrid_search.networks.architecture import Architecture
    from hybrid_search.networks.model import build_model

    stage = {"operator": "conv", "depth": 1, "width": 16}
    model = build_model(Architecture.from_dict({"stem": {"kind": "conv3x3", "width": 8}, "stages": [stage]}), 1, 10)
    settings = Settings(train_images=256, epochs=1, augment="shift+flip", device="cpu")
    assert Trainer(model, load(settings), settings).advance().data_share < 0.1


def test_muon_orthogonalises_weights_and_leaves_depthwise_ones_norms_and_tables_to_adamw():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.Linear(20, 5))
    optimizer = make_optimizer(model, SMALL.with_(learning_rate=1.0, weight_decay=0.0))
    assert [group["muon"] for group in optimizer.param_groups] == [True, False, False]
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(model[0].weight), id(model[3].weight)]
    before = model[0].weight.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    step = (before - model[0].weight).detach().permute(0, 2, 3, 1).flatten(1) / (0.2 * 27**0.5)
    assert torch.linalg.svdvals(step) == pytest.approx(torch.ones(8), abs=0.35)
