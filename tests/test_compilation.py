"""torch.compile in training: the probe of `compile=auto`, with functions for its forms and a clock that they move."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from hybrid_search.data import load
from hybrid_search.errors import SettingsError
from hybrid_search.records import Settings
from hybrid_search.training import loop
from hybrid_search.training.compilation import FORMS, GRAPHS, Chosen, choose_form
from hybrid_search.training.evaluation import evaluate
from hybrid_search.training.loop import Trainer

SMALL = Settings(
    image_size=8, train_images=100, validation_images=50, epochs=2, batch_size=32, ema=0.0, device="cpu", threads=1
)
MANY = 1_000_000  # steps


class Clock:
    """A clock that stands still unless a pass moves it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Timed(nn.Module):
    """A network with batch norm; each pass takes some seconds of a clock."""

    def __init__(self, clock, seconds, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(dropout), nn.Flatten(), nn.Linear(4 * 6 * 4, 3)
        )
        self.clock, self.seconds = clock, seconds

    def forward(self, x):
        self.clock.now += self.seconds
        return self.layers(x)


def takes(clock, seconds, factor=1.0):
    """Return a form whose passes take so long and whose logits are those of the network times a factor."""

    def make(model):
        def forward(x):
            clock.now += seconds
            return factor * model.layers(x)

        return forward

    return make


def fails(model):
    def forward(x):
        raise RuntimeError("no compiler\nwith a second line")

    return forward


def probed(forms, steps=MANY, seconds=1.0, dropout=0.0):
    """Return what the probe chose for a network whose passes take a second, and the network."""
    torch.manual_seed(0)
    clock = Clock()
    model = Timed(clock, seconds, dropout)
    made = {name: form if form is fails else takes(clock, *form) for name, form in forms.items()}
    images = torch.randn(5, 1, 8, 6)
    return choose_form(model, images, steps, nullcontext, made, clock), model


def test_the_fastest_form_with_the_same_logits_is_chosen_and_every_time_is_said():
    chosen, model = probed({"slow": (0.9,), "fast": (0.25,), "middle": (0.5,)})
    assert chosen.reason == "fast: 1000.0 ms a step, slow 900.0 ms, fast 250.0 ms, middle 500.0 ms"
    before = model.clock.now
    chosen.forward(torch.randn(5, 1, 8, 6))
    assert model.clock.now - before == pytest.approx(0.25)


def test_a_gain_below_five_percent_compiles_nothing():
    chosen, model = probed({"form": (0.96,)})
    assert chosen == Chosen(model, "not compiled: 1000.0 ms a step, form 960.0 ms")
    assert probed({"form": (0.94,)})[0].reason.startswith("form: ")


def test_a_form_that_fails_is_left_out_and_said():
    chosen, _ = probed({"broken": fails, "good": (0.5,)})
    assert chosen.reason == "good: 1000.0 ms a step, broken failed (RuntimeError), good 500.0 ms"
    chosen, model = probed({"broken": fails})
    assert chosen == Chosen(model, "not compiled: 1000.0 ms a step, broken failed (RuntimeError)")


def test_a_form_that_cannot_be_made_is_left_out_and_said():
    def never(model):
        raise ImportError("no Triton")

    torch.manual_seed(0)
    clock = Clock()
    model = Timed(clock, 1.0)
    chosen = choose_form(model, torch.randn(5, 1, 8, 6), MANY, nullcontext, {"absent": never}, clock)
    assert chosen == Chosen(model, "not compiled: 1000.0 ms a step, absent failed (ImportError)")


@pytest.mark.parametrize("factor", [1.1, -1.0, float("nan"), float("inf")])
def test_other_logits_are_refused_however_fast_they_are(factor):
    chosen, model = probed({"wrong": (0.01, factor)})
    assert chosen == Chosen(model, "not compiled: 1000.0 ms a step, wrong has other logits")


def test_rounding_is_no_other_logit():
    assert probed({"rounded": (0.5, 1.01)})[0].reason.startswith("rounded: ")


@pytest.mark.parametrize(("factor", "expected"), [(1.0, "form: "), (float("nan"), "not compiled: ")])
def test_a_network_with_random_layers_only_needs_finite_logits(factor, expected):
    assert probed({"form": (0.5, factor)}, dropout=0.5)[0].reason.startswith(expected)


def test_few_steps_are_not_compiled_and_no_form_is_made():
    def never(model):
        raise AssertionError("a form was made")

    torch.manual_seed(0)
    clock = Clock()
    model = Timed(clock, 1.0)
    chosen = choose_form(model, torch.randn(5, 1, 8, 6), 119, nullcontext, {"form": never}, clock)
    assert chosen == Chosen(model, "not compiled: 119 steps of 1000.0 ms are too few")
    assert "too few" not in probed({}, steps=120)[0].reason


@pytest.mark.parametrize("forms", [{}, {"good": (0.5,)}, {"broken": fails}, {"wrong": (0.5, 2.0)}])
def test_weights_and_buffers_are_as_before_and_no_gradient_is_left(forms):
    torch.manual_seed(0)
    before = Timed(Clock(), 1.0).state_dict()
    _, model = probed(forms)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_buffers_are_as_before_if_the_network_itself_fails():
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x):
            self.norm(x)
            raise MemoryError

    model = Broken()
    with pytest.raises(MemoryError):
        choose_form(model, torch.randn(5, 1, 8, 6), MANY, nullcontext)
    assert (model.norm.running_mean.item(), model.norm.num_batches_tracked.item()) == (0, 0)


def net():
    """Return a network without a bias before batch norm: its gradient is rounding only, which Adam scales up."""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3, 2, 1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10))


def test_auto_on_a_cpu_compiles_nothing_and_the_weights_are_bitwise_those_without():
    results = []
    for compile_ in (False, "auto"):
        trainer = Trainer(net(), load(SMALL), SMALL.with_(compile=compile_))
        list(trainer.run())
        results.append(trainer.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0] if name != "seconds")
    assert trainer.facts["compiled"].startswith("not compiled: auto compiles on a GPU only")


@pytest.mark.parametrize(("accumulate", "batch", "graphs"), [(1, 25, True), (3, 8, False)])
def test_on_a_gpu_the_probe_gets_a_batch_the_number_of_passes_and_the_forms(monkeypatch, accumulate, batch, graphs):
    calls = []

    def noted(model, images, steps, precision, forms):
        calls.append((tuple(images.shape), steps, set(forms)))
        return Chosen(model, "noted")

    monkeypatch.setattr(loop, "choose_form", noted)
    trainer = Trainer(net(), load(SMALL), SMALL.with_(compile="auto", accumulate=accumulate))
    monkeypatch.setattr(torch, "randn", lambda size, device: torch.zeros(size))  # no GPU is needed
    trainer.device = torch.device("cuda")
    assert trainer._compiled().reason == "noted"
    assert calls == [((batch, 1, 8, 8), 4 * accumulate * 2, set(FORMS) if graphs else set(FORMS) - {GRAPHS})]


def test_the_setting_takes_auto_and_keeps_the_digests_of_true_and_false():
    assert SMALL.with_(compile=" AUTO").compile == "auto"
    assert SMALL.with_(compile="yes") == SMALL.with_(compile=True)
    assert SMALL.with_(compile="off").digest == SMALL.digest
    assert len({SMALL.with_(compile=each).digest for each in (False, True, "auto")}) == 3
    assert Settings.from_dict(SMALL.with_(compile="auto").to_dict()).compile == "auto"
    with pytest.raises(SettingsError, match="compile must be true, false or auto; got 'fast'"):
        SMALL.with_(compile="fast")


def test_the_facts_have_the_decision_only_if_compile_is_set():
    from hybrid_search.networks.references import reference

    settings = SMALL.with_(epochs=1)
    *_, plain = evaluate(reference("resnet-basic-16"), settings)
    *_, auto = evaluate(reference("resnet-basic-16"), settings.with_(compile="auto"))
    assert "compiled" not in plain.facts
    assert auto.facts["compiled"].startswith("not compiled")
    assert auto.measurements["loss"] == plain.measurements["loss"]


@pytest.mark.compiler
@pytest.mark.slow
def test_a_compiled_network_has_the_losses_of_the_network_without_it_but_for_rounding():
    losses = []
    for compile_ in (False, True):
        trainer = Trainer(net(), load(SMALL), SMALL.with_(compile=compile_))
        losses.append([number for epoch in trainer.run() for number in (epoch.train_loss, epoch.loss)])
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
    assert trainer.facts["compiled"] == "torch.compile"
