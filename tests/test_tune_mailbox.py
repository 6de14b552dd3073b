"""The mailbox between Tune's workers and the driver."""

from hybrid_search.engines.worker.tune_mailbox import TuneMailbox
from hybrid_search.records import Report


def test_a_worker_that_starts_has_sent_a_heartbeat():
    mailbox = TuneMailbox()
    assert mailbox.take_checkpoints("a") is None
    assert list(mailbox.heartbeats()) == ["a"]


def test_a_trial_that_is_over_leaves_nothing_in_the_mailbox():
    mailbox = TuneMailbox()
    mailbox.take_checkpoints("a")
    mailbox.put_report("a", Report(1, {}))
    mailbox.heartbeat("b", 0.0)
    mailbox.forget("a")
    mailbox.forget("unknown")
    assert list(mailbox.heartbeats()) == ["b"]
