"""`train --devices`: Ray Train with two gloo workers on CPUs; workers that die; who decides when to give up."""

import csv
import os
import signal
import threading
import time

import pytest
from support.killing import marked

from hybrid_search import cli
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.train.devices import device_resources, devices_ready
from hybrid_search.engines.worker.train_mailbox import LIMIT, TrainMailbox
from hybrid_search.engines.worker.train_worker import _is_lost_rank
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.trainings import trainings
from hybrid_search.records import Failure, Report, Settings
from hybrid_search.runs.train import train

DATA = {"data": "digits", "train_images": 80, "validation_images": 40, "batch_size": 16}
DESIGN = "resnet-basic-4"
EPOCHS = 6
TOLERANCE = 1e-5  # of losses, as in tests/test_ranks.py
MARK = f"hybrid-search-test-{os.getpid()}"


def trained(ledger, folder, **changes):
    said = []
    options = {"settings": DATA, "epochs": EPOCHS, "ledger": ledger, "log_dir": folder, "notice": said.append}
    return train(DESIGN, **{**options, **changes}), said


def rows_of(folder):
    """Return the lines of the only CSV file in a folder; none if there is no file yet."""
    for file in folder.glob("*.csv"):
        with file.open() as opened:
            return list(csv.DictReader(opened))
    return []


def after_epochs(folder, epochs, action):
    """Call something in a thread when the CSV file has so many lines."""

    def wait():
        while len(rows_of(folder)) < epochs:
            time.sleep(0.05)
        action()

    threading.Thread(target=wait, daemon=True).start()


def kill_a_worker():
    """Kill one of the processes that train."""
    workers = [pid for pid, line in marked(MARK).items() if "RayTrainWorker" in line]
    assert len(workers) == 2
    os.kill(max(workers), signal.SIGKILL)


@pytest.fixture(scope="module")
def ray_session():
    """Start Ray once; its processes have a mark in their environment."""
    import ray

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HYBRID_SEARCH_TEST_MARK", MARK)
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 * 2**20)
        yield
        ray.shutdown()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


@pytest.mark.slow
def test_a_training_on_two_devices_stops_continues_survives_a_killed_worker_and_equals_one_device(
    ray_session, ledger, tmp_path, monkeypatch
):
    monkeypatch.setattr("hybrid_search.runs.training_run.CHECKPOINT_SECONDS", 0.0)
    folder = tmp_path / "logs"
    stopped, _ = trained(ledger, folder, devices=2, watch=lambda context: after_epochs(folder, 1, context.stop.set))
    assert stopped.record is None
    assert ledger.read(trainings, None) == []
    before = len(rows_of(folder))
    done, said = trained(
        ledger, folder, devices=2, watch=lambda context: after_epochs(folder, before + 1, kill_a_worker)
    )
    record = done.record
    assert any("a worker ended, so the training started again from its last checkpoint" in line for line in said)
    assert ledger.read(trainings, None) == [record]  # one process writes the ledger,
    assert len(list(folder.iterdir())) == 1  # and one file has a line for each epoch
    assert [int(row["epoch"]) for row in rows_of(folder)] == list(range(1, EPOCHS + 1))
    assert [row["epoch"] for row in record.curve] == list(range(1, EPOCHS + 1))
    assert (record.facts["devices"], record.facts["backend"], record.facts["test_images"]) == ("2", "gloo", "359")
    assert record.facts["resumed"].startswith("rung ")
    assert not any((tmp_path / "l.db.checkpoints").rglob("*.safetensors"))
    with Ledger(f"sqlite:///{tmp_path}/one.db") as other:
        one, _ = trained(other, tmp_path / "other")
    for row, expected in zip(record.curve, one.record.curve, strict=True):
        assert row["train_loss"] == pytest.approx(expected["train_loss"], abs=TOLERANCE)
        assert row["loss"] == pytest.approx(expected["loss"], abs=TOLERANCE)
    assert record.measurements["test_loss"] == pytest.approx(one.record.measurements["test_loss"], abs=TOLERANCE)
    assert record.uid == one.record.uid  # the number of devices does not make another training


@pytest.mark.slow
def test_a_mistake_that_only_workers_meet_ends_the_training_with_its_message(ray_session, ledger, tmp_path):
    with pytest.raises(SettingsError, match=r"must leave 2 images .* got 2 devices for batches of 2 images"):
        trained(ledger, tmp_path / "logs", devices=2, settings={**DATA, "batch_size": 2})
    assert ledger.read(trainings, None) == []


def test_devices_that_are_not_there_are_refused_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("hybrid_search.engines.train.devices.allowed_cpus", lambda: 2)
    before = sorted(tmp_path.rglob("*"))
    command = ["train", DESIGN, "--data", "digits", "--set", "train_images=80", "--db", f"sqlite:///{tmp_path}/l.db"]
    for options, message in [
        (["--devices", "3"], "devices (--devices) must be at most 2: 2 CPUs that this process may use; got 3."),
        (["--devices", "0"], "devices (--devices) must be a whole number from 1 up; got 0."),
        (
            ["--devices", "2", "--set", "threads=2"],
            "must be at most 1: 2 CPUs that this process may use, 2 (threads) for each device; got 2.",
        ),
        (["--devices", "2", "--address", "127.0.0.1:1"], "--address) must be that of a running Ray cluster"),
        (["--address", "nowhere"], "--address) must be that of a running Ray cluster; nowhere is not"),
    ]:
        assert cli.run([*command, *options]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert message in said[-1]
        assert sorted(tmp_path.rglob("*")) == before


def test_one_device_needs_no_workers():
    assert device_resources(1, None, Settings()) is None
    resources = device_resources(1, "auto", Settings(device="cpu"))
    assert (resources.workers, resources.address, resources.gpus_per_trial) == (1, "auto", 0.0)
    with pytest.raises(SettingsError, match=r"device must be auto, cpu or cuda if the number of devices .* 'cuda:1'"):
        device_resources(2, None, Settings(device="cuda:1"))


def test_gpus_are_counted_where_there_are_some(monkeypatch):
    monkeypatch.setattr("hybrid_search.training.from_settings.count_devices", lambda settings: 4)
    assert device_resources(4, None, Settings()).gpus_per_trial == 1.0
    with pytest.raises(SettingsError, match=r"must be at most 4: 4 GPUs of this machine; got 5"):
        device_resources(5, None, Settings())


def test_a_cluster_with_fewer_devices_is_refused(monkeypatch):
    from contextlib import nullcontext

    context = RunContext(lambda *_: iter(()), device_resources(3, "auto", Settings(device="cpu")))
    monkeypatch.setattr("hybrid_search.engines.train.devices.ready", lambda context: nullcontext())
    monkeypatch.setattr("hybrid_search.engines.train.devices.need_of", lambda resources: {"CPU": 1.0})
    monkeypatch.setattr("hybrid_search.engines.train.devices.count_slots", lambda need: 2)
    message = r"must be at most 2: the cluster has room .* with 1 CPU each; got 3"
    with pytest.raises(SettingsError, match=message), devices_ready(context):
        pass


# -- the mailbox: when workers that start again should train --


def test_workers_start_again_until_too_many_starts_had_no_new_epoch():
    mailbox = TrainMailbox()
    assert mailbox.begin(2)
    mailbox.put(Report(1, {"loss": 1.0}))
    for _ in range(LIMIT):
        mailbox.lost("Connection closed by peer")
        assert mailbox.begin(2)
    mailbox.put(Report(1, {"loss": 1.0}))  # from the checkpoint: no new epoch
    assert not mailbox.begin(2)
    events, _ = mailbox.take()
    name, report = events[-1]
    assert (name, report.failure.kind, report.last) == ("report", "lost", True)
    assert "ended 3 times before an epoch was complete. The last time: Connection closed" in report.failure.text
    assert not mailbox.begin(2)
    assert mailbox.take() == ([], (0, 0))


def test_a_new_epoch_allows_as_many_starts_again():
    mailbox = TrainMailbox()
    for rung in range(1, 3 * LIMIT):
        assert mailbox.begin(2)
        mailbox.put(Report(rung, {"loss": 1.0}))
    assert [name for name, _ in mailbox.take()[0]].count("start") == 3 * LIMIT - 1


def test_no_worker_starts_after_the_end():
    for end in (
        lambda mailbox: mailbox.put(Report(2, {"loss": 1.0}, last=True)),
        lambda mailbox: mailbox.fail(Failure("bug", "broken")),
        TrainMailbox.stopped,
        TrainMailbox.end,
    ):
        mailbox = TrainMailbox()
        assert mailbox.begin(2)
        end(mailbox)
        assert not mailbox.begin(2)


def test_only_the_first_failure_counts_and_a_wish_to_stop_is_answered_with_the_next_step():
    mailbox = TrainMailbox()
    mailbox.fail(Failure("oom", "first"))
    mailbox.fail(Failure("bug", "second"))
    assert [report.failure.text for _, report in mailbox.take()[0]] == ["first"]
    assert not mailbox.step(1, 5)
    mailbox.stop()
    assert mailbox.step(2, 5)
    assert mailbox.take() == ([], (2, 5))
    assert not mailbox.may_test()
    mailbox.allow_test()
    assert mailbox.may_test()


def test_the_end_of_another_rank_differs_from_an_error_of_the_network():
    frame = '  File "ranks.py", line 3, in gloo\n'
    assert _is_lost_rank(f"Traceback:\n{frame}RuntimeError: [pair.cc:538] Connection closed by peer [127.0.0.1]:1")
    assert _is_lost_rank(f"Traceback:\n{frame}torch.distributed.DistBackendError: NCCL communicator was aborted")
    assert not _is_lost_rank(f"Traceback:\n{frame}RuntimeError: mat1 and mat2 shapes cannot be multiplied")
