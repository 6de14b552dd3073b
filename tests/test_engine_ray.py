"""Engine `ray` alone: dead and silent workers, resources of a trial, no worker left after the driver."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.fakes import checkpoint_every_rung, resumable, scored, tiny_space
from support.killing import marked
from support.own_objects import own_dataset, own_operator

from hybrid_search.data import DATASETS
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ops import OPERATORS
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run

SPACE = tiny_space()
WORKERS_GONE_SECONDS = 10.0  # after which a killed driver has left no worker; Ray's agents may take 90 s


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    import ray

    ray.init(
        "local", num_cpus=2, num_gpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20
    )
    yield
    ray.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def test_workers_get_registered_objects_by_value(ledger, monkeypatch):
    for table, name, thing in ((OPERATORS, "largest", own_operator()), (DATASETS, "gradients", own_dataset())):
        monkeypatch.setattr(table, "_registered", {})
        table.register(name, thing)
    space = tiny_space(stages=[{"depth": 1, "width": 8, "operator": "largest"}])
    settings = Settings(data="gradients", epochs=1, batch_size=16)
    local = Resources("ray", workers=1, gpus_per_trial=0)
    assert run(space, trials=1, settings=settings, resources=local, ledger=ledger).progress().counts["complete"] == 1


@pytest.mark.faults
def test_a_trial_whose_worker_dies_is_retried_on_another_worker(ledger, tmp_path):
    mark = tmp_path / "died"

    def evaluate(architecture, settings):
        import os

        yield {"accuracy": 0.1}
        if not mark.exists():
            mark.touch()
            os._exit(9)
        yield {"accuracy": 0.5}

    run(SPACE, trials=4, resources=Resources("ray", workers=1, gpus_per_trial=0), ledger=ledger, evaluate=evaluate)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [(t.state, t.attempt) for t in trials] == [("complete", 2), *[("complete", 1)] * 3]
    assert [rung for rung, _ in ledger.read(reads.curve, trials[0].id)] == [1, 2]


def test_a_trial_whose_worker_dies_resumes_from_its_checkpoint(ledger, tmp_path):
    mark = tmp_path / "died"

    def before(rung, resumed):
        import os

        assert not (resumed and rung < 3)
        if rung == 3 and not mark.exists():
            mark.touch()
            os._exit(9)

    options = {
        "resources": Resources("ray", workers=1, gpus_per_trial=0),
        "ledger": ledger,
        "watch": checkpoint_every_rung,
    }
    run(SPACE, trials=2, evaluate=resumable(before=before), **options)
    first, second = ledger.read(reads.trials, ledger.search().id)
    assert [(t.state, t.attempt, t.facts.get("resumed")) for t in (first, second)] == [
        ("complete", 2, "rung 2"),
        ("complete", 1, None),
    ]
    assert [rung for rung, _ in ledger.read(reads.curve, first.id)] == [1, 2, 3, 4]


def test_a_confirmation_survives_a_worker_that_dies(ledger, tmp_path):
    mark = tmp_path / "died"

    def evaluate(architecture, settings):
        import os

        if settings.seed and not mark.exists():
            mark.touch()
            os._exit(9)
        yield {"accuracy": int(architecture.digest[:4], 16) / 65536 + settings.seed / 1000}

    run(SPACE, trials=3, resources=Resources("local"), ledger=ledger, evaluate=evaluate)
    before = {
        trial.number: ledger.read(reads.curve, trial.id) for trial in ledger.read(reads.trials, ledger.search().id)
    }
    confirmation = confirm(
        resources=Resources("ray", workers=1, gpus_per_trial=0), ledger=ledger, evaluate=evaluate, seeds=2, trials=12
    )
    assert mark.exists()
    assert confirmation.failures == []
    repeats = ledger.read(reads.repeats, confirmation.record.id)
    assert all(len(repeats[number].fresh) >= 2 for number in confirmation.front())
    trials = ledger.read(reads.trials, confirmation.record.id)
    assert [trial.attempt for trial in trials] == [1, 1, 1]
    assert {trial.number: ledger.read(reads.curve, trial.id) for trial in trials} == before


@pytest.mark.faults
def test_a_trial_that_kills_every_worker_fails_as_lost(ledger):
    def evaluate(architecture, settings):
        import os

        if architecture.stages[0].operator == "conv":
            os._exit(9)
        yield {"accuracy": 0.5}

    run(
        SPACE,
        trials=12,
        resources=Resources("ray", workers=2, gpus_per_trial=0),
        ledger=ledger,
        evaluate=evaluate,
        seed=1,
    )
    trials = ledger.read(reads.trials, ledger.search().id)
    lost = [t for t in trials if t.architecture["stages"][0]["operator"] == "conv"]
    assert {(t.state, t.failure_kind, t.attempt) for t in lost} == {("failed", "lost", 3)}
    assert all(t.state == "complete" for t in trials if t not in lost)


def test_a_worker_that_hangs_is_killed_and_its_late_result_is_not_accepted(ledger):
    def evaluate(architecture, settings):
        import os
        import time

        yield {"accuracy": 0.1, "train_seconds": float(os.getpid())}
        time.sleep(0.5)
        yield {"accuracy": 0.5, "train_seconds": float(os.getpid())}

    hung = []

    def watch(search, context):
        def event(kind, number):
            if kind == "report" and not hung:
                trial = ledger.read(reads.trial, search.record.id, number)
                hung.append(dict(ledger.read(reads.curve, trial.id))[1]["train_seconds"])
                os.kill(int(hung[0]), signal.SIGSTOP)

        context.on_event = event

    more = {"resources": Resources("ray", workers=1, gpus_per_trial=0, lease_seconds=1.5)}
    run(SPACE, trials=2, ledger=ledger, evaluate=evaluate, watch=watch, **more)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [(trial.state, trial.attempt) for trial in trials] == [("complete", 2), ("complete", 1)]
    assert hung[0] not in [trial.measurements["train_seconds"] for trial in trials]
    assert [failed.text for failed in ledger.read(reads.failures, ledger.search().id)] == [
        "its worker was silent for 1.5 s"
    ]


@pytest.mark.slow
def test_a_slow_driver_does_not_count_its_own_time_as_silence_of_its_workers(ledger):
    def evaluate(architecture, settings):
        for _ in range(2):
            time.sleep(0.1)
            yield {"accuracy": 0.5}

    def watch(search, context):
        context.on_event = lambda kind, number: time.sleep(1.5) if kind == "report" else None

    more = {"resources": Resources("ray", workers=2, gpus_per_trial=0, timeout_seconds=1.0), "watch": watch}
    run(SPACE, trials=4, ledger=ledger, evaluate=evaluate, **more)
    assert [(t.state, t.attempt) for t in ledger.read(reads.trials, ledger.search().id)] == [("complete", 1)] * 4


def meeting(folder, count):
    """Return an evaluation that measures how many workers have begun, once they are `count`; it waits for a minute."""
    folder.mkdir()

    def evaluate(architecture, settings):
        (folder / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while len(list(folder.iterdir())) < count and time.monotonic() < end:
            time.sleep(0.02)
        yield {"accuracy": 0.5, "train_seconds": len(list(folder.iterdir()))}

    return evaluate


def test_workers_that_need_no_resources_are_as_many_as_requested(ledger, tmp_path):
    def watch(search, context):
        context.notice = said.append

    said = []
    more = {"resources": Resources("ray", workers=3, cpus_per_trial=0, gpus_per_trial=0), "watch": watch}
    run(SPACE, trials=6, ledger=ledger, evaluate=meeting(tmp_path / "begun", 3), **more)
    assert {trial.measurements["train_seconds"] for trial in ledger.read(reads.trials, ledger.search().id)} == {3}
    assert not [line for line in said if "the cluster has room" in line]


def test_a_rung_that_takes_too_long_fails_its_trial_and_not_the_search(ledger):
    def evaluate(architecture, settings):
        import time

        time.sleep(60.0 if architecture.stages[0].operator == "conv" else 0.0)
        yield {"accuracy": 0.5}

    more = {
        "resources": Resources("ray", workers=2, gpus_per_trial=0, timeout_seconds=1),
        "sampler": "random",
        "seed": 4,
    }
    run(SPACE, trials=4, ledger=ledger, evaluate=evaluate, **more)
    trials = ledger.read(reads.trials, ledger.search().id)
    late = [trial for trial in trials if trial.architecture["stages"][0]["operator"] == "conv"]
    assert late
    assert {(t.state, t.failure_kind, t.failure_text) for t in late} == {
        ("failed", "timeout", "a rung must end within 1 s; this one had not")
    }
    assert all(trial.state == "complete" for trial in trials if trial not in late)


DRIVER = """
import sys
from support.fakes import tiny_space
from hybrid_search.ops import OPERATORS
from hybrid_search.records import Resources, Settings
from hybrid_search.runs.run import run

folder = sys.argv[1]

def evaluate(architecture, settings):
    import time
    yield {"accuracy": 0.1}
    open(folder + "/began", "w").close()
    while True:
        time.sleep(0.01)

run(tiny_space(), trials=2, resources=Resources(workers=1), ledger=f"sqlite:///{folder}/l.db", evaluate=evaluate)
"""


def workers_of(mark, driver):
    """Return the command lines of the worker processes that this test started."""
    return [line for line in marked(mark, [driver.pid]).values() if "ray::TrialActor" in line]


def test_workers_are_gone_within_ten_seconds_after_the_driver_is_killed(tmp_path):
    mark = f"HYBRID_SEARCH_TEST_MARK={tmp_path}"
    place = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": place, **dict([mark.split("=")])}
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], env=environment, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "began").exists():
            assert driver.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        assert workers_of(mark, driver)
    finally:
        driver.kill()
        driver.wait()
    until = time.monotonic() + WORKERS_GONE_SECONDS
    while (left := workers_of(mark, driver)) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def test_two_workers_train_at_the_same_time(ledger, tmp_path):
    two = {"resources": Resources("ray", workers=2, gpus_per_trial=0), "evaluate": meeting(tmp_path / "begun", 2)}
    run(SPACE, trials=4, ledger=ledger, **two)
    assert {trial.measurements["train_seconds"] for trial in ledger.read(reads.trials, ledger.search().id)} == {2}


def test_gpus_per_trial_limit_the_workers_and_are_visible_to_them(ledger):
    def evaluate(architecture, settings):
        import ray

        yield {"accuracy": 0.5, "train_seconds": len(ray.get_gpu_ids())}

    run(
        SPACE,
        trials=2,
        resources=Resources("ray", cpus_per_trial=0.5, gpus_per_trial=2),
        ledger=ledger,
        evaluate=evaluate,
    )
    assert [t.measurements["train_seconds"] for t in ledger.read(reads.trials, ledger.search().id)] == [2.0, 2.0]


def test_a_trial_that_fits_no_machine_is_an_error_that_lists_the_nodes(ledger):
    with pytest.raises(SettingsError, match="which has nodes of 2 CPU, 2 GPU; got 1 CPU, 3 GPU a trial"):
        run(SPACE, trials=2, resources=Resources("ray", gpus_per_trial=3), ledger=ledger, evaluate=scored())


def test_the_fused_attention_runs_and_learns_inside_workers(ledger):
    def evaluate(architecture, settings):
        import torch

        from hybrid_search.ops import local_attention

        torch.manual_seed(0)
        q, k, v = (torch.randn(2, 2, 4, 5, 6, dtype=torch.float64, requires_grad=True) for _ in range(3))
        tables = [torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        grads = {}
        for backend in ("cpu", "definition"):
            y = local_attention(q, k, v, *tables, extent=3, backend=backend)
            grads[backend] = torch.autograd.grad(y.sin().sum(), (q, k, v, *tables))
        worst = max((one - other).abs().max().item() for one, other in zip(*grads.values(), strict=True))
        yield {"accuracy": float(worst < 1e-12)}

    run(SPACE, trials=1, resources=Resources("ray", workers=1, gpus_per_trial=0), ledger=ledger, evaluate=evaluate)
    assert [t.measurements["accuracy"] for t in ledger.read(reads.trials, ledger.search().id)] == [1.0]
