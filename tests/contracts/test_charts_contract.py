"""The contract of a chart, for every chart of the table and for a chart of a plugin."""

import pytest

pytest.importorskip("plotly", reason="charts need plotly: pip install -e '.[page]'")

from support.plugins import installed

from hybrid_search.charts import CHARTS, Chart, draw_chart
from hybrid_search.errors import PluginError, UnknownName
from hybrid_search.testing import ChartContract
from hybrid_search.testing.charts import SEARCHES, made_up_search, not_plain

PLUGIN = """
from hybrid_search.charts import Chart
from hybrid_search.charts.theme import figure_layout
from hybrid_search.ledger import reads


def read(ledger, search, trials):
    return [trial.seconds for trial in ledger.read(reads.trials, search.id, trials or None)]


def draw(seconds, theme):
    import plotly.graph_objects as go

    return go.Figure(go.Histogram(x=seconds), layout=figure_layout(theme))


Thing = Chart("seconds", "Time per trial", "search", read, draw)
"""


class TestFront(ChartContract):
    chart = CHARTS["front"]


class TestHypervolume(ChartContract):
    chart = CHARTS["hypervolume"]


class TestEffects(ChartContract):
    chart = CHARTS["effects"]


class TestTrainings(ChartContract):
    chart = CHARTS["trainings"]


class TestArchitecture(ChartContract):
    chart = CHARTS["architecture"]


class TestCurve(ChartContract):
    chart = CHARTS["curve"]


class TestCostByStage(ChartContract):
    chart = CHARTS["cost_by_stage"]


def test_every_built_in_chart_has_a_contract_test():
    tested = {kind.chart.name for kind in ChartContract.__subclasses__()}
    assert {name for name in CHARTS.names() if CHARTS.is_built_in(name)} <= tested


def test_the_contract_finds_numbers_that_are_not_plain():
    assert not_plain({"a": (1, 2.0, None, "x"), "b": [{"c": object()}]}) == ["numbers['b']['c']: object"]


def test_the_contract_finds_a_chart_that_does_not_escape(tmp_path):
    import plotly.graph_objects as go

    def read(ledger, search, trials):
        return search.name

    def draw(name, theme):
        return go.Figure(layout={"title": {"text": name}, "paper_bgcolor": theme.surface})

    class Careless(ChartContract):
        chart = Chart("careless", "Careless", "search", read, draw)

    from hybrid_search.charts import LIGHT
    from hybrid_search.ledger import Ledger

    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger, pytest.raises(AssertionError):
        Careless().test_every_text_is_escaped(ledger, LIGHT)


@pytest.fixture
def ledger(tmp_path):
    from hybrid_search.ledger import Ledger

    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def test_a_chart_of_a_plugin_is_drawn_by_its_name(tmp_path, monkeypatch, ledger):
    search = made_up_search(ledger, "many trials")
    with installed(tmp_path, monkeypatch, CHARTS, "seconds", PLUGIN):
        assert CHARTS["seconds"].title == "Time per trial"
        figure = draw_chart("seconds", ledger, search)
    assert len(figure.data[0].x) == len(SEARCHES["many trials"])


def test_a_chart_object_is_drawn_without_a_plugin(ledger):
    chart = Chart(
        "count", "Count", "search", lambda ledger, search, trials: 3, lambda n, theme: f"<svg>{n}</svg>", True
    )
    assert draw_chart(chart, ledger, made_up_search(ledger, "one trial")) == "<svg>3</svg>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("Thing = 3", "a chart must be a hybrid_search.charts.Chart; got int"),
        (PLUGIN.replace('"seconds", "Time', '"other", "Time'), "must be named like its entry point, 'seconds'"),
        (PLUGIN.replace('"search"', '"stages"'), 'must be "search" or "trials"; got \'stages\''),
        ("import no_such_module", "ModuleNotFoundError"),
    ],
)
def test_a_broken_chart_of_a_plugin_is_named_and_the_others_are_usable(tmp_path, monkeypatch, source, message):
    with installed(tmp_path, monkeypatch, CHARTS, "seconds", source):
        with pytest.raises(PluginError, match=f"chart 'seconds' comes from the package other_package 1.2.*{message}"):
            CHARTS["seconds"]
        assert "seconds" not in CHARTS.usable()
        assert "front" in CHARTS.usable()


def test_an_unknown_chart_is_refused_with_the_charts_that_exist(ledger):
    with pytest.raises(
        UnknownName, match=r"chart must be one of front, hypervolume, .*got 'fronts'. Did you mean 'front'"
    ):
        draw_chart("fronts", ledger, made_up_search(ledger, "no trial"))
