"""The box through which Tune's workers speak: who has begun is alive, who is over is forgotten."""

from hybrid_search.engines.worker.tune_mailbox import Box
from hybrid_search.records import Report


def test_a_worker_that_begins_has_shown_a_sign_of_life():
    box = Box()
    assert box.keeping("a") is None
    assert list(box.lives()) == ["a"]


def test_a_trial_that_is_over_leaves_nothing_behind():
    box = Box()
    box.keeping("a")
    box.put("a", Report(1, {}))
    box.live("b", 0.0)
    box.forget("a")
    box.forget("never there")
    assert list(box.lives()) == ["b"]
