import json
import pickle
import subprocess

import pytest
import safetensors
import safetensors.torch
import torch

import hybrid_search
from hybrid_search.data import load
from hybrid_search.errors import DataError, NotFinite, TrialError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.networks.model import build_model
from hybrid_search.objectives import MEASURED_BY_TRAINING
from hybrid_search.records import FailureKind, Settings
from hybrid_search.training import evaluation
from hybrid_search.training.evaluation import evaluate
from hybrid_search.training.facts import attention_backend, commit
from hybrid_search.training.failures import classify_failure
from hybrid_search.training.loop import Trainer, score
from hybrid_search.training.networks import build_network

ARCHITECTURE = Architecture.from_dict(
    {
        "stem": {"kind": "conv3x3", "width": 8},
        "stages": [
            {"operator": "conv", "depth": 1, "width": 8, "stride": 2},
            {"operator": "local_attention", "depth": 1, "width": 8, "stride": 2, "extent": 3, "heads": 2},
        ],
        "expansion": 2,
    }
)
SETTINGS = Settings(image_size=8, train_images=64, validation_images=30, epochs=2, batch_size=32, device="cpu", ema=0.9)


def test_every_epoch_yields_a_report_and_the_last_one_has_the_weights():
    first, last = evaluate(ARCHITECTURE, SETTINGS)
    assert (first.rung, first.last) == (1, False)
    assert (last.rung, last.last) == (2, True)
    shared = {"accuracy", "balanced_accuracy", "macro_f1", "loss", "train_loss", "flops", "params", "train_seconds"}
    assert set(first.measurements) == shared
    assert set(last.measurements) == shared | {"latency_ms"} == set(MEASURED_BY_TRAINING)
    assert first.weights is None
    costs = cost(ARCHITECTURE, (1, 8, 8), 10)
    assert (last.measurements["flops"], last.measurements["params"]) == (costs.flops, costs.params)
    assert 0 < first.measurements["train_seconds"] < last.measurements["train_seconds"]
    assert last.measurements["latency_ms"] > 0
    assert all(isinstance(value, float) for value in last.measurements.values())


def test_the_reported_weights_are_the_scored_weights(tmp_path):
    *_, last = evaluate(ARCHITECTURE, SETTINGS)
    model = build_model(ARCHITECTURE, 1, 10)
    model.load_state_dict(safetensors.torch.load(last.weights))
    dataset = load(SETTINGS)
    again = score(model.to(memory_format=torch.channels_last), dataset.validation, dataset, SETTINGS)
    assert again.accuracy == last.measurements["accuracy"]
    assert again.loss == last.measurements["loss"]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(last.weights)
    with safetensors.safe_open(path, "pt") as file:
        assert Architecture.from_dict(json.loads(file.metadata()["architecture"])) == ARCHITECTURE


def numbers(report):
    return {name: value for name, value in report.measurements.items() if name not in ("train_seconds", "latency_ms")}


def test_only_the_same_seed_gives_the_same_numbers_and_weights():
    first, second = list(evaluate(ARCHITECTURE, SETTINGS)), list(evaluate(ARCHITECTURE, SETTINGS))
    assert [numbers(e) for e in first] == [numbers(e) for e in second]
    assert first[-1].weights == second[-1].weights
    *_, other = evaluate(ARCHITECTURE, SETTINGS.with_(seed=1))
    assert other.weights != first[-1].weights


def test_a_resumed_evaluation_equals_an_uninterrupted_one():
    states = {}
    uninterrupted = list(
        evaluate(
            ARCHITECTURE, SETTINGS, keep=lambda rung, state: states.update({rung: safetensors.torch.save(state())})
        )
    )
    assert sorted(states) == [1, 2]
    (rest,) = evaluate(ARCHITECTURE, SETTINGS, resume=safetensors.torch.load(states[1]))
    assert rest.rung == 2
    assert numbers(rest) == numbers(uninterrupted[1])
    assert rest.weights == uninterrupted[1].weights


def test_an_abandoned_evaluation_leaves_the_global_state_unchanged():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    reports = evaluate(ARCHITECTURE, SETTINGS)
    next(reports)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.are_deterministic_algorithms_enabled()
    reports.close()


def test_the_facts_describe_data_settings_code_and_machine():
    first = next(evaluate(ARCHITECTURE, SETTINGS))
    facts = first.facts
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in facts.items())
    assert facts["data"] == "digits"
    assert facts["fingerprint"] == load(SETTINGS).fingerprint
    assert facts["settings"] == SETTINGS.digest
    assert facts["architecture"] == ARCHITECTURE.digest
    assert facts["torch"] == torch.__version__
    assert facts["hybrid-search"] == hybrid_search.__version__
    assert facts["device"] == "cpu"
    assert facts["precision"] == "fp32"
    assert facts["attention_backend"]
    for name in ("commit", "python", "host", "cpu", "threads"):
        assert facts[name], name
    pickle.loads(pickle.dumps(first))  # engines send it between processes  # noqa: S301


def test_the_commit_belongs_to_the_source_and_an_untracked_folder_in_a_repository_has_none(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    package = tmp_path / "package"
    package.mkdir()
    source = package / "facts.py"
    source.write_text("1")
    assert commit(package) == f"v{hybrid_search.__version__}"
    git("init")
    assert commit(package) == f"v{hybrid_search.__version__}"
    git("add", ".")
    git("commit", "-m", "one")
    assert len(commit(package)) == 12
    source.write_text("2")
    assert commit(package).endswith("-dirty")
    (tmp_path / "site-packages").mkdir()
    assert commit(tmp_path / "site-packages") == f"v{hybrid_search.__version__}"


def chained(outer, inner):
    try:
        raise outer from inner
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("exception", "kind"),
    [
        (NotFinite("loss"), "nan"),
        (MemoryError(), "oom"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"), "oom"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "oom",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), "oom"),
        (chained(TrialError("went wrong"), MemoryError()), "oom"),
        (TimeoutError(), "timeout"),
        (KeyboardInterrupt(), "pre-empted"),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), "bug"),
        (ValueError("about being out of memory"), "bug"),
    ],
)
def test_every_failure_has_a_kind(exception, kind):
    assert classify_failure(exception) == kind
    assert kind in FailureKind.__args__


def test_too_little_memory_is_a_trial_error_with_the_peak(monkeypatch):
    def allocate(self):
        torch.empty(1 << 46)

    monkeypatch.setattr(Trainer, "advance", allocate)
    with pytest.raises(
        TrialError, match=r"not enough memory for .* in batches of 32, at a peak of \d+\.\d+ GiB"
    ) as caught:
        next(evaluate(ARCHITECTURE, SETTINGS))
    assert classify_failure(caught.value) == "oom"
    assert classify_failure(pickle.loads(pickle.dumps(caught.value))) == "oom"  # noqa: S301


def test_a_nan_loss_stops_the_evaluation(monkeypatch):
    def broken(*arguments):
        model = build_network(*arguments)
        torch.nn.init.constant_(model.head.bias, float("nan"))
        return model

    monkeypatch.setattr(evaluation, "build_network", broken)
    with pytest.raises(NotFinite, match="step 1 of 4 gave nan"):
        next(evaluate(ARCHITECTURE, SETTINGS))


def test_an_unknown_data_set_remains_a_data_error():
    with pytest.raises(DataError, match="Did you mean 'digits'"):
        next(evaluate(ARCHITECTURE, SETTINGS.with_(data="digit")))


def test_a_network_without_attention_has_no_attention_backend():
    plain = Architecture.from_dict(
        {"stem": {"kind": "conv3x3", "width": 8}, "stages": [{"operator": "conv", "depth": 1, "width": 8}]}
    )
    assert attention_backend(plain, torch.device("cpu")) == ""
