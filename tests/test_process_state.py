"""The same network and settings give the same number whatever the program has set, and its state is restored."""

import random
import warnings
from contextlib import contextmanager, suppress

import numpy as np
import pytest
import safetensors.torch
import torch
from support.fakes import tiny_space

from hybrid_search import Ledger, Resources, Settings, run
from hybrid_search._internal.process_state import ProcessState, clean_process_state
from hybrid_search.data import load
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.networks.model import build_model
from hybrid_search.search.spec import SearchSpec
from hybrid_search.training.evaluation import evaluate
from hybrid_search.training.latency import latency_ms
from hybrid_search.training.loop import score

SETTINGS = Settings(train_images=64, validation_images=32, epochs=1, ema=0.0)
NETWORK = SearchSpec.create("digits", trials=1).known_designs()[1].architecture


@contextmanager
def changed(write, value, before):
    write(value)
    try:
        yield
    finally:
        write(before)


def attribute(owner, name, value):
    return changed(lambda one: setattr(owner, name, one), value, getattr(owner, name))


@contextmanager
def warnings_as_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@contextmanager
def one_backend_only(backend):
    """Set the precision of one backend, as torch 2.9 and later allow; `none` is the value of a fresh process."""
    with attribute(backend, "fp32_precision", "bf16"):
        yield


STATES = {
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "float64": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: changed(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "a default device": lambda: changed(torch.set_default_device, "meta", None),
    "a device block": lambda: torch.device("meta"),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "anomaly detection": lambda: changed(torch.set_anomaly_enabled, True, False),
    "medium products": lambda: changed(torch.set_float32_matmul_precision, "medium", "highest"),
    "products of one backend": lambda: one_backend_only(torch.backends.mkldnn.matmul),
    "convolutions of one backend": lambda: one_backend_only(torch.backends.mkldnn.conv),
    "no mkldnn": lambda: attribute(torch.backends.mkldnn, "enabled", False),
    "no nnpack": lambda: torch.backends.nnpack.flags(enabled=False),
    "one attention": lambda: torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
    "threads": lambda: changed(torch.set_num_threads, 2, torch.get_num_threads()),
    "a seed": lambda: changed(torch.manual_seed, 7, 0),
    "denormals are zero": lambda: changed(torch.set_flush_denormal, True, False),
    "numpy raises": lambda: np.errstate(all="raise"),
    "warnings are errors": warnings_as_errors,
}


def numbers():
    """Return the measurements of one training that do not depend on the clock, and its weights."""
    *_, last = evaluate(NETWORK, SETTINGS)
    timed = ("train_seconds", "latency_ms")
    weights = {name: value.tolist() for name, value in safetensors.torch.load(last.weights).items()}
    return {name: value for name, value in last.measurements.items() if name not in timed}, weights


@pytest.fixture(scope="module")
def expected():
    return numbers()


def present_state():
    """Return everything that a program may have set, as values that can be compared."""
    state = ProcessState.of_process()
    seeds = (state.generators["random"], bytes(state.generators["numpy"][1]), bytes(state.generators["torch"].numpy()))
    torch_state = (state.flags, state.inference, state.device, state.precision, torch.get_num_threads())
    return (*torch_state, state.numpy_errors, seeds, list(warnings.filters))


@pytest.mark.parametrize("name", STATES)
def test_a_training_gives_the_same_numbers_in_every_process_and_restores_its_state(name, expected):
    with STATES[name]():
        before = present_state()
        assert numbers() == expected
        assert present_state() == before


def test_each_of_these_states_differs_from_a_fresh_process():
    with clean_process_state():
        torch.manual_seed(0)
        fresh = present_state()
    for name, enter in STATES.items():
        with enter():
            assert present_state() != fresh, name


@pytest.mark.parametrize("name", ["float64", "a default device", "autocast", "inference mode", "medium products"])
def test_scores_and_latencies_need_no_state_of_the_process(name):
    dataset = load(SETTINGS)
    torch.manual_seed(0)
    model = build_model(NETWORK, 1, 10)
    expected = score(model, dataset.validation, dataset, SETTINGS)
    with STATES[name]():
        assert score(model, dataset.validation, dataset, SETTINGS) == expected
        assert latency_ms(model, dataset.input_size, SETTINGS) > 0


def test_a_block_has_the_defaults_of_torch_and_of_numpy():
    with (
        STATES["float64"](),
        torch.device("meta"),
        torch.inference_mode(),
        np.errstate(all="raise"),
        clean_process_state(),
    ):
        tensor = torch.ones(2, requires_grad=True)
        assert (tensor.dtype, tensor.device.type, tensor.is_inference()) == (torch.float32, "cpu", False)
        tensor.sum().backward()
        assert np.geterr() == {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def test_a_warning_that_would_be_an_error_is_a_warning():
    with warnings_as_errors(), clean_process_state(), warnings.catch_warnings(record=True) as seen:
        warnings.warn("seen", UserWarning, stacklevel=1)
    assert [str(one.message) for one in seen] == ["seen"]


def test_the_generators_of_the_caller_go_on_where_they_were_also_after_an_error():
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    expected = (random.random(), np.random.random(), torch.rand(1).item())
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    with suppress(ValueError), clean_process_state():
        random.seed(2)
        np.random.seed(2)
        torch.manual_seed(2)
        torch.set_default_dtype(torch.float64)
        raise ValueError
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected
    assert torch.get_default_dtype() == torch.float32


def test_a_block_continues_the_state_of_an_earlier_one():
    with clean_process_state():
        torch.set_grad_enabled(False)
        torch.manual_seed(5)
        torch.rand(3)
        earlier = ProcessState.of_process()
        expected = torch.rand(3)
    assert torch.is_grad_enabled()
    with clean_process_state(earlier):
        assert not torch.is_grad_enabled()
        assert torch.equal(torch.rand(3), expected)


def searched(path):
    """Return the trials of a small search with a surrogate model: designs and numbers."""
    with Ledger(f"sqlite:///{path}") as ledger:
        more = {"resources": Resources(engine="local"), "checkpoints": "none", "notice": lambda line: None}
        search = run(tiny_space(), trials=8, settings=SETTINGS.with_(train_images=32), ledger=ledger, **more)
        return [(trial.digest, trial.measurements["accuracy"], trial.measurements["loss"]) for trial in search.trials()]


def test_a_whole_search_is_the_same_in_every_process_and_restores_its_state(tmp_path):
    expected = searched(tmp_path / "fresh.db")
    with (
        warnings_as_errors(),
        np.errstate(all="raise"),
        STATES["float64"](),
        STATES["a default device"](),
        STATES["one attention"](),
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.no_grad(),
    ):
        before = present_state()
        assert searched(tmp_path / "other.db") == expected
        assert present_state() == before


def test_an_evaluation_of_the_user_starts_with_seeded_generators_and_its_threads(tmp_path):
    def evaluate(architecture, settings):
        drawn = [random.random(), np.random.random(), torch.rand(1).item()]
        torch.set_default_dtype(torch.float64)
        yield {"accuracy": sum(drawn) / 3}
        assert torch.get_default_dtype() == torch.float64
        yield {"accuracy": torch.rand(1).item() / torch.get_num_threads()}

    def curve():
        runner = TrialRunner(evaluate, NETWORK, Settings(seed=3, threads=2))
        return [runner.advance().measurements["accuracy"] for _ in range(2)]

    expected = curve()
    torch.manual_seed(99)
    random.seed(99)
    with STATES["a device block"](), STATES["a seed"]():
        before = present_state()
        assert curve() == expected
        assert present_state() == before
