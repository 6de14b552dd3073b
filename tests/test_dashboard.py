"""The page as a whole: what a browser receives."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
pytest.importorskip("waitress", reason="the page needs waitress: pip install -e '.[page]'")

from support.ledgers import a_search, an_architecture, fill, url_of, write_trial
from support.page_client import LOOK, call, draw

from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.objectives import objectives
from hybrid_search.pareto import front_rows


def test_the_page_contains_no_address_of_another_host(written, client):
    a_search(written)
    page = client()
    answer = page.get("/")
    assert answer.status_code == 200
    assert '<html lang="en">' in answer.text
    assert "https://" not in answer.text
    assert "<!--[if IE]>" not in answer.text
    for path in ("/assets/page.css", "/assets/page.js", "/_dash-layout", "/_dash-dependencies"):
        assert page.get(path).status_code == 200, path


def test_the_assets_contain_no_address():
    for path in (Path(__file__).parent.parent / "hybrid_search/dashboard/assets").iterdir():
        assert "://" not in path.read_text(), path


@pytest.mark.parametrize("trials", [0, 1, 30])
@pytest.mark.parametrize("names", [("accuracy",), ("accuracy", "flops"), ("accuracy", "flops", "params", "latency_ms")])
def test_any_number_of_trials_and_objectives_is_drawn(written, client, trials, names):
    search = a_search(written, objectives=names)
    fill(written, search, trials)
    x = names[1] if len(names) > 1 else "trial"
    answer = draw(client(), x=x)
    assert len(answer["table"]["rowData"]) == trials
    assert answer["received"]["data"]["version"] == min(trials, 1)
    fields = [column["field"] for column in answer["table"]["columnDefs"]]
    assert set(names) <= set(fields)


def test_a_ledger_without_a_search_shows_the_command_that_starts_one(written, client):
    answer = draw(client(), search=None)
    assert "hybrid-search run" in answer["note"]["children"]
    assert call(client(), "search.value", ["query.data"], query="")["search"]["value"] is None


def test_failed_trials_are_counted_and_not_drawn(written, client):
    search = a_search(written)
    fill(written, search, 12, states="failed")
    answer = draw(client())
    assert answer["note"]["children"] == "No trial has completed. Not drawn: 12 failed."
    assert [trace["x"] for trace in answer["front"]["figure"]["data"][:3]] == [[], [], []]
    assert "12 failed" in json.dumps(answer["summary"])


def test_a_missing_measurement_is_an_empty_cell_and_no_point(written, client):
    search = a_search(written)
    trial = write_trial(written, search, 0)
    plain = an_architecture(__import__("random").Random(1))
    settings = search.settings
    other = written.write(
        writes.start_trial, search.id, 1, digest="d", architecture=plain, choices={}, settings=settings
    )
    written.write(writes.finish_trial, other, "complete", {"flops": 5.0})
    answer = draw(client())
    assert trial != other
    row = next(row for row in answer["table"]["rowData"] if row["trial"] == 1)
    assert (row["accuracy"], row["flops"], row["front"]) == (None, 5.0, "")
    assert "1 completed without a finite number" in answer["note"]["children"]


def test_numbers_that_are_not_finite_reach_the_browser_as_null(written, client, monkeypatch):
    search = a_search(written)
    write_trial(written, search, 0)
    points = reads.points

    def broken(*given):
        rows, newest = points(*given)
        return [point._replace(values={"accuracy": math.nan, "flops": math.inf}) for point in rows], newest

    monkeypatch.setattr(reads, "points", broken)
    answer = draw(client())
    assert [answer["table"]["rowData"][0][name] for name in ("accuracy", "flops")] == [None, None]


def test_a_refresh_without_changes_sends_only_the_heartbeat(written, client):
    fill(written, a_search(written), 30)
    page = client()
    received = draw(page)["received"]["data"]
    assert list(draw(page, received=received)) == ["heartbeat"]


def test_a_refresh_sends_only_what_is_new(written, client, monkeypatch):
    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    search = a_search(written)
    fill(written, search, 30)
    page = client()
    first = draw(page)
    received = first["received"]["data"]
    number = 30
    write_trial(written, search, number, accuracy=0.11, flops=9e9)
    news = draw(page, received=received)
    assert "rowData" not in news["table"]
    assert [row["trial"] for row in news["table"]["rowTransaction"]["add"]] == [number]
    patch = news["front"]["figure"]["operations"]
    added = [step for step in patch if step["operation"] == "Extend" and step["location"] == ["data", 0, "x"]]
    assert added[0]["params"]["value"] == [9e9]
    assert news["received"]["data"]["drawn"] == received["drawn"] + 1
    write_trial(written, search, 31, accuracy=0.999, flops=10.0)
    best = draw(page, received=news["received"]["data"])
    dethroned = {row["trial"] for row in best["table"]["rowTransaction"]["update"]}
    assert dethroned == {row["trial"] for row in first["table"]["rowData"] if row["front"]}
    front = next(step for step in best["front"]["figure"]["operations"] if step["location"] == ["data", 2])
    assert [row[0] for row in front["params"]["value"]["customdata"]] == [31]


def test_revised_numbers_start_a_new_generation_that_is_drawn_whole(written, client, monkeypatch):
    from sqlalchemy import insert, update

    from hybrid_search.ledger.tables import MeasurementRow, TrialRow

    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    search = a_search(written)
    trial = write_trial(written, search, 0, accuracy=0.5)
    page = client()
    received = draw(page)["received"]["data"]
    with written._engine.begin() as db:
        db.execute(insert(MeasurementRow).values(trial_id=trial, name="accuracy", seed=7, value=0.7))
        db.execute(update(TrialRow).where(TrialRow.id == trial).values(changed=10_000))
    again = draw(page, received=received)
    assert again["table"]["rowData"][0]["accuracy"] == pytest.approx(0.7)
    assert again["received"]["data"]["generation"] != received["generation"]


def confirm_front(ledger, search, seeds=(101, 102, 103)):
    """Write synthetic retrainings of the front of a search; return its members."""
    points, _ = ledger.read(reads.points, search.id, ["accuracy", "flops"])
    members = front_rows([(p.number, dict(p.values)) for p in points if p.state == "complete"], ("accuracy", "flops"))
    for number in members:
        trial = ledger.read(reads.trial, search.id, number)
        for seed in seeds:
            accuracy = trial.measurements["accuracy"] - 0.01 + 0.002 * (seed % 3)
            numbers = {**trial.measurements, "accuracy": accuracy, "test_accuracy": accuracy - 0.02}
            ledger.write(writes.add_measurements, trial.id, seed, numbers)
    return members


def test_a_confirmation_adds_error_bars_columns_and_rows(written, client, monkeypatch):
    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    search = a_search(written)
    fill(written, search, 30)
    page = client()
    first = draw(page)
    assert "probability" not in [column["field"] for column in first["table"]["columnDefs"]]
    assert first["front"]["figure"]["data"][4]["x"] == []
    members = confirm_front(written, search)
    again = draw(page, received=first["received"]["data"])
    assert {"probability", "test", "seeds"} <= {column["field"] for column in again["table"]["columnDefs"]}
    rows = {row["trial"]: row for row in again["table"]["rowData"]}
    assert [rows[number]["seeds"] for number in members] == [3] * len(members)
    assert all(0 < rows[number]["probability"] <= 1 for number in members)
    bars = again["front"]["figure"]["data"][4]
    assert len(bars["error_y"]["array"]) == len(members)
    assert "Error bars: 95 % intervals" in again["note"]["children"]
    shown = json.dumps(
        call(
            page,
            "detail.children",
            ["pinned.data"],
            pinned=members[:1],
            look=LOOK,
            search="digits",
            received=again["received"]["data"],
        )
    )
    for text in ("test accuracy", "probability of the front", "mean over 3 fresh"):
        assert text in shown
    written.write(
        writes.add_measurements,
        written.read(reads.trial, search.id, members[0]).id,
        104,
        {"accuracy": 0.9, "flops": 1e5},
    )
    more = draw(page, received=again["received"]["data"])
    assert {row["trial"]: row for row in more["table"]["rowData"]}[members[0]]["seeds"] == 4


def test_a_new_trial_after_a_confirmation_does_not_start_a_new_generation(written, client, monkeypatch):
    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    search = a_search(written)
    fill(written, search, 30, states="complete")
    confirm_front(written, search)
    page = client()
    first = draw(page)
    write_trial(written, search, 30, accuracy=0.999, flops=1e6)
    news = draw(page, received=first["received"]["data"])
    assert news["received"]["data"]["generation"] == first["received"]["data"]["generation"]
    assert ["data", 4] in [step["location"] for step in news["front"]["figure"]["operations"]]
    assert [row["trial"] for row in news["table"]["rowTransaction"]["add"]] == [30]


def test_the_snapshot_agrees_with_reading_everything_at_once(written, tmp_path, monkeypatch):
    from hybrid_search.charts.front import front_of

    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    search = a_search(written)
    snapshot = Snapshot(url_of(tmp_path))
    for number in range(12):
        write_trial(written, search, number)
        view = snapshot.view(search)
        assert set(view.front) == front_of(list(view.points.values()), objectives(search.objectives))
        assert sorted([*view.front, *view.dominated]) == list(range(number + 1))
    snapshot.close()


def test_the_page_stays_and_reports_the_error_if_the_ledger_cannot_be_read(written, client, monkeypatch):
    fill(written, a_search(written), 5)
    page = client()
    received = draw(page)["received"]["data"]

    def gone(*_given):
        raise RuntimeError("postgresql://user:secret@host is gone")

    monkeypatch.setattr(Ledger, "searches", gone)
    answer = draw(page, received=received)
    assert list(answer) == ["heartbeat"]
    assert answer["heartbeat"]["data"]["error"] == "RuntimeError"
    assert "secret" not in json.dumps(answer)


def test_the_address_selects_search_axes_and_trials(written, client):
    a_search(written, "first")
    a_search(written, "second")
    page = client()
    query = "?search=first&x=params&y=loss&colour=trial&log=0&trials=3,7"
    answer = call(page, "search.value", ["query.data"], query=query)
    assert [answer[name]["value"] for name in ("search", "x", "y", "colour", "log")] == [
        "first",
        "params",
        "loss",
        "trial",
        [],
    ]
    assert answer["requested"]["data"]["trials"] == [3, 7]
    assert answer["notice"] == {"children": [], "hidden": True}
    nonsense = "?search=second&x=<b>&y=trial&colour=red&trials=a,-1,99999999999,2"
    answer = call(page, "search.value", ["query.data"], query=nonsense)
    assert [answer[name]["value"] for name in ("search", "x", "y", "colour")] == ["second", "flops", "accuracy", "mix"]
    assert answer["log"]["value"] == ["log"], "costs span powers of ten: logarithmic by default"
    assert answer["requested"]["data"]["trials"] == [2]
    assert not answer["notice"]["hidden"]
    said = "".join(answer["notice"]["children"])
    for part in ("no x axis '<b>'; it shows 'flops'", "no y axis 'trial'; it shows 'accuracy'", "no colour 'red'"):
        assert part in said


def test_an_unknown_search_in_the_address_is_said_and_no_other_search_is_shown(written, client):
    a_search(written, "first")
    page = client()
    answer = call(page, "search.value", ["query.data"], query="?search=frist")
    assert answer["search"]["value"] is None
    assert answer["notice"] == {
        "children": ["This ledger has no search 'frist'. Choose one above."],
        "hidden": False,
    }
    drawn = draw(page, search=None)
    assert drawn["table"]["rowData"] == []
    assert drawn["note"]["children"] == ""
    picked = call(page, "search.value", ["search.value"], query="?search=frist", search="first", requested=None)
    assert picked["search"]["value"] == "first"
    assert picked["notice"]["hidden"]
