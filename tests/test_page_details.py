"""Details of the page: words, letters, rows without a value, names of files, and the time of the last update."""

from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")

from support.ledgers import a_search, fill, url_of, write_trial
from support.page_client import LOOK, call, draw

from hybrid_search.charts import DARK, LIGHT
from hybrid_search.charts.axes import axis_scale
from hybrid_search.charts.front_figure import faded
from hybrid_search.charts.hypervolume import HypervolumeNumbers, hypervolume_figure
from hybrid_search.dashboard.download import file_name
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.ledger import SplitUse, writes
from hybrid_search.objectives import BUILT_IN


def texts(component):
    """Return every text of a component as the browser gets it."""
    if isinstance(component, list):
        return [text for part in component for text in texts(part)]
    if isinstance(component, dict):
        return texts(component.get("props", {}).get("children"))
    return [] if component is None else [str(component)]


def test_the_operators_are_the_second_column_and_their_letters_are_explained(written, client):
    fill(written, a_search(written), 8, states="complete")
    answer = draw(client())
    assert [column["field"] for column in answer["table"]["columnDefs"]][:3] == ["trial", "operators", "state"]
    assert answer["operators-legend"]["children"] == "C convolution, A local attention"


def test_a_stopped_trial_is_pruned_on_the_page(written, client):
    fill(written, a_search(written), 8, states="stopped")
    answer = draw(client())
    assert {row["state"] for row in answer["table"]["rowData"]} == {"pruned"}
    shown = texts(answer["summary"]["children"])
    assert any("8 pruned" in text for text in shown)
    assert not any("stopped" in text for text in shown)


def test_a_fact_without_a_value_has_no_row(written, client):
    search = a_search(written)
    trial = write_trial(written, search, 0, accuracy=0.5, flops=10.0)
    other = write_trial(written, search, 1, accuracy=0.6, flops=20.0)
    for one, backend in ((trial, ""), (other, "cpu")):
        written.write(set_facts, one, {"attention_backend": backend, "device": "cpu"})
    page = client()
    received = draw(page)["received"]["data"]

    def rows(*pinned):
        answer = call(
            page, "detail.children", ["pinned.data"], pinned=list(pinned), look=LOOK, received=received, search="digits"
        )
        return texts(answer["detail"]["children"])

    alone = rows(0)
    assert "device" in alone
    assert "attention backend" not in alone
    both = rows(0, 1)
    index = both.index("attention backend")
    assert [text for text in both[index + 1 : index + 3] if text.strip()] == ["-", "cpu"]


def set_facts(transaction, trial, facts):
    from sqlalchemy import update

    from hybrid_search.ledger.tables import TrialRow

    transaction.connection.execute(update(TrialRow).where(TrialRow.id == trial).values(facts=facts))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("digits", "digits"),
        ("digits 2", "digits 2"),
        ("../evil", "evil"),
        ("a/b\\c", "a-b-c"),
        ("写真", "写真"),
        ("..", "search"),
    ],
)
def test_a_downloaded_file_has_the_name_of_its_search(name, file):
    assert file_name(name) == file


def test_the_last_update_does_not_go_back_when_a_drawn_number_changes(written, tmp_path):
    search = a_search(written)
    trial = write_trial(written, search, 0, accuracy=0.5, flops=10.0)
    snapshot = Snapshot(url_of(tmp_path))
    try:
        before = snapshot.view(search).last_change
        written.write(writes.add_measurements, trial, 99, {"accuracy": 0.7})
        snapshot._states[search.id].read_at = float("-inf")  # MAX_AGE has passed
        after = snapshot.view(search)
        assert after.points[0].values["accuracy"] == 0.7  # fresh seeds count alone
        assert after.last_change >= before
        assert datetime.now(UTC) - after.last_change < timedelta(minutes=1)
    finally:
        snapshot.close()


def test_a_page_opened_after_a_confirmation_shows_its_time(written, tmp_path):
    search = a_search(written)
    fill(written, search, 3, states="complete")
    written.write(writes.add_opening, search.id, SplitUse("f" * 16, 10, "confirmation"))
    snapshot = Snapshot(url_of(tmp_path))
    try:
        assert datetime.now(UTC) - snapshot.view(search).last_change < timedelta(minutes=1)
    finally:
        snapshot.close()


def test_times_have_plain_ticks_and_counts_have_prefixes():
    for log in (False, True):
        assert axis_scale(BUILT_IN["latency_ms"], log)["tickformat"] == "~g"
        assert axis_scale(BUILT_IN["train_seconds"], log)["tickformat"] == "~g"
        assert axis_scale(BUILT_IN["flops"], log)["tickformat"] == "~s"


def test_dominated_trials_are_stronger_on_a_dark_ground():
    for count in (10, 5000):
        assert faded(count, DARK)["opacity"] > faded(count, LIGHT)["opacity"]
    assert faded(10, DARK)["opacity"] >= 0.5


def test_the_last_step_of_the_hypervolume_is_marked_and_many_trials_have_few_ticks():
    kinds = (BUILT_IN["accuracy"], BUILT_IN["flops"])
    numbers = HypervolumeNumbers(kinds, (0.0, 1.0), (1, 4, 200), (1.0, 2.0, 3.0), True)
    figure = hypervolume_figure(numbers, LIGHT)
    assert list(figure.data[0].marker.size) == [0, 0, 7]
    assert "markers" in figure.data[0].mode
    assert figure.layout.xaxis.dtick is None, "a tick for each of 200 trials"
    few = HypervolumeNumbers(kinds, (0.0, 1.0), (1, 4), (1.0, 2.0), True)
    assert hypervolume_figure(few, LIGHT).layout.xaxis.dtick == 1
