"""Wrong results and wrong factories: refused with a message, or a failed trial; the search can be opened afterwards."""

import optuna
import pytest
from support.fakes import scored, tiny_space
from support.plugins import installed

from hybrid_search import (
    HybridSearchError,
    Ledger,
    LostLease,
    Outcome,
    PluginError,
    Report,
    Resources,
    SearchSpace,
    SearchSpec,
    Settings,
    SettingsError,
    open_search,
    run,
)
from hybrid_search.charts import draw_chart
from hybrid_search.ledger import reads
from hybrid_search.loggers import LOGGERS
from hybrid_search.ops import OPERATORS
from hybrid_search.pruners import PRUNERS
from hybrid_search.samplers import SAMPLERS

LOCAL = Resources(engine="local")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def spec():
    return SearchSpec.create(tiny_space(), trials=3, evaluation="mine", known_designs=False)


@pytest.mark.parametrize(
    ("state", "kind", "text"),
    [("completed", None, "state of an outcome must be one of"), ("failed", "weird", "failure_kind must be one of")],
)
def test_an_outcome_of_an_unknown_state_or_kind_is_refused(state, kind, text):
    with pytest.raises(SettingsError, match=text):
        Outcome(state, {"accuracy": 0.5}, kind)


def test_a_trial_ends_once(ledger):
    search = open_search(spec(), ledger)
    trial = search.ask()
    search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
    with pytest.raises(LostLease, match="a trial ends once; trial 0 of 'tiny' is complete already"):
        search.tell(trial, Outcome("complete", {"accuracy": 0.9}))
    assert search.progress().counts == {"running": 0, "complete": 1, "stopped": 0, "failed": 0}
    assert open_search(spec(), ledger).progress().counts["complete"] == 1


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(rung=1, measurements={"accuracy": None}, last=True), "a measurement must be a number"),
        (Report(rung=1, measurements={"accuracy": "0.5"}, last=True), "a measurement must be a number"),
        ({"accuracy": "0.5"}, "a measurement must be a number"),
        (Report(rung="x", measurements={"accuracy": 0.5}, last=True), "the rung of a report must be a whole number"),
    ],
    ids=["none", "text", "text in a mapping", "rung"],
)
def test_a_wrong_report_fails_its_trial_and_not_the_search(ledger, report, text):
    def evaluate(architecture, settings):
        yield report

    evaluate.__qualname__ = "wrong_report"
    with pytest.raises(HybridSearchError, match=r"^all 2 trials failed \(bug\), so the search has no result"):
        run(tiny_space(), trials=2, evaluate=evaluate, resources=LOCAL, ledger=ledger, known_designs=False)
    trials = ledger.read(reads.trials, ledger.search().id)
    assert [trial.state for trial in trials] == ["failed", "failed"]
    assert text in trials[0].failure_text


def raises(seed, facts):
    raise ValueError("no such thing")


def returns_three(first, second):
    return 3


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"sampler": optuna.samplers.RandomSampler}, r"factory \(seed, facts\) -> optuna sampler; .* raised TypeError"),
        ({"sampler": raises}, "raised ValueError: no such thing"),
        ({"sampler": returns_three}, "returned 3"),
        ({"pruner": returns_three}, "returned 3, which has no min_probability"),
    ],
    ids=["a class", "an error", "a number", "a pruner that is a number"],
)
def test_a_wrong_factory_is_refused_and_nothing_is_stored(ledger, more, text):
    with pytest.raises(SettingsError, match=text):
        run(tiny_space(), trials=2, evaluate=scored(), resources=LOCAL, ledger=ledger, **more)
    assert ledger.searches() == []


@pytest.mark.parametrize(
    ("table", "option", "source", "text"),
    [
        (SAMPLERS, "sampler", "from optuna.samplers import RandomSampler as Thing", "raised TypeError"),
        (SAMPLERS, "sampler", "def Thing(seed, facts):\n    return 3", "returned 3"),
        (PRUNERS, "pruner", "def Thing(aims, seed):\n    return 3", "returned 3, which has no"),
    ],
    ids=["a class", "a number", "a pruner that is a number"],
)
def test_a_wrong_factory_of_a_plugin_is_refused_and_nothing_is_stored(
    ledger, tmp_path, monkeypatch, table, option, source, text
):
    with (
        installed(tmp_path, monkeypatch, table, "theirs", source),
        pytest.raises(SettingsError, match=rf"{option} must be a name or a factory .*'theirs' {text}"),
    ):
        run(tiny_space(), trials=2, evaluate=scored(), resources=LOCAL, ledger=ledger, **{option: "theirs"})
    assert ledger.searches() == []


OPERATOR = """
from hybrid_search.ops.conv import Conv


class Thing(Conv):
    label = "theirs"

    def cost(self, width, rows, cols, stride):
        return {}
"""


@pytest.mark.parametrize(
    ("stated", "text"),
    [("None", "got None"), ("[1]", r"got \[1\]"), ("1 / 0", "it raised ZeroDivisionError: division by zero")],
)
def test_an_operator_whose_cost_is_no_list_of_layers_is_refused(ledger, tmp_path, monkeypatch, stated, text):
    stage = {"depth": 1, "width": 8, "operator": ["conv", "theirs"]}
    theirs = {"name": "theirs", "stem": {"conv3x3": {"width": 8}}, "stages": [stage]}
    law = rf"^cost of other_package\.Thing must return a list of Layer; {text}\.$"
    with installed(tmp_path, monkeypatch, OPERATORS, "theirs", OPERATOR.format(stated)):
        space = SearchSpace.from_dict(theirs)
        with pytest.raises(PluginError, match=law):
            run(space, trials=2, resources=LOCAL, ledger=ledger, settings=Settings(data="digits"))
    assert ledger.searches() == []


def test_a_logger_of_a_plugin_that_cannot_check_its_place_is_one_line(ledger, tmp_path, monkeypatch):
    source = (
        "class Thing:\n"
        "    check = classmethod(lambda cls, place: 1 / 0)\n"
        "    def __init__(self, place, run): pass\n"
        "    def trial(self, fields): pass\n"
        "    def epoch(self, epoch, measurements): pass\n"
        "    def close(self): pass\n"
    )
    law = r"^logger theirs \(--log\) must be able to check its place; .*division by zero\.$"
    with installed(tmp_path, monkeypatch, LOGGERS, "theirs", source), pytest.raises(SettingsError, match=law):
        run(tiny_space(), trials=2, evaluate=scored(), resources=LOCAL, ledger=ledger, loggers=["theirs"])
    assert ledger.searches() == []


def test_a_chart_that_is_neither_a_name_nor_a_chart_is_refused(ledger):
    with pytest.raises(SettingsError, match=r"^chart must be a name \(.*front.*\) or a Chart; got \{'a': 1\}\.$"):
        draw_chart({"a": 1}, ledger, None)
