"""The selected trials on the page, charts of plugins, downloads."""

import csv
import io
import json
import math
import re

import pytest

pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
pytest.importorskip("waitress", reason="the page needs waitress: pip install -e '.[page]'")

from support.ledgers import a_search, fill, url_of, write_trial
from support.page_client import LOOK, call, draw

from hybrid_search.analysis.confidence import TrialConfidence
from hybrid_search.charts import Chart
from hybrid_search.charts.theme import figure_layout
from hybrid_search.dashboard import create_app
from hybrid_search.dashboard.download import as_csv, as_json, confidence_of, spreadsheet_safe
from hybrid_search.dashboard.trial_end import _export, export_command
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import reads, writes
from hybrid_search.objectives import Objective

EVIL = "<img src=x onerror=alert(1)>"


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
    assert "is not installed here" in json.dumps(answer)


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


def test_below_the_selection_are_where_attention_helps_and_the_full_trainings(written, client):
    fill(written, a_search(written), 10)
    page = client()
    received = draw(page)["received"]["data"]
    answer = call(page, "more-charts.children", ["received.data"], received=received, look=LOOK, search="digits")
    assert re.findall(r'"([\w-]+)-graph"', json.dumps(answer)) == ["effects", "trainings"]


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
    text = as_csv(search, [trial], {})
    assert ",'=x," in text
    assert ",'=cmd," in text
    assert json.loads(as_json(search, [trial], {}))["trials"][0]["accuracy"] is None


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


def test_a_download_has_the_intervals_of_retrained_trials():
    standing = TrialConfidence(number=1, seeds=3, intervals={"accuracy": (0.8, 0.9)}, probability=0.75)
    columns = confidence_of({1: standing}, ("accuracy", "flops"), 1)
    assert columns == {"accuracy_low": 0.8, "accuracy_high": 0.9, "seeds": 3, "front_probability": 0.75}
    assert confidence_of({1: standing}, ("accuracy", "flops"), 2) == {
        "accuracy_low": None, "accuracy_high": None, "seeds": 0, "front_probability": None,
    }  # fmt: skip
    assert confidence_of({}, ("accuracy", "flops"), 1) == {}


def test_a_right_to_left_mark_in_a_shown_command_is_written_out():
    export = _export("hybrid-search export 'a\u202eb' out", 3)
    shown = json.dumps(export[1].to_plotly_json(), default=lambda part: part.to_plotly_json())
    assert "\\\\u202e" in shown
