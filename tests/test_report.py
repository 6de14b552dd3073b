"""The report of a search: its numbers, its safety, its files, and every kind of search that a ledger may hold."""

import base64
import hashlib
import json
import math
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import insert
from support.fakes import scored
from support.ledgers import a_search, fill, url_of
from test_effects import attention_helps_late, two_stages

from hybrid_search import Objective, cli
from hybrid_search._internal.visible_text import visible
from hybrid_search.charts.svg.scales import fitted, tick_texts
from hybrid_search.errors import SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.tables import MeasurementRow
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.records import Resources
from hybrid_search.report import report_text, write_report
from hybrid_search.report.markdown_page import _prose, _text
from hybrid_search.runs.run import run
from hybrid_search.testing.charts import MARKUP, SEARCHES, made_up_search, search_with_markup

FRESH = (101, 102, 103)
MEGABYTE = 1_000_000


class Page(HTMLParser):
    """The tags, links and tables of a page: table name -> rows of (text, exact value or None)."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.tables, self.words = [], [], {}, ""
        self._rows = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        self.links += [given[name] for name in ("href", "src", "action", "xlink:href", "data") if name in given]
        if tag == "table":
            self._rows = self.tables[given["id"].removesuffix("-table")] = []
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append(["", None])
        elif tag == "data":
            self._rows[-1][-1][1] = float(given["value"])

    def handle_endtag(self, tag):
        if tag == "table":
            self._rows = None

    def handle_data(self, data):
        self.words += data
        if self._rows and self._rows[-1]:
            self._rows[-1][-1][0] += data

    def rows(self, table):
        """Return the rows of a table as dictionaries by heading: (text, value)."""
        head, *rows = self.tables[table]
        names = [text.strip() for text, _ in head]
        return [{n: (text.strip(), value) for n, (text, value) in zip(names, row, strict=True)} for row in rows]


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Return a database with a search of 30 trials, the front of which has three fresh seeds each."""
    url = f"sqlite:///{tmp_path_factory.mktemp('report')}/a.db"
    more = {"resources": Resources("local"), "checkpoints": "none", "sampler": "random", "ledger": url}
    with run(two_stages(), trials=30, evaluate=attention_helps_late, **more).ledger as ledger:
        search = ledger.search("two")
        values = ledger.read(reads.values, search.id, ["accuracy", "flops"])
        best = sorted(values, key=lambda number: -values[number]["accuracy"])[:3]
        best += sorted(set(values) - set(best), key=lambda number: values[number]["flops"])[:3]
        rows = [
            {"trial_id": trial.id, "name": name, "seed": seed, "value": value - 0.001 * (seed - 101)}
            for trial in ledger.read(reads.trials, search.id, best)
            for seed in FRESH
            for name, value in (
                ("accuracy", trial.measurements["accuracy"]),
                ("test_accuracy", trial.measurements["accuracy"] - 0.02),
            )
        ]
        rows += [
            {"trial_id": trial.id, "name": "flops", "seed": seed, "value": trial.measurements["flops"]}
            for trial in ledger.read(reads.trials, search.id, best)
            for seed in FRESH
        ]
        with ledger._engine.begin() as db:
            db.execute(insert(MeasurementRow), rows)
    return url


@pytest.fixture(scope="module")
def page(url):
    with Ledger(url, read_only=True) as ledger:
        return Page(report_text(ledger, ledger.search("two")))


@pytest.fixture
def ledger(tmp_path):
    with Ledger(url_of(tmp_path)) as opened:
        yield opened


def printed(capsys, *words):
    assert cli.run(list(words)) == 0
    return json.loads(capsys.readouterr().out)


# -- numbers --


def test_the_numbers_of_the_front_are_those_of_the_command(page, url, capsys):
    rows = printed(capsys, "front", "two", "--db", url, "--format", "json")
    shown = page.rows("front")
    assert len(rows) == len(shown) > 1
    for row, cells in zip(rows, shown, strict=True):
        exact = {"trial": row["trial"], "validation accuracy": row["accuracy"], "cost (2 x MACs)": row["flops"]}
        assert {name: cells[name][1] for name in exact} == exact
        assert cells["validation accuracy"][0] == f"{100 * row['accuracy']:.2f} %"
        assert ("knee" in cells["trial"][0]) == row["knee"]


def test_the_numbers_of_the_confirmation_are_those_of_the_command(page, url, capsys):
    rows = {row["trial"]: row for row in printed(capsys, "front", "two", "--db", url, "--format", "json")}
    shown = {int(cells["trial"][1]): cells for cells in page.rows("confirmed")}
    assert len(shown) == 6
    assert {number for number, cells in shown.items() if cells["on the front"][0] == "yes"} == set(rows)
    for number, row in rows.items():
        cells = shown[number]
        low, high = row["accuracy_interval"]
        assert cells["95 % interval of validation accuracy"][0] == f"{100 * low:.2f} to {100 * high:.2f} %"
        assert cells["validation accuracy"][1] == row["accuracy"]
        assert cells["test accuracy"][1] == row["test_accuracy"]
        assert cells["probability of the front"][1] == row["front_probability"]
        assert cells["fresh seeds"][1] == row["seeds"] == 3


def test_the_numbers_of_the_effects_are_those_of_the_command(page, url, capsys):
    document = printed(capsys, "effects", "two", "--db", url, "--format", "json")
    rows = [row for row in document["comparisons"] if row["kind"] != "option"]
    for row, cells in zip(rows, page.rows("effects"), strict=True):
        assert cells["comparison"][0] == f"{row['choice']} - {row['instead_of']}"
        assert cells["pairs"][1] == row["pairs"]
        assert cells["difference"][1] == row["difference"]
        assert cells["FLOPs ratio"][1] == row["flops_ratio"]
        assert cells["at equal FLOPs (model)"][1] == row["model_difference"]
    for share, cells in zip(document["operators"], page.rows("operators"), strict=True):
        assert (cells["trained"][1], cells["on front"][1]) == (share["trained"], share["on_front"])


def test_a_front_that_was_not_confirmed_says_so(ledger):
    text = report_text(ledger, made_up_search(ledger, "many trials"))
    assert "The front was not confirmed" in Page(text).words
    assert 'id="confirmed"' not in text


def test_chosen_designs_are_drawn_with_their_parts(url):
    with Ledger(url, read_only=True) as ledger:
        search = ledger.search("two")
        text = report_text(ledger, search, picks=["best", "3", "3"])
        page = Page(text)
        assert [name for name in page.tables if name.startswith("parts-")] == ["parts-1", "parts-2"]
        assert "Trial 3 (" in page.words
        with pytest.raises(UnknownName, match="pick"):
            report_text(ledger, search, picks=["nonsense"])


# -- every kind of search --


@pytest.mark.parametrize("kind", SEARCHES)
def test_every_search_has_a_report(ledger, kind, tmp_path):
    search = made_up_search(ledger, kind)
    page = Page(report_text(ledger, search))
    assert len([tag for tag, _ in page.tags if tag == "h2"]) >= 6
    write_report(ledger, search, tmp_path / "out.md")
    complete = any(values and math.isfinite(values.get("accuracy", math.nan)) for _, values in SEARCHES[kind])
    assert ("the front is empty" in page.words) == (not complete)
    if kind == "only failed trials":
        assert "oom: 2. The last: out of memory" in page.words


def test_three_objectives_have_a_panel_for_each_cost(ledger):
    search = a_search(ledger, objectives=("accuracy", "flops", "latency_ms"))
    fill(ledger, search, 60)
    page = Page(report_text(ledger, search))
    figures = [given.get("id") for tag, given in page.tags if tag == "figure"]
    assert {"front-1", "front-2"} <= set(figures)
    assert "front-3" not in figures
    assert "The front is of all objectives" in page.words


def test_one_objective_is_drawn_over_the_trials(ledger):
    search = a_search(ledger, objectives=("accuracy",))
    fill(ledger, search, 20)
    assert "trial number" in Page(report_text(ledger, search)).words


def test_a_search_without_a_measured_objective_has_no_effects(ledger):
    search = a_search(ledger, objectives=("params", "flops"))
    fill(ledger, search, 20)
    assert "This search has costs only" in Page(report_text(ledger, search)).words


def test_a_thousand_trials_take_less_than_three_megabytes(ledger):
    search = a_search(ledger)
    fill(ledger, search, 1000)
    assert len(report_text(ledger, search).encode()) < 3 * MEGABYTE


# -- safety --


def hostile(ledger):
    """Return a search with markup wherever a ledger may hold it."""
    return search_with_markup(ledger)


def test_the_page_has_no_script_and_its_policy_allows_no_request(page, url):
    with Ledger(url, read_only=True) as ledger:
        text = report_text(ledger, ledger.search("two"))
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "embed", "form", "base"})
    assert [link for link in page.links if not link.startswith("#")] == ["data:,"]
    assert not [name for _, given in page.tags for name in given if name.startswith("on") or name == "style"]
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    (policy,) = [given["content"] for tag, given in page.tags if given.get("http-equiv") == "Content-Security-Policy"]
    style = text[text.index("<style>") + len("<style>") : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_every_text_of_the_page_is_escaped(ledger):
    page = Page(report_text(ledger, hostile(ledger)))
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "script"})
    assert not [name for _, given in page.tags for name in given if name.startswith("on")]
    assert MARKUP in page.words


def test_every_text_of_the_markdown_and_its_pictures_is_escaped(ledger, tmp_path):
    write_report(ledger, hostile(ledger), tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "<img" not in re.sub(r"(`+).*?\1", "", text, flags=re.DOTALL)
    for file in tmp_path.glob("out-*.svg"):
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(file.read_text("utf-8")).iter()}
        assert tags <= {"svg", "title", "rect", "path", "text", "g", "circle"}


@pytest.mark.parametrize(
    "name",
    ["x" * 10_000, "\u202eevil", "a\nb", "</title><script>alert(1)</script>", "`x` | y", "=1+1", "שלום"],
    ids=["long", "override", "line break", "script", "markdown", "formula", "right to left"],
)
def test_a_hostile_name_breaks_no_report(ledger, tmp_path, name):
    search = a_search(ledger, name)
    fill(ledger, search, 12)
    text = report_text(ledger, search)
    assert "<script" not in text
    assert "\u202e" not in text
    write_report(ledger, search, tmp_path / "out.md")
    markdown = (tmp_path / "out.md").read_text(encoding="utf-8")
    assert "<script" not in markdown.replace("<!--", "")
    assert "\u202e" not in markdown
    for table in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table


def test_unseen_characters_are_written_out():
    assert visible("a\u202eb\n\x1b[0m") == "a\\u202eb\\n\\x1b[0m"
    assert visible("café 👩\u200d🔬") == "café 👩\u200d🔬"
    assert visible("\ud800") == "\\ud800"


def test_plain_text_is_literal_in_markdown():
    assert _text("a|b*c_d`e<f>[g](h)") == r"a\|b\*c\_d\`e&lt;f&gt;\[g\](h)"
    assert _text("- no list") == r"\- no list"
    assert _prose("type `hybrid-search run <x>` | now") == r"type `hybrid-search run <x>` \| now"


# -- files --


def test_the_command_writes_a_page_and_replaces_only_reports(url, capsys):
    assert cli.run(["report", "two", "a.html", "--db", url]) == 0
    out = capsys.readouterr()
    assert out.out == ""
    assert f"report: {Path('a.html').absolute()}" in out.err
    before = Path("a.html").read_text()
    assert cli.run(["report", "a.html", "--db", url]) == 0
    assert Page(Path("a.html").read_text()).tables == Page(before).tables
    Path("b.html").write_text("mine")
    capsys.readouterr()
    assert cli.run(["report", "two", "b.html", "--db", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("OUT must be a new file or an earlier report; b.html is another file. --force replaces it.")
    assert Path("b.html").read_text() == "mine"
    assert cli.run(["report", "two", "b.html", "--force", "--db", url]) == 0
    assert "hybrid-search report" in Path("b.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["two", "a.pdf"], "OUT must be a file .html or .md, such as report.html; got a.pdf"),
        (["two", "no/such/a.html"], "OUT must be in a folder that exists"),
        (["two", "more", "a.html"], "report takes [NAME] OUT; got two more a.html"),
        (["tow", "a.html"], "search must be one of two; got 'tow'. Did you mean 'two'?"),
        (["two", "a.html", "--pick", "999"], "trial must be a number from 0 to 29; got 999"),
        (["two", "a.html", "--pick", "beste"], "Did you mean 'best'?"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(url, capsys, words, message):
    assert cli.run(["report", *words, "--db", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert list(Path().iterdir()) == []


def test_markdown_has_its_pictures_beside_it(url):
    Path("my reports").mkdir()
    with Ledger(url, read_only=True) as ledger:
        write_report(ledger, ledger.search("two"), "my reports/first one.md")
    folder = Path("my reports")
    text = (folder / "first one.md").read_text(encoding="utf-8")
    linked = [name.replace("%20", " ") for name in re.findall(r"\]\(([^)]+\.svg)\)", text)]
    assert sorted(linked) == sorted(path.name for path in folder.glob("*.svg"))
    assert "first one-front-1.svg" in linked
    for name in linked:
        picture = (folder / name).read_text(encoding="utf-8")
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in picture
    (folder / "first one-front-1.svg").write_text("mine")
    before = (folder / "first one.md").read_text()
    with Ledger(url, read_only=True) as ledger, pytest.raises(SettingsError, match=r"front-1\.svg is another file"):
        write_report(ledger, ledger.search("two"), "my reports/first one.md")
    assert (folder / "first one.md").read_text() == before


# -- reproduction --


def code_of(markdown, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def test_the_commands_of_a_report_repeat_the_search(monkeypatch, capsys):
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    options = ["--trials", "5", "--seed", "3", "--max-flops", "3M", "--sampler", "random", "--no-known-designs"]
    options += ["--tune-recipe", "--set", "batch_size=16", "--set", "clip=0", "--name", "first one"]
    local = ["--engine", "local", "--checkpoints", "none"]
    assert cli.run(["run", "digits", *options, *local, "--db", "sqlite:///first.db"]) == 0
    with Ledger("sqlite:///first.db", read_only=True) as ledger:
        first = ledger.search()
        before = ledger.read(reads.digests, first.id)
        write_report(ledger, first, "report.md")
    text = Path("report.md").read_text(encoding="utf-8")
    (space,) = code_of(text, "yaml")
    Path("space.yaml").write_text(space)
    command, last = code_of(text, "console")[-1].splitlines()
    assert last == "hybrid-search report 'first one' report.html"
    program, *words = shlex.split(command)
    assert program == "hybrid-search"
    assert cli.run([*words, *local, "--db", "sqlite:///again.db"]) == 0
    with Ledger("sqlite:///again.db", read_only=True) as ledger:
        again = ledger.search("first one")
        assert ledger.read(reads.digests, again.id) == before
    same = ("objectives", "settings", "sampler", "seed", "target", "max_flops", "max_params", "tuned", "known_designs")
    assert {name: getattr(first, name) for name in same} == {name: getattr(again, name) for name in same}


def test_what_no_command_can_repeat_is_said(page, ledger):
    assert "This search uses an evaluation" in page.words
    own = Objective("own", "minimize")
    search = a_search(ledger, "mine", objectives=("own", "flops"), own_objectives=(own,))
    assert "The space cannot be written here" in Page(report_text(ledger, search)).words


# -- scales --


@pytest.mark.parametrize(
    "values", [[0.5], [0.0, 1.0], [1e6, 4e6], [1e3, 1e9], [-2.3, 2.2], [5.0, 5.0], [0.991, 0.9912]]
)
@pytest.mark.parametrize("log", [True, False])
def test_an_axis_has_ticks_with_different_texts_inside_it(values, log):
    scale = fitted(values, 0, 100, log=log)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(-0.01 <= scale.at(tick) <= 100.01 for tick in ticks)
    for name in ("accuracy", "flops"):
        texts = tick_texts(ticks, OBJECTIVES[name])
        assert len(set(texts)) == len(texts)
