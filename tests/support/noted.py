"""A search of a few hundred designs without training, and the check of its ledger after any number of interruptions."""

from collections import Counter

import pytest

from hybrid_search.ledger import reads
from support.fakes import tiny_space

RUNGS = 4


def large_space():
    """Return a space of two stages with eighteen choices each."""
    operator = {"conv": {"kernel_size": [3, 5]}, "local_attention": {"extent": [3, 5], "heads": [2, 4]}}
    stages = [{"depth": 1, "width": [8, 16, 24], "operator": operator}] * 2
    return tiny_space(name="large", stages=stages)


def score(digest):
    """Return the final accuracy of a design."""
    return int(digest[:4], 16) / 65536


def check_nothing_lost(ledger, acknowledged, trials):
    """Assert that every trial ended once, none is missing, and the acknowledged ones are complete; return the rows."""
    search = ledger.search()
    rows = ledger.read(reads.trials, search.id)
    assert [row.number for row in rows] == list(range(trials))
    assert Counter(row.digest for row in rows).most_common(1)[0][1] == 1
    assert {row.state for row in rows} <= {"complete", "failed"}
    assert {row.failure_kind for row in rows if row.state == "failed"} <= {"lost"}
    complete = [row for row in rows if row.state == "complete"]
    assert sorted(acknowledged) == [row.number for row in complete]
    for row in complete:
        assert [rung for rung, _ in ledger.read(reads.curve, row.id)] == list(range(1, RUNGS + 1))
        assert row.measurements["accuracy"] == pytest.approx(score(row.digest))
    return rows
