"""The process of a proof imports no module of the user; loading and exporting ignore the state of the process."""

import contextlib
import json
import sys
from pathlib import Path

import pytest
import torch
from support.exports import network, prove_in_this_process, write_export

from hybrid_search.errors import SettingsError, UserError
from hybrid_search.export import export_model, export_network, load_exported, network_export
from hybrid_search.export.proof import Expected, Proof, prove
from hybrid_search.testing import ExportFormatContract

IMAGES = ExportFormatContract.images(4)
SHADOWS = ("numpy", "torch", "random", "json", "safetensors", "hybrid_search", "sitecustomize", "triton")


@pytest.fixture
def net(tmp_path):
    return write_export(tmp_path / "net")


def logits_of(model):
    with torch.inference_mode():
        return model(IMAGES)


def test_the_process_imports_no_module_of_the_current_folder_or_of_pythonpath(net, tmp_path, monkeypatch):
    for place in ("here", "listed"):
        (tmp_path / place).mkdir()
        for name in SHADOWS:
            (tmp_path / place / f"{name}.py").write_text(f"raise SystemExit('{name} of the user was imported')")
    monkeypatch.chdir("here")
    monkeypatch.setenv("PYTHONPATH", f":{tmp_path / 'listed'}:.:")
    monkeypatch.setenv("PYTHONSTARTUP", "json.py")
    monkeypatch.setattr(sys, "path", ["", ".", str(tmp_path / "here"), str(tmp_path / "listed"), *sys.path])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    proof = prove(net, "safetensors", Expected.of(network().model, IMAGES))
    assert (proof.max_difference, proof.equal_answers) == (0.0, 1.0)


def test_a_folder_that_the_process_cannot_load_is_one_line(net):
    (net / "model.safetensors").write_bytes(b"")
    with pytest.raises(
        UserError, match=r"must load in a new process; .* does not: an exported file must not be .*sha256"
    ) as error:
        prove(net, "safetensors", Expected(IMAGES, torch.zeros(4, 3), torch.zeros(4, 3)))
    assert "\n" not in str(error.value)


def test_a_process_that_cannot_start_is_one_line(net, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(UserError, match=r"must load in a new process; .* does not: No such file or directory"):
        prove(net, "safetensors", Expected(IMAGES, torch.zeros(4, 3), torch.zeros(4, 3)))


@pytest.mark.parametrize(("difference", "holds"), [(0.0, True), (1e-4, True), (2e-4, False), (float("nan"), False)])
def test_a_proof_holds_within_the_tolerance_and_never_for_nan(difference, holds):
    assert Proof(Path("net"), "safetensors", difference, 1.0, 16).holds is holds


def test_a_network_with_a_nan_is_not_exported(tmp_path, monkeypatch):
    monkeypatch.setattr(network_export, "prove", prove_in_this_process)
    broken = network()
    with torch.no_grad():
        broken.model.head.bias[0] = float("nan")
    with pytest.raises(
        UserError, match=r"logits of an exported model must be within 0\.0001, with equal predictions; .* logit nan"
    ):
        export_network(broken, tmp_path / "out", IMAGES)
    assert not (tmp_path / "out").exists()


# -- the state of the caller --


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference": torch.inference_mode,
    "no grad": torch.no_grad,
    "meta": lambda: torch.device("meta"),
    "deterministic": deterministic,
}


def state():
    """Return the parts of torch's state that the tests change, and its generator."""
    generator = torch.random.get_rng_state().tolist()
    flags = (torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"))
    deterministic = torch.are_deterministic_algorithms_enabled()
    return torch.get_default_dtype(), torch.get_default_device(), flags, deterministic, generator


@pytest.mark.parametrize("name", STATES)
def test_loading_ignores_the_state_of_the_process_and_restores_it(net, name):
    expected = logits_of(network().model)
    with STATES[name]():
        before = state()
        loaded = load_exported(net)
        assert state() == before
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    assert {value.device.type for value in loaded.parameters()} == {"cpu"}
    assert all(value.requires_grad and not value.is_inference() for value in loaded.parameters())
    assert not loaded.training
    assert torch.equal(logits_of(loaded), expected)


@pytest.mark.parametrize("name", STATES)
def test_exporting_ignores_the_state_of_the_process_and_restores_it(tmp_path, monkeypatch, name):
    monkeypatch.setattr(network_export, "prove", prove_in_this_process)
    trained = network()
    with STATES[name]():
        before = state()
        (proof,) = export_network(trained, tmp_path / "out", IMAGES)
        assert state() == before
    assert proof.max_difference == 0.0
    assert torch.equal(logits_of(load_exported(tmp_path / "out")), logits_of(trained.model))


# -- arguments of export_model --


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("a", "b")}, r"classes must have a name for each logit; got 2 names and logits of \(4, 3\)"),
        ({"mean": (0.5,)}, "mean must have a number for each of 2 channels; got 1"),
        ({"std": (0.5, 0.5, 0.5)}, "std must have a number for each of 2 channels; got 3"),
        ({"images": IMAGES[0]}, r"images must be floating-point numbers of \(n, 2, 12, 20\)"),
        ({"images": IMAGES[:0]}, "images must be"),
        ({"images": IMAGES[:, :1]}, "images must be"),
        ({"images": (IMAGES * 9).byte()}, r"got torch\.uint8 \(4, 2, 12, 20\)"),
        ({"formats": ()}, "formats must be a list of at least one export format"),
        ({"formats": "safetensors"}, "formats must be a list of at least one export format"),
    ],
)
def test_an_argument_that_does_not_fit_the_network_is_one_line_and_writes_nothing(tmp_path, changes, message):
    trained = network()
    given = {"input_size": trained.input_size, "classes": trained.classes, "mean": trained.mean, "std": trained.std}
    with pytest.raises(SettingsError, match=message):
        export_model(trained.model, trained.architecture, "out", **{**given, "images": IMAGES, **changes})
    assert list(tmp_path.iterdir()) == []


def test_a_format_named_twice_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(network_export, "prove", prove_in_this_process)
    proofs = export_network(network(), "out", IMAGES, ["safetensors", "safetensors"])
    assert [proof.format for proof in proofs] == ["safetensors"]
    assert list(json.loads(Path("out/manifest.json").read_text())["proof"]) == ["safetensors"]
