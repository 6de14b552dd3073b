"""Engine `tune` only: a search in a user's own Tuner, with callbacks, and without results in Tune's files."""

import os
import signal

import pytest
from ray import tune
from support.fakes import checkpoint_every_rung, resumable, scored, tiny_space

from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.tune import TuneScheduler, TuneSearcher, trainable
from hybrid_search.errors import HybridSearchError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.run import lead_search, run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec

SPACE = tiny_space()


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
    yield
    ray.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/secret-name.db") as opened:
        yield opened


class Seen(tune.Callback):
    """A user's callback that records its calls."""

    def __init__(self):
        self.results, self.ended = [], []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.results.append((trial.config["trial"], result["rung"], result["accuracy"]))

    def on_trial_complete(self, iteration, trials, trial, **info):
        self.ended.append(trial.config["trial"])


def test_a_search_runs_in_a_tuner_of_the_users_own(ledger, tmp_path):
    context, seen = RunContext(scored(rungs=2)), Seen()
    with lead_search(SearchSpec.create(SPACE, trials=4), ledger, context) as search:
        searcher = TuneSearcher(search, context)
        tuner = tune.Tuner(
            tune.with_resources(trainable(context.evaluate, searcher), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=TuneScheduler(searcher),
                num_samples=-1,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), name="mine", verbose=0, callbacks=[seen]),
        )
        assert ledger.lease(search.record.id).active
        tuner.fit()
        searcher.close()
    assert not ledger.lease(search.record.id).active
    trials = ledger.read(reads.trials, search.record.id)
    assert [trial.state for trial in trials] == ["complete"] * 4
    assert sorted(seen.ended) == [0, 1, 2, 3]
    curves = {(t.number, rung, numbers["accuracy"]) for t in trials for rung, numbers in ledger.read(reads.curve, t.id)}
    assert set(seen.results) == curves
    written = [path for path in (tmp_path / "tune").rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"secret-name" in path.read_bytes()]


def test_a_worker_that_hangs_under_tune_is_killed_and_its_trial_is_retried(ledger):
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

    run(
        SPACE,
        trials=2,
        resources=Resources("tune", workers=1, lease_seconds=1.5),
        ledger=ledger,
        evaluate=evaluate,
        watch=watch,
    )
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [(trial.state, trial.attempt) for trial in trials] == [("complete", 2), ("complete", 1)]
    assert hung[0] not in [trial.measurements["train_seconds"] for trial in trials]
    assert [failed.text for failed in ledger.read(reads.failures, ledger.search().id)] == [
        "its worker was silent for 1.5 s"
    ]


def test_a_trial_whose_worker_dies_under_tune_resumes_from_its_checkpoint(ledger, tmp_path):
    mark = tmp_path / "died"

    def before(rung, resumed):
        import os

        assert not (resumed and rung < 3)
        if rung == 3 and not mark.exists():
            mark.touch()
            os._exit(9)

    options = {"resources": Resources("tune", workers=1), "ledger": ledger, "watch": checkpoint_every_rung}
    run(SPACE, trials=2, evaluate=resumable(before=before), **options)
    first, second = ledger.read(reads.trials, ledger.search().id)
    assert [(t.state, t.attempt, t.facts.get("resumed")) for t in (first, second)] == [
        ("complete", 2, "rung 2"),
        ("complete", 1, None),
    ]
    assert [rung for rung, _ in ledger.read(reads.curve, first.id)] == [1, 2, 3, 4]


def test_a_mailbox_that_is_gone_ends_the_search_in_one_line(ledger):
    import ray

    searcher = TuneSearcher(open_search(SearchSpec.create(SPACE, trials=2), ledger))
    ray.kill(searcher.mailbox)
    searcher._context.checkpoints_of = lambda trial: "somewhere"
    assert searcher.suggest("a") == searcher.FINISHED
    with pytest.raises(
        HybridSearchError,
        match=r"^the Ray cluster of this search, or the TuneMailbox on it, is gone: .*\.$",
    ):
        searcher.close()


def test_a_search_is_not_restored_from_tunes_files(ledger):
    searcher = TuneSearcher(open_search(SearchSpec.create(SPACE, trials=2), ledger))
    searcher.save("/nowhere/at/all")
    with pytest.raises(NotImplementedError, match="a search is resumed from its ledger"):
        searcher.restore("/nowhere/at/all")
    assert searcher.__getstate__() == TuneScheduler(searcher).__getstate__() == {}


def test_tune_gets_every_death_of_a_worker_as_an_actor_error(monkeypatch):
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError, RayTaskError

    from hybrid_search.engines.tune.tuner import _all_deaths_as_actor_errors

    errors = []

    def record(self, tracked_actor_task, exception):
        errors.append(exception)

    monkeypatch.setattr(RayActorManager, "_actor_task_failed", record)
    own = [ValueError("a bug"), RayActorError(error_msg="died"), RayTaskError("f", "text", ValueError("in a trial"))]
    with _all_deaths_as_actor_errors():
        for error in (OutOfMemoryError("memory ran low"), NodeDiedError("the node died"), *own):
            RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=error)
    assert [type(error) for error in errors[:2]] == [RayActorError, RayActorError]
    assert [str(error) for error in errors[:2]] == ["memory ran low", "the node died"]
    assert errors[2:] == own
    assert RayActorManager._actor_task_failed is record
