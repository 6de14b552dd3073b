"""What Ray says of a worker that is gone, in one line. The deaths themselves are in tests/faults."""

import pytest

from hybrid_search.engines.ray.failure_reasons import why_gone

ENDED = "Selected to kill: (Actor(7c): job ID=01, task name=Actor.__init__, pid={}, actual memory used={}GB)"
MEMORY = "\n".join(
    [
        "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 3a) was "
        "4.00GB used / 23.54GB limit (0.170003)",
        "Object store memory usage: [- objects spillable: 1",
        ENDED.format(1, "1.07"),
        ENDED.format(2, "1.1"),
    ]
)


def test_the_memory_monitors_words_become_one_line_with_what_was_held():
    assert why_gone(MEMORY) == (
        "oom",
        "its machine ran low on memory (4.00GB used / 23.54GB), so that Ray ended its worker; those ended held 1.07 GB "
        "and 1.10 GB",
    )


@pytest.mark.parametrize("said", ["node running low on memory", "The actor died: running low on memory\nmore"])
def test_other_words_of_the_monitor_are_still_about_memory(said):
    assert why_gone(said) == ("oom", "its machine ran low on memory, so that Ray ended its worker")


@pytest.mark.parametrize(
    "said",
    [
        "The actor died unexpectedly.\n\tpid: 1\nthe actor's node was terminated unexpectedly: missed heartbeats",
        "the actor's node was preempted: spot",
        "The actor 1 is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed",
        "Task failed because the node it was running on is dead or unavailable.",
    ],
)
def test_a_node_that_went_away_is_no_fault_of_the_trial(said):
    assert why_gone(said) == ("pre-empted", "the node of its worker went away")


def test_any_other_death_is_told_by_its_first_line():
    assert why_gone("The actor died unexpectedly.\nmore") == ("lost", "its worker died: The actor died unexpectedly.")
    assert why_gone("")[1] == "its worker died: Ray says nothing of it"
