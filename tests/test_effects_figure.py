"""The chart of where attention helps: its rows, its words, and when it says why it is empty."""

from dataclasses import replace

import pytest

pytest.importorskip("plotly", reason="charts need plotly: pip install -e '.[page]'")

from test_effects import attention_helps_late, two_stages

from hybrid_search import SearchSpec
from hybrid_search.analysis.effects import search_effects
from hybrid_search.charts import CHARTS, DARK, LIGHT, effect_numbers, effects_figure
from hybrid_search.charts.effects_figure import read_effects
from hybrid_search.dashboard.snapshot import Snapshot
from hybrid_search.ledger import Ledger
from hybrid_search.records import Resources
from hybrid_search.runs.run import run


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('figure')}/a.db"
    more = {"resources": Resources("local"), "checkpoints": "none", "sampler": "random", "ledger": url}
    run(two_stages(), trials=30, evaluate=attention_helps_late, **more).ledger.close()
    return url


@pytest.fixture(scope="module")
def effects(url):
    with Ledger(url, read_only=True) as ledger:
        return search_effects(ledger, ledger.search("two"))


def test_a_row_for_each_pair_of_operators_with_pairs_and_model(effects):
    numbers = effect_numbers(effects)
    assert [row.label for row in numbers.rows] == [
        "stage1: local attention - convolution",
        "stage2: local attention - convolution",
    ]
    figure = effects_figure(numbers, LIGHT)
    pairs = next(trace for trace in figure.data if trace.name == "matched pairs")
    assert pairs.x == tuple(100 * row.comparison.difference for row in numbers.rows)
    low, high = numbers.rows[0].comparison.interval
    assert pairs.error_x.array[0] == pytest.approx(50 * (high - low))
    assert f"{numbers.rows[0].comparison.pairs} matched pairs" in pairs.hovertext[0]
    assert {trace.name for trace in figure.data} == {"matched pairs", "model at equal FLOPs"}
    assert list(figure.layout.yaxis.ticktext) == [row.label for row in numbers.rows]


def test_rows_that_are_not_drawn_are_counted(effects):
    numbers = effect_numbers(replace(effects, comparisons=effects.comparisons * 30))
    assert (len(numbers.rows), numbers.left_out) == (24, 36)
    assert "36 more in hybrid-search effects" in effects_figure(numbers, LIGHT).layout.xaxis.title.text
    assert "more in" not in effects_figure(effect_numbers(effects), LIGHT).layout.xaxis.title.text


def test_both_themes_draw_the_same_numbers(effects):
    light, dark = (effects_figure(effect_numbers(effects), theme) for theme in (LIGHT, DARK))
    assert [trace.x for trace in light.data] == [trace.x for trace in dark.data]
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor


def test_markup_in_the_label_of_an_objective_is_text(effects):
    named = replace(effects.objective, label="<b onclick=x>", unit="<i>")
    numbers = replace(effect_numbers(effects), objective=named)
    text = effects_figure(numbers, LIGHT).to_json()
    assert "<b onclick" not in text
    assert "<i>" not in text


def test_an_empty_chart_says_why(effects):
    apart = [replace(each, pairs=0) for each in effects.comparisons]
    for changed, words in (
        ({"trials": 0, "comparisons": []}, "No completed trial yet."),
        ({"comparisons": []}, "All designs have the same operators"),
        ({"comparisons": apart, "model": []}, "More trials give some"),
    ):
        numbers = effect_numbers(replace(effects, **changed))
        assert numbers.rows == ()
        assert words in numbers.empty
        assert words in effects_figure(numbers, LIGHT).layout.annotations[0].text


def test_the_page_reads_the_numbers_of_a_chart_again_only_after_a_change(url, monkeypatch):
    calls = []
    chart = replace(CHARTS["effects"], read=lambda *all: calls.append(1) or read_effects(*all))
    snapshot = Snapshot(url)
    try:
        search = snapshot.searches()[0]
        first = snapshot.chart_numbers(chart, search, ())
        assert snapshot.chart_numbers(chart, search, ()) is first
        assert len(calls) == 1
    finally:
        snapshot.close()


def test_the_page_reads_the_numbers_of_a_chart_again_after_a_retraining(tmp_path, monkeypatch):
    from sqlalchemy import insert, update

    from hybrid_search.ledger.tables import MeasurementRow, TrialRow

    monkeypatch.setattr("hybrid_search.dashboard.snapshot.MAX_AGE", 0.0)
    url = f"sqlite:///{tmp_path}/a.db"
    more = {"resources": Resources("local"), "checkpoints": "none", "ledger": url}
    with run(two_stages(), trials=4, evaluate=attention_helps_late, **more).ledger as ledger:
        snapshot = Snapshot(url)
        try:
            search, chart = snapshot.searches()[0], replace(CHARTS["effects"], read=lambda *_: object())
            before, view = snapshot.chart_numbers(chart, search, ()), snapshot.view(search)
            with ledger._engine.begin() as db:
                db.execute(insert(MeasurementRow).values(trial_id=1, name="accuracy", seed=7, value=0.1))
                db.execute(update(TrialRow).where(TrialRow.id == 1).values(changed=10_000))
            after = snapshot.view(search)
            assert (after.generation != view.generation, after.version) == (True, view.version)
            assert snapshot.chart_numbers(chart, search, ()) is not before
        finally:
            snapshot.close()


def test_a_large_search_names_the_command_with_its_name_quoted(monkeypatch):
    class Large:
        def read(self, *_):
            return {"complete": 20_001}

    record = SearchSpec.create(two_stages(), trials=3, name="a; b").record
    assert read_effects(Large(), record, ()).empty.endswith("hybrid-search effects 'a; b'")
    assert read_effects(Large(), replace(record, name="x" * 10_000), ()).empty.endswith("effects NAME")
