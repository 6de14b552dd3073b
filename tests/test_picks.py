"""Picks: the knee of a front, and the best trial within a bound, each with its reason."""

import pytest
from support.fakes import wide_space

from hybrid_search import cli
from hybrid_search.analysis.picks import front_knee, pick_trial
from hybrid_search.charts.front import read_front
from hybrid_search.errors import SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.objectives import objectives
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

TWO = objectives(("accuracy", "flops"))
THREE = objectives(("accuracy", "flops", "latency_ms"))


def knee_of(*rows, kinds=TWO):
    names = [kind.name for kind in kinds]
    return front_knee({number: dict(zip(names, row, strict=True)) for number, row in enumerate(rows)}, kinds)


def test_the_knee_is_farthest_below_the_chord_and_costs_count_as_logarithms():
    knee = knee_of((0.60, 1e6), (0.80, 4e6), (0.85, 1.6e7), (0.88, 2.56e8))
    assert (knee.number, knee.exists) == (1, True)
    assert "the knee, farthest from the line between the ends of the front (trials 0, 3) on its better side" in knee.why
    assert "flops logarithmic" in knee.why
    # On a linear axis of FLOPs, trial 2 is farther below the chord.
    linear = [(a + c / 2.56e8 - 1) for a, c in (((0.88 - 0.80) / 0.28, 4e6), ((0.88 - 0.85) / 0.28, 1.6e7))]
    assert linear[1] < linear[0]


def test_an_end_of_the_front_is_never_the_knee():
    knee = knee_of((0.60, 1e6), (0.62, 4e6), (0.65, 1.6e7), (0.88, 6.4e7))  # all designs lie above the chord
    assert (knee.number, knee.exists) == (1, True)
    assert "no design lies on the better side of the line" in knee.why


@pytest.mark.parametrize(
    ("rows", "number", "why"),
    [
        (((0.9, 1e6),), 0, "it has 1 design and a knee needs three"),
        (((0.8, 1e6), (0.9, 2e6)), 1, "it has 2 designs and a knee needs three; this one is the best in accuracy"),
        (((0.8, 1e6), (0.9, 2e6), (0.9, 2e6)), 1, "each of its designs is the best in one objective"),
    ],
)
def test_a_front_without_a_design_between_its_ends_says_so(rows, number, why):
    knee = knee_of(*rows)
    assert (knee.number, knee.exists) == (number, False)
    assert why in knee.why


def test_the_knee_of_three_objectives_is_farthest_below_the_plane():
    knee = knee_of((0.9, 9e6, 9.0), (0.6, 1e6, 3.0), (0.7, 3e6, 1.0), (0.85, 2e6, 2.0), (0.86, 8e6, 8.0), kinds=THREE)
    assert (knee.number, knee.exists) == (3, True)
    assert "from the plane through the best value of each objective" in knee.why
    with pytest.raises(SettingsError, match="a knee needs at least one completed trial"):
        front_knee({}, TWO)


RESULTS = ((0.60, 4.0), (0.80, 5.0), (0.85, 6.0), (0.88, 9.0), (0.70, 30.0))  # accuracy, latency in ms


def measured(architecture, settings):
    number = measured.calls = measured.calls + 1
    accuracy, latency = RESULTS[number]
    yield {"accuracy": accuracy, "latency_ms": latency}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Return the database of a search for accuracy and latency, which FLOPs accompany."""
    address = f"sqlite:///{tmp_path_factory.mktemp('picks')}/a.db"
    measured.calls = -1
    more = {"resources": Resources("local"), "checkpoints": "none", "ledger": address, "pruner": "none"}
    kinds = ("accuracy", "latency_ms")
    run(wide_space(), trials=5, objectives=kinds, evaluate=measured, known_designs=False, **more).ledger.close()
    return address


def pick(url, text):
    with Ledger(url, read_only=True) as ledger:
        return pick_trial(ledger, ledger.search(), text)


@pytest.mark.parametrize(
    ("text", "number", "why"),
    [
        ("best", 3, "the highest accuracy of the search"),
        ("knee", 1, "the knee, farthest from the line between the ends of the front (trials 0, 3) on its better side"),
        ("4", 4, "its number was given"),
        ("latency<=6ms", 2, "the highest accuracy of 3 completed trials with latency_ms <= 6 ms"),
        ("latency_ms <= 5.5", 1, "the highest accuracy of 2 completed trials"),
        ("accuracy>=75%", 1, "the lowest latency_ms of 3 completed trials with accuracy >= 75.00 %"),
        ("acc ≥ 0.85", 2, "the lowest latency_ms of 2 completed trials"),
        (
            "accuracy<=0.82",
            1,
            "the highest accuracy of 3 completed trials with accuracy <= 80.00 %".replace("80", "82"),
        ),
        ("flops<=1G", 3, "the highest accuracy of 5 completed trials with flops <= 1 GFLOPs"),
        ("params>=0.1k", 3, "the highest accuracy of 5 completed trials with params >= 100"),
    ],
)
def test_a_pick_is_the_best_within_its_bound_and_says_why(url, text, number, why):
    picked = pick(url, text)
    assert picked.trial.number == number
    assert why in picked.why
    assert f"trial {number} (accuracy {100 * RESULTS[number][0]:.2f} %, latency_ms" in str(picked)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "latency<=1",
            SettingsError,
            r"no completed trial of .* has latency_ms <= 1 ms .*nearest is trial 0 with 4 ms",
        ),
        ("accuracy>=92", SettingsError, r"accuracy must be 0 to 1, or 0% to 100%; got 92. Use 92% or 0.92"),
        ("flops<=lots", SettingsError, r"the bound of --pick must be a number, such as 40M"),
        ("flops<40M", SettingsError, r"must have <= or >=; got '<'"),
        ("<=40M", SettingsError, r"must be NAME<=X or NAME>=X"),
        ("flop<=40M", UnknownName, r"of a value that the search measured: .*Did you mean 'flops'"),
        ("test_accuracy>=0.5", SettingsError, r"must not use the test split.*Use accuracy"),
        ("accuracy", UnknownName, r"Quote a bound: --pick 'accuracy>=X'"),
        ("kne", UnknownName, r"Did you mean 'knee'"),
        ("99", UnknownName, r"trial must be a number from 0 to 4; got 99"),
    ],
)
def test_an_impossible_pick_is_one_line(url, text, error, message):
    with pytest.raises(error, match=message):
        pick(url, text)


def test_terminal_and_chart_mark_the_knee(url, capsys):
    assert cli.run(["front", "--db", url]) == 0
    printed = capsys.readouterr()
    assert "* is the knee" in printed.out
    assert "1*" in printed.out
    assert "trial 1 is the knee, farthest from the line" in printed.err
    with Ledger(url, read_only=True) as ledger:
        assert read_front(ledger, ledger.search()).knee == 1


def test_a_pick_compares_means_once_trials_were_retrained(url, tmp_path):
    with Ledger(url, read_only=True) as ledger:
        stored = ledger.search()
        assert stored is not None
    with Ledger(url) as ledger:
        for number, accuracy in ((1, 0.78), (2, 0.76)):
            trial = ledger.read(reads.trial, stored.id, number)
            ledger.write(writes.add_measurements, trial.id, 99, {**trial.measurements, "accuracy": accuracy})
    assert pick(url, "best").trial.number == 1
    assert "accuracy 78.00 %, latency_ms 5 ms, means over 1 fresh seed" in pick(url, "latency<=20").numbers
    assert "of 2 retrained trials with latency_ms <= 20 ms" in pick(url, "latency<=20").why
    assert "no retrained trial is within the bound, so this is a result of one seed" in pick(url, "latency<=4").why
