import csv
import io
import json
import math
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
pytest.importorskip("waitress", reason="the page needs waitress: pip install -e '.[page]'")

from support.ledgers import a_search, an_architecture, fill, url_of, write_trial
from support.served import served

from hybrid_search.charts import Chart
from hybrid_search.charts.theme import figure_layout
from hybrid_search.dashboard import create_app, serve
from hybrid_search.dashboard.access import checked_token
from hybrid_search.dashboard.download import as_csv, as_json, spreadsheet_safe
from hybrid_search.dashboard.http_guard import COOKIE
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.dashboard.trial_end import export_command
from hybrid_search.errors import LedgerError, SettingsError, UserError
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.objectives import Objective, objectives
from hybrid_search.pareto import front_rows

EVIL = "<img src=x onerror=alert(1)>"
TOKEN = "a-token-of-at-least-thirty-two-characters"
LOOK = {"theme": "light", "webgl": True}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A ledger to write to, in a folder of its own."""
    monkeypatch.delenv("HYBRID_SEARCH_DB", raising=False)
    monkeypatch.delenv("HYBRID_SEARCH_TOKEN", raising=False)
    with Ledger(url_of(tmp_path)) as ledger:
        yield ledger


class Client:
    """Flask's test client, with answers read to their end so that no file stays open."""

    def __init__(self, flask):
        self.flask = flask

    def open(self, path, **options):
        return self.flask.open(path, buffered=True, **options)

    def get(self, path, **options):
        return self.open(path, method="GET", **options)

    def post(self, path, **options):
        return self.open(path, method="POST", **options)


@pytest.fixture
def client(written, tmp_path):
    """Makes a test client of the page over that ledger."""
    opened = []

    def open_page(**options):
        app = create_app(url_of(tmp_path), **options)
        opened.append(app)
        return Client(app.server.test_client())

    yield open_page
    for app in opened:
        app.server.extensions["hybrid_search"].close()


def outputs_of(client, first):
    """The output specification of the callback whose first output this is."""
    specs = client.get("/_dash-dependencies").get_json()
    return next(spec for spec in specs if first in spec["output"].split("...")[0])


def call(client, first, changed, **values):
    """Run one callback as the browser does."""
    spec = outputs_of(client, first)

    def given(parts):
        return [{**{k: p[k] for k in ("id", "property")}, "value": values.get(p["id"])} for p in parts]

    names = spec["output"].strip(".").split("...")
    outputs = [dict(zip(("id", "property"), name.rsplit(".", 1), strict=True)) for name in names]
    body = {
        "output": spec["output"],
        "outputs": outputs if len(outputs) > 1 else outputs[0],
        "inputs": given(spec["inputs"]),
        "state": given(spec["state"]),
        "changedPropIds": changed,
    }
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code in (200, 204), answer.text
    return answer.get_json()["response"] if answer.status_code == 200 else {}


def draw(client, search="digits", x="flops", y="accuracy", received=None, pinned=(), colour="mix", log=()):
    return call(
        client,
        "front.figure",
        ["refresh.n_intervals"],
        search=search,
        x=x,
        y=y,
        colour=colour,
        log=list(log),
        look=LOOK,
        pinned=list(pinned),
        received=received,
    )


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
    """Retrain the front of a search in made-up numbers; its members."""
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
    nonsense = "?search=none&x=<b>&y=trial&colour=red&trials=a,-1,99999999999,2"
    answer = call(page, "search.value", ["query.data"], query=nonsense)
    assert [answer[name]["value"] for name in ("search", "x", "y", "colour")] == ["second", "flops", "accuracy", "mix"]
    assert answer["log"]["value"] == ["log"], "costs span powers of ten: logarithmic by default"
    assert answer["requested"]["data"]["trials"] == [2]


def test_a_selected_trial_shows_diagram_stages_curve_and_its_export_command(written, client):
    fill(written, a_search(written, EVIL), 30)
    page = client()
    received = draw(page, search=EVIL)["received"]["data"]
    answer = call(page, "detail.children", ["pinned.data"], pinned=[2], look=LOOK, received=received, search=EVIL)
    text = json.dumps(answer)
    for expected in ("data:image/svg+xml", "Stage by stage", "Learning curve", "Cost by stage", "hybrid-search export"):
        assert expected in text
    assert "'<img src=x onerror=alert(1)>'" in text  # quoted for the shell, and text for the browser


def test_two_selected_trials_are_compared_and_a_failed_one_shows_its_error(written, client):
    fill(written, a_search(written), 30)
    page = client()
    received = draw(page)["received"]["data"]
    text = json.dumps(
        call(page, "detail.children", ["pinned.data"], pinned=[2, 13], look=LOOK, received=received, search="digits")
    )
    assert "Trials 2 and 13" in text
    assert "Why trial 13 failed: oom" in text
    assert "differs" in text
    assert "RuntimeError: out of memory <b>at</b> stage 3" in text  # a child of <pre>, which React escapes


def test_an_architecture_of_an_absent_plugin_is_shown_with_the_reason_for_missing_costs(written, client):
    search = a_search(written)
    plain = {"stem": {"kind": "conv3x3", "width": 8}, "stages": [{"operator": "from-a-plugin", "depth": 1, "width": 8}]}
    trial = written.write(
        writes.start_trial, search.id, 0, digest="d", architecture=plain, choices={}, settings=search.settings
    )
    written.write(writes.finish_trial, trial, "complete", {"accuracy": 0.5, "flops": 10.0})
    page = client()
    received = draw(page)["received"]["data"]
    answer = call(page, "detail.children", ["pinned.data"], pinned=[0], look=LOOK, received=received, search="digits")
    assert "operator must be one of" in json.dumps(answer)


def a_chart(name, subject, draw=None):
    def read(ledger, search, trials):
        return [trial.number for trial in ledger.read(reads.trials, search.id, trials or None)]

    def draw_bars(numbers, theme):
        import plotly.graph_objects as go

        return go.Figure(go.Bar(y=numbers), layout=figure_layout(theme))

    return Chart(name, f"Title of {name}", subject, read, draw or draw_bars)


def test_charts_of_ones_own_have_their_places_on_the_page(written, client):
    fill(written, a_search(written), 10)
    page = client(charts=[a_chart("of_all", "search"), a_chart("of_some", "trials")])
    received = draw(page)["received"]["data"]
    more = call(page, "more-charts.children", ["received.data"], received=received, look=LOOK, search="digits")
    text = json.dumps(more)
    assert "Title of of_all" in text
    assert "Title of of_some" not in text
    panel = call(page, "detail.children", ["pinned.data"], pinned=[2], look=LOOK, received=received, search="digits")
    assert "Title of of_some" in json.dumps(panel)
    assert "of_some-graph" in json.dumps(panel)


def test_a_chart_that_fails_shows_the_kind_of_its_error_and_not_the_message(written, client):
    def broken(numbers, theme):
        raise RuntimeError("postgresql://user:secret@host")

    fill(written, a_search(written), 10)
    page = client(charts=[a_chart("broken", "search", broken), a_chart("of_all", "search")])
    received = draw(page)["received"]["data"]
    more = call(page, "more-charts.children", ["received.data"], received=received, look=LOOK, search="digits")
    text = json.dumps(more)
    assert "This chart cannot be drawn (RuntimeError)." in text
    assert "secret" not in text
    assert "of_all-graph" in text


def test_without_other_charts_nothing_is_added_below_the_selection(written, client):
    fill(written, a_search(written), 10)
    page = client()
    received = draw(page)["received"]["data"]
    assert call(page, "more-charts.children", ["received.data"], received=received, look=LOOK, search="digits") == {}


@pytest.mark.parametrize(
    ("charts", "message"),
    [
        ([a_chart("front", "search")], "the name of a chart must be new; got 'front'"),
        ([3], "a chart must be a hybrid_search.charts.Chart; got int"),
    ],
)
def test_an_unusable_chart_is_refused_before_the_page_is_served(written, tmp_path, charts, message):
    with pytest.raises(SettingsError, match=message):
        create_app(url_of(tmp_path), charts=charts)


def test_an_objective_of_ones_own_is_on_every_part_of_the_page_with_its_label_unit_and_direction(written, client):
    energy = Objective("energy", "minimize", "energy of one image", "J")
    search = a_search(written, objectives=("accuracy", "energy"), own_objectives=(energy,))
    for number, joules in enumerate((3e3, 2e3, 4e3)):
        write_trial(written, search, number, accuracy=0.5 + number / 10, energy=joules)
    page = client()
    chosen = call(page, "search.value", ["query.data"], query="")
    assert {"label": "energy of one image", "value": "energy"} in chosen["x"]["options"]
    assert (chosen["x"]["value"], chosen["y"]["value"]) == ("energy", "accuracy")
    answer = draw(page, x="energy")
    assert answer["front"]["figure"]["layout"]["xaxis"]["title"]["text"] == "energy of one image [J], lower is better"
    column = next(column for column in answer["table"]["columnDefs"] if column["field"] == "energy")
    assert (column["headerName"], column["headerTooltip"]) == ("energy [J]", "energy of one image")
    assert column["sortingOrder"][0] == "asc"
    rows = {row["trial"]: row for row in answer["table"]["rowData"]}
    assert [rows[number]["front"] for number in range(3)] == ["", "front", "front"]
    assert "kJ" in answer["reference"]["children"]
    received = answer["received"]["data"]
    panel = call(page, "detail.children", ["pinned.data"], pinned=[0, 1], look=LOOK, received=received, search="digits")
    assert "energy of one image" in json.dumps(panel)
    assert "3 kJ" in json.dumps(panel)
    wanted = {"format": "csv", "trials": [1]}
    answer = call(page, "file.data", ["download-request.data"], **{"download-request": wanted}, search="digits")
    assert next(csv.DictReader(io.StringIO(answer["file"]["data"]["content"])))["energy"] == "2000.0"


def test_a_failed_retraining_is_shown_with_its_trial_and_its_markup_is_text(written, client):
    search = a_search(written)
    fill(written, search, 8)
    trial = written.read(reads.trial, search.id, 0)
    written.write(writes.add_failed_retraining, trial.id, 77, "oom", "<b>out</b> of memory")
    page = client()
    received = draw(page)["received"]["data"]
    answer = call(page, "detail.children", ["pinned.data"], pinned=[0], look=LOOK, received=received, search="digits")
    text = json.dumps(answer)
    assert "Retrainings that failed" in text
    assert "Seed 77: oom, " in text
    assert "<b>out</b> of memory" in text
    assert "Attempts that failed before" not in text


def test_a_download_has_the_requested_trials_in_their_order(written, client):
    search = a_search(written)
    fill(written, search, 20)
    page = client()
    wanted = {"format": "csv", "trials": [5, 2, 13, 999]}
    answer = call(page, "file.data", ["download-request.data"], **{"download-request": wanted}, search="digits")[
        "file"
    ]["data"]
    rows = list(csv.DictReader(io.StringIO(answer["content"])))
    assert [row["trial"] for row in rows] == ["5", "2", "13"]
    assert json.loads(rows[0]["architecture"])["stages"]
    answer = call(
        page,
        "file.data",
        ["download-request.data"],
        **{"download-request": wanted | {"format": "json"}},
        search="digits",
    )["file"]["data"]
    assert [trial["trial"] for trial in json.loads(answer["content"])["trials"]] == [5, 2, 13]


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_cells_that_start_like_a_formula_get_an_apostrophe(cell):
    assert spreadsheet_safe(cell) == f"'{cell}"
    assert spreadsheet_safe(-1.5) == -1.5


def test_csv_and_json_can_write_numbers_that_are_not_finite(written):
    from dataclasses import replace

    search = a_search(written)
    write_trial(written, search, 0)
    trial = replace(
        written.read(reads.trial, search.id, 0), measurements={"accuracy": math.nan, "=x": 1.0}, failure_kind="=cmd"
    )
    text = as_csv(search, [trial])
    assert ",'=x," in text
    assert ",'=cmd," in text
    assert json.loads(as_json(search, [trial]))["trials"][0]["accuracy"] is None


def test_the_export_command_names_a_database_that_is_not_the_default_and_no_password(written, tmp_path, monkeypatch):
    search = a_search(written, "-odd name")
    command = export_command(written, search, 3)
    assert command == f"hybrid-search export --pick 3 --db {url_of(tmp_path)} -- '-odd name' odd-name-3"
    monkeypatch.setenv("HYBRID_SEARCH_DB", url_of(tmp_path))
    assert export_command(written, a_search(written, "plain"), 3) == "hybrid-search export plain plain-3 --pick 3"

    class Secret:
        from sqlalchemy.engine import make_url

        url = make_url("postgresql://user:secret@host/db")
        shown = "postgresql://user:***@host/db"

    assert "***" not in export_command(Secret, search, 3)


def test_the_page_writes_nothing(written, client, tmp_path):
    fill(written, a_search(written), 10)
    page = client()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}
    received = draw(page)["received"]["data"]
    call(page, "detail.children", ["pinned.data"], pinned=[1], look=LOOK, received=received, search="digits")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith("-shm")}
    assert before == after


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "a-name"])
def test_a_host_that_others_can_reach_needs_a_token(host, written, tmp_path):
    with pytest.raises(UserError, match=r"must be a loopback address .* unless a token guards the page; got"):
        create_app(url_of(tmp_path), host=host)
    assert checked_token(host, TOKEN) == TOKEN


def test_a_short_token_is_refused_and_not_printed():
    with pytest.raises(UserError, match="at least 32 ASCII characters; got 6") as caught:
        checked_token("127.0.0.1", "secret")
    assert "secret;" not in str(caught.value)


ROUTES = ("/", "/_dash-layout", "/_dash-dependencies", "/assets/page.js", "/_favicon.ico", "/nowhere", "/_reload-hash")


@pytest.mark.parametrize("route", ROUTES)
def test_with_a_token_every_route_answers_401_without_it(written, client, route):
    page = client(token=TOKEN)
    assert page.get(route).status_code == 401
    assert page.post("/_dash-update-component", json={}).status_code == 401
    assert page.get(route, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert page.get(route, headers={"Authorization": f"Bearer {TOKEN}"}).status_code != 401
    page.flask.set_cookie(COOKIE, "wrong")
    assert page.get(route).status_code == 401


def test_every_registered_route_is_behind_the_token(written, client):
    page = client(token=TOKEN)
    for rule in page.flask.application.url_map.iter_rules():
        path = (
            str(rule).replace("<path:path>", "x").replace("<path:filename>", "x").replace("<string:package_name>", "x")
        )
        path = path.replace("<path:fingerprinted_path>", "x")
        assert page.open(path, method="POST" if "POST" in rule.methods else "GET").status_code == 401, rule


def test_the_token_in_the_address_is_exchanged_for_a_cookie(written, client):
    page = client(token=TOKEN)
    answer = page.get(f"/?token={TOKEN}&search=a%26b")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?search=a%26b")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert TOKEN not in cookie
    assert page.get("/").status_code == 200
    assert page.get("/?token=wrong").status_code == 200  # the cookie counts
    assert client(token=TOKEN).get("/?token=wrong").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.7"])
def test_a_foreign_host_name_is_refused(written, client, host):
    page = client()
    assert page.get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:8050", "[::1]:8050"])
def test_loopback_names_are_answered_on_any_port(written, client, host):
    assert client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_post_from_another_site_is_refused(written, client, headers):
    page = client()
    assert page.post("/_dash-update-component", json={}, headers=headers).status_code == 403


def test_answers_have_the_security_headers_and_allow_no_other_origin(written, client):
    headers = client().get("/", headers={"Origin": "http://evil.example"}).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "path", ["/assets/../http_guard.py", "/assets/%2e%2e/http_guard.py", "/_dash-component-suites/dash/../../x"]
)
def test_no_path_leaves_the_assets(written, client, path):
    assert client().get(path).status_code >= 400


def test_the_server_answers_over_a_socket_and_refuses_a_port_that_is_taken(written, tmp_path):
    fill(written, a_search(written), 5)
    with served(url_of(tmp_path)) as address:
        with urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
            assert "Server" not in answer.headers
        port = int(address.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(UserError, match=f"--port must be free on 127.0.0.1; {port} is not"):
            serve(url_of(tmp_path), port=port)


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_port_out_of_range_is_refused(written, tmp_path, port):
    with pytest.raises(UserError, match=f"--port must be a number from 0 .* to 65535; got {port}"):
        serve(url_of(tmp_path), port=port)


def test_a_host_that_is_no_address_is_refused(written, tmp_path, monkeypatch):
    def unknown(*_given, **_more):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(UserError, match="--host must be an address of this machine; got nowhere: Name or service"):
        serve(url_of(tmp_path), host="nowhere", token=TOKEN)


def test_a_ledger_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="must name a ledger that exists"):
        serve(url_of(tmp_path))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr("hybrid_search.dashboard.server.find_spec", lambda name: None if name == "dash" else name)
    with pytest.raises(UserError, match=r"dash is not installed. Install: pip install dash$"):
        serve(url_of(tmp_path))


def test_the_dashboard_is_imported_without_dash_flask_and_plotly():
    code = "import sys, hybrid_search.dashboard; print([m for m in ('dash', 'flask', 'plotly') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_page_is_made_without_torch_ray_or_optuna(written, tmp_path):
    fill(written, a_search(written), 5)
    code = (
        "import sys\nfrom hybrid_search.dashboard import create_app\n"
        f"app = create_app({url_of(tmp_path)!r})\n"
        "assert app.server.test_client().get('/').status_code == 200\n"
        "app.server.extensions['hybrid_search'].close()\n"
        "print([m for m in ('torch', 'ray', 'optuna', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
