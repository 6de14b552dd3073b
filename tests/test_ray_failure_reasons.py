"""The kind and the text of a failed worker, from Ray's messages. The failures themselves are in tests/faults."""

import pytest

from hybrid_search.engines.ray.failure_reasons import failure_of
from hybrid_search.records import Failure

KILLED = "Selected to kill: (Actor(7c): job ID=01, task name=Actor.__init__, pid={}, actual memory used={}GB)"
LOW_MEMORY = "\n".join(
    [
        "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 3a) was "
        "4.00GB used / 23.54GB limit (0.170003)",
        "Object store memory usage: [- objects spillable: 1",
        KILLED.format(1, "1.07"),
        KILLED.format(2, "1.1"),
    ]
)


def test_a_message_of_the_memory_monitor_becomes_one_line_with_the_memory_of_the_killed_workers():
    assert failure_of(LOW_MEMORY) == Failure(
        "oom",
        "its machine ran low on memory (4.00GB used / 23.54GB), so Ray killed its worker; killed workers used 1.07 GB "
        "and 1.10 GB",
    )


@pytest.mark.parametrize("message", ["node running low on memory", "The actor died: running low on memory\nmore"])
def test_other_messages_of_the_memory_monitor_are_failures_of_kind_oom_too(message):
    assert failure_of(message) == Failure("oom", "its machine ran low on memory, so Ray killed its worker")


@pytest.mark.parametrize(
    "message",
    [
        "The actor died unexpectedly.\n\tpid: 1\nthe actor's node was terminated unexpectedly: missed heartbeats",
        "the actor's node was preempted: spot",
        "The actor 1 is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed",
        "Task failed because the node it was running on is dead or unavailable.",
    ],
)
def test_a_node_that_went_away_is_a_pre_emption(message):
    assert failure_of(message) == Failure("pre-empted", "the node of its worker went away")


def test_any_other_death_has_the_first_line_of_the_message():
    assert failure_of("The actor died unexpectedly.\nmore") == Failure(
        "lost", "its worker died: The actor died unexpectedly: os._exit, a crash of native code, or a kill."
    )
    assert failure_of("").text == "its worker died: Ray gives no reason"
