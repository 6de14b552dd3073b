"""What notebooks show: HTML of architectures, searches and fronts, charts of every source, and the example notebook."""

import ast
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.fakes import scored, tiny_space
from support.ledgers import a_search, an_architecture, fill, url_of

from hybrid_search import Architecture, Objective, SearchSpec, open_search, reference
from hybrid_search.charts import draw_chart, front_numbers, hypervolume_numbers
from hybrid_search.charts.front import read_front
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.search.results import Front

NOTEBOOK = Path(__file__).parent.parent / "docs" / "search.ipynb"
MARKUP = "<img src=x onerror=alert(1)>"
LOCAL = {"resources": Resources("local"), "checkpoints": "none"}


class Tags(HTMLParser):
    """The tags and the words of a fragment."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(text)
        assert self.tags.count("div") >= 1

    def handle_starttag(self, tag, attributes):
        assert not [name for name, _ in attributes if name.startswith("on")]
        self.tags.append(tag)

    def handle_data(self, data):
        self.words += data


@pytest.fixture
def search(tmp_path):
    found = run(tiny_space(), trials=6, evaluate=scored(), ledger=url_of(tmp_path), **LOCAL)
    yield found
    found.ledger.close()


def test_a_search_is_shown_as_its_front(search):
    page = Tags(search._repr_html_())
    assert {"svg", "table"} <= set(page.tags)
    assert "Search tiny" in page.words
    for number in search.front():
        assert f"trial {number}, on the front" in page.words


def test_a_search_without_a_trial_says_so(tmp_path):
    with Ledger(url_of(tmp_path)) as ledger:
        text = open_search(SearchSpec.create(tiny_space(), trials=3, evaluation="e"), ledger)._repr_html_()
    assert "no trial is complete yet" in Tags(text).words


def test_a_confirmation_is_shown_like_its_search(search):
    confirmation = confirm("tiny", seeds=1, evaluate=scored(), ledger=search.ledger, references=False, **LOCAL)
    assert "Front of tiny" in Tags(confirmation.front()._repr_html_()).words
    assert draw_chart("front", confirmation).data


def test_a_front_is_shown_with_its_values():
    own = Objective("own", "minimize", label=MARKUP, unit=MARKUP)
    front = Front(MARKUP, {3: [0.5, 1.0], 1: [0.25, 2.0]}, [Objective("accuracy", "maximize", unit="share"), own])
    page = Tags(front._repr_html_())
    assert {"svg", "table"} <= set(page.tags)
    assert "img" not in page.tags
    assert "50.00 %" in page.words
    assert Tags(Front("one", {0: [0.5]}, [Objective("accuracy", "maximize")])._repr_html_()).tags.count("svg") == 1
    assert "0 trials" in Tags(Front("none", {}, [own])._repr_html_()).words


def test_an_architecture_is_shown_with_its_parts_and_costs():
    page = Tags(reference("resnet26")._repr_html_())
    assert {"svg", "table"} <= set(page.tags)
    assert "images of 3 x 224 x 224" in page.words
    assert "4.68 GFLOPs" in page.words
    small = Architecture.from_dict({**an_architecture(__import__("random").Random(1)), "image_size": 32})
    assert "images of 3 x 32 x 32" in Tags(small._repr_html_()).words


# -- sources of a chart --


def test_a_chart_takes_a_search_a_ledger_or_a_database(search, tmp_path):
    drawn = [
        draw_chart("front", source, name)
        for source, name in (
            (search, None), (search.ledger, None), (search.ledger, "tiny"), (search.ledger, search.record),
            (url_of(tmp_path), "tiny"), (tmp_path / "ledger.db", None),
        )
    ]  # fmt: skip
    assert {figure.to_json() for figure in drawn} == {drawn[0].to_json()}
    assert "tiny" not in {path.name for path in Path().iterdir()}


@pytest.mark.parametrize("source", [None, 3, [1, 2], object()])
def test_another_source_is_refused(source):
    with pytest.raises(SettingsError, match="source must be a Ledger, the URL or file of a database, or what run"):
        draw_chart("front", source)


def test_records_give_the_numbers_of_the_ledger(tmp_path):
    with Ledger(url_of(tmp_path)) as ledger:
        search = a_search(ledger)
        fill(ledger, search, 40)
        trials = ledger.read(reads.trials, search.id)
        numbers, stored = front_numbers(trials, search.objectives, "flops", "accuracy"), read_front(ledger, search)
        assert [(spot.number, spot.x, spot.y, spot.operators) for spot in numbers.front] == [
            (spot.number, spot.x, spot.y, spot.operators) for spot in stored.front
        ]
        assert (numbers.line, numbers.knee, numbers.counts) == (stored.line, stored.knee, stored.counts)
        points, _ = ledger.read(reads.points, search.id, search.objectives)
    assert hypervolume_numbers(trials, search.objectives) == hypervolume_numbers(points, search.objectives)


# -- the example notebook --


def cells():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert content["nbformat"] == 4
    assert len({cell["id"] for cell in content["cells"]}) == len(content["cells"])
    assert all(cell.get("outputs", []) == [] for cell in content["cells"])
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


def test_every_cell_of_the_example_notebook_runs_and_shows_something(monkeypatch, tmp_path):
    pytest.importorskip("pandas", reason="to_frame needs pandas")
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    names, shown = {}, []
    for source in cells():
        *body, last = ast.parse(source).body
        assert isinstance(last, ast.Expr), f"the last line of a cell is a value to show: {source}"
        exec(compile(ast.Module(body, []), "cell", "exec"), names)
        shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
    rich = [value for value in shown if hasattr(value, "_repr_html_")]
    assert len(rich) >= len(shown) - 2
    assert all("<" in value._repr_html_() for value in rich)
    assert (tmp_path / "digits.html").exists()
    names["search"].ledger.close()
