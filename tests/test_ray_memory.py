"""What Ray's memory monitor says, in one line. Memory that really runs out: tests/faults/test_memory.py."""

import pytest

from hybrid_search.engines.ray.memory import out_of_memory

ENDED = (
    "Selected to kill: (Actor(7c): job ID=01, lease ID=02, task name=Actor.__init__, pid={}, actual memory used={}GB)"
)
SAID = "\n".join(
    [
        "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 3a) was "
        "4.00GB used / 23.54GB limit (0.170003)",
        "Object store memory usage: [- objects spillable: 1",
        ENDED.format(1, "1.07"),
        ENDED.format(2, "1.1"),
    ]
)


def test_the_monitors_words_become_one_line_with_what_was_held():
    assert out_of_memory(SAID) == (
        "its machine ran low on memory (4.00GB used / 23.54GB), so that Ray ended its worker; those ended held 1.07 GB "
        "and 1.10 GB"
    )


@pytest.mark.parametrize("said", ["node running low on memory", "The actor died: running low on memory\nmore"])
def test_other_words_of_the_monitor_are_still_about_memory(said):
    assert out_of_memory(said) == "its machine ran low on memory, so that Ray ended its worker"


def test_other_deaths_are_not_about_memory():
    assert out_of_memory("The actor died unexpectedly before finishing this task.") is None
