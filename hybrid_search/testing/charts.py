"""The contract of a chart as a class of tests."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, ClassVar
from xml.etree import ElementTree

import pytest

from hybrid_search.charts import THEMES, Chart, Theme
from hybrid_search.charts.table import checked_chart
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.objectives import Objective
from hybrid_search.records import SearchRecord, Settings

MARKUP = "<img src=x onerror=alert(1)>"
STAGE = {"operator": "conv", "depth": 1, "width": 8, "stride": 1, "kernel_size": 3}
PLAIN = (bool, int, float, str, datetime, type(None))

# What a ledger may hold: the operator of each trial's stage, and the trial's measurements (None: it failed).
SEARCHES: dict[str, list[tuple[str, dict[str, float] | None]]] = {
    "no trial": [],
    "one trial": [("conv", {"accuracy": 0.5, "flops": 1e6, "params": 1e4})],
    "many trials": [
        ("conv", {"accuracy": 0.5 + 0.1 * math.sin(i), "flops": 1e6 * (1 + i % 7), "params": 1e4}) for i in range(20)
    ],
    "missing and infinite numbers": [
        ("conv", {"flops": 1e6}),
        ("conv", {"accuracy": math.inf, "flops": 1e6}),
        ("conv", {"accuracy": 0.5, "flops": 1e6}),
    ],
    "only failed trials": [("conv", None), ("conv", None)],
    "an operator that is not installed": [("no_such_operator", {"accuracy": 0.5, "flops": 1e6, "params": 1e4})],
}


class ChartContract:
    """The tests that every chart must pass. Inherit from it in a test module.

    Attributes:
        chart: the chart.

    Example:
        >>> class TestSeconds(ChartContract):
        ...     chart = SECONDS
    """

    chart: ClassVar[Chart]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each kind of search and for each theme."""
        if "kind" in metafunc.fixturenames:
            metafunc.parametrize("kind", SEARCHES)
        if "theme" in metafunc.fixturenames:
            metafunc.parametrize("theme", THEMES.values(), ids=THEMES)

    @pytest.fixture(scope="class")
    @classmethod
    def ledger(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
        """Return a ledger for all tests of a chart; each test adds the search that it needs, unless it is there."""
        with Ledger(f"sqlite:///{tmp_path_factory.mktemp('charts') / 'ledger.db'}") as ledger:
            yield ledger

    def numbers(self, ledger: Ledger, search: SearchRecord) -> Any:
        """Return the numbers of the chart; a chart of trials gets the first two.

        Args:
            ledger: the ledger.
            search: a search in it.
        """
        trials = [point.number for point in ledger.read(reads.points, search.id, ["accuracy"])[0]][:2]
        return self.chart.read(ledger, search, tuple(trials) if self.chart.subject == "trials" else ())

    def draw(self, numbers: Any, theme: Theme) -> str:
        """Return the picture as text: SVG, or the JSON of a plotly figure.

        Args:
            numbers: what `read` returned.
            theme: the look.
        """
        drawn = self.chart.draw(numbers, theme)
        return str(drawn) if self.chart.svg else str(drawn.to_json())

    def test_the_chart_is_complete(self) -> None:
        """It has a name, a title and a known subject."""
        assert checked_chart(self.chart.name, self.chart) is self.chart
        assert self.chart.name.isidentifier()
        assert self.chart.title.strip()

    def test_the_numbers_are_plain_values(self, ledger: Ledger, kind: str) -> None:
        """`read` returns numbers, text and containers of them: a test can compare them, and plotly is not needed."""
        assert not_plain(self.numbers(ledger, made_up_search(ledger, kind))) == []

    def test_reading_twice_gives_equal_numbers(self, ledger: Ledger, kind: str) -> None:
        """`read` depends only on the ledger."""
        search = made_up_search(ledger, kind)
        assert repr(self.numbers(ledger, search)) == repr(self.numbers(ledger, search))

    def test_every_search_is_drawn_in_the_colours_of_the_theme(self, ledger: Ledger, kind: str, theme: Theme) -> None:
        """`draw` works without trials, with missing numbers and with failed trials."""
        text = self.draw(self.numbers(ledger, made_up_search(ledger, kind)), theme)
        assert theme.surface in text

    def test_every_text_is_escaped(self, ledger: Ledger, theme: Theme) -> None:
        """Names, labels, operators, options and failure texts may contain markup; it is shown as text."""
        search = search_with_markup(ledger)
        text = self.draw(self.numbers(ledger, search), theme)
        if self.chart.svg:
            tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
            assert not tags & {"img", "script", "foreignObject", "a", "use", "image"}
        else:
            assert [shown for shown in texts_in(json.loads(text)) if "<img" in shown] == []


def made_up_search(ledger: Ledger, kind: str) -> SearchRecord:
    """Return the record of a search of this name with the trials of SEARCHES[kind]; write it if there is none."""
    if (written := ledger.find_search(kind)) is not None:
        return written
    search = _new_search(ledger, kind)
    for number, (operator, measurements) in enumerate(SEARCHES[kind]):
        _write_trial(ledger, search, number, {**STAGE, "operator": operator}, measurements)
    return search


def search_with_markup(ledger: Ledger) -> SearchRecord:
    """Write a search whose name, objective, operators, options and failure texts contain markup; return its record.

    It is written if there is none.
    """
    if (written := ledger.find_search(MARKUP)) is not None:
        return written
    own = Objective("own", "minimize", label=MARKUP, unit=MARKUP)
    search = _new_search(ledger, MARKUP, own)
    numbers = {"own": 0.5, "flops": 1e6, "params": 1e4, MARKUP: 1.0}
    _write_trial(ledger, search, 0, {**STAGE, "operator": MARKUP, MARKUP: MARKUP}, numbers)
    _write_trial(ledger, search, 1, {**STAGE, "operator": MARKUP}, {**numbers, "flops": 5e5})
    _write_trial(ledger, search, 2, STAGE, None, failure_text=MARKUP)
    return search


def not_plain(value: Any, where: str = "numbers") -> list[str]:
    """Return the places in a value that hold something else than numbers, text and containers of them."""
    if isinstance(value, PLAIN):
        return []
    if is_dataclass(value) and not isinstance(value, type):
        return [p for f in fields(value) for p in not_plain(getattr(value, f.name), f"{where}.{f.name}")]
    if isinstance(value, Mapping):
        return [place for key, item in value.items() for place in not_plain((key, item), f"{where}[{key!r}]")]
    if isinstance(value, tuple | list | set | frozenset):
        return [place for item in value for place in not_plain(item, where)]
    return [f"{where}: {type(value).__name__}"]


def texts_in(value: Any) -> list[str]:
    """Return every text in a value of JSON."""
    if isinstance(value, str):
        return [value]
    items = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for item in items for text in texts_in(item)]


def _new_search(ledger: Ledger, name: str, *own: Objective) -> SearchRecord:
    return ledger.create_search(
        SearchRecord(
            id=0,
            name=name,
            space={},
            objectives=(own[0].name if own else "accuracy", "flops"),
            own_objectives=own,
            settings=Settings(epochs=2),
            sampler="random",
            seed=0,
            target=20,
        )
    )


def _write_trial(
    ledger: Ledger,
    search: SearchRecord,
    number: int,
    stage: Mapping[str, Any],
    measurements: Mapping[str, float] | None,
    failure_text: str = "out of memory",
) -> None:
    """Write one trial that completed with these measurements, or failed, and its learning curve."""
    stem = {"kind": "conv3x3", "width": 8}
    plain = {"version": 1, "expansion": 4, "stem": stem, "stages": [dict(stage)]}
    trial = ledger.write(
        writes.start_trial,
        search.id,
        number,
        digest=f"{number:016x}",
        architecture=plain,
        choices={},
        settings=search.settings,
    )
    if measurements is None:
        ledger.write(writes.finish_trial, trial, "failed", failure_kind="oom", failure_text=failure_text)
        return
    for epoch in (1, 2):
        ledger.write(writes.add_rung, trial, epoch, {name: value * epoch / 2 for name, value in measurements.items()})
    ledger.write(writes.finish_trial, trial, "complete", measurements)
