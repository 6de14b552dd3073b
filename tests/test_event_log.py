"""The log beside the database: one line of JSON per event, no secrets, and the events of every trial."""

import json
from pathlib import Path

import pytest
from support.fakes import broken, scored, tiny_space

from hybrid_search._internal.event_log import LOG, AsText, event_fields, log_file
from hybrid_search.errors import SettingsError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.records import Resources
from hybrid_search.runs.run import run


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def test_the_log_has_the_start_and_the_end_of_every_trial(ledger, tmp_path):
    run(
        tiny_space(),
        trials=8,
        resources=Resources("local"),
        ledger=ledger,
        evaluate=broken("raises"),
        sampler="random",
        seed=3,
    )
    found = lines(tmp_path / "l.db.log")
    trials = ledger.read(reads.trials, ledger.search().id)
    begun = [line["trial"] for line in found if line["event"] == "trial started"]
    ended = {line["trial"]: line["event"] for line in found if line["event"] in ("trial complete", "trial failed")}
    assert begun == [trial.number for trial in trials]
    assert ended == {trial.number: f"trial {trial.state}" for trial in trials}
    failed = next(line for line in found if line["event"] == "trial failed")
    assert (failed["level"], failed["kind"]) == ("warning", "bug")
    assert "a bug in the user's code" in failed["text"]
    assert [line["event"] for line in found][:2] == ["leading", "search started"]
    assert found[-1]["event"] == "search stopped"
    assert found[-1]["complete"] == sum(trial.state == "complete" for trial in trials)


def test_debug_adds_every_rung_and_error_leaves_the_rest_out(ledger, tmp_path):
    run(
        tiny_space(), trials=2, resources=Resources("local"), ledger=ledger, evaluate=scored(rungs=3), log_level="debug"
    )
    assert sum(line["event"] == "rung" for line in lines(tmp_path / "l.db.log")) == 6
    before = (tmp_path / "l.db.log").read_text()
    run(
        tiny_space(), trials=2, resources=Resources("local"), ledger=ledger, evaluate=scored(rungs=3), log_level="error"
    )
    assert (tmp_path / "l.db.log").read_text() == before


def test_secrets_and_unusual_values_do_not_break_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SECRET", "open-sesame")
    with log_file(tmp_path / "x.log", print):
        LOG.info(
            "open-sesame was said", extra=event_fields(url="postgresql://me:hunter22@h/d", numbers={"a": float("nan")})
        )
        try:
            raise ValueError("token=abcdefgh\nsecond line")
        except ValueError:
            LOG.exception("it broke", extra=event_fields(what=KeyError("k")))
    text = (tmp_path / "x.log").read_text()
    assert not any(secret in text for secret in ("open-sesame", "hunter22", "abcdefgh"))
    assert len(text.splitlines()) == 2
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["*** was said", "it broke"]


def test_no_handler_is_left_on_the_logger_and_an_unknown_level_is_an_error(tmp_path):
    before = list(LOG.handlers), LOG.level
    with log_file(tmp_path / "x.log", print, "warning"):
        LOG.info("not wanted")
    assert (list(LOG.handlers), LOG.level) == before
    assert (tmp_path / "x.log").read_text() == ""
    with pytest.raises(SettingsError, match=r"log-level must be one of debug, info, warning, error; got 'loud'"):
        run(
            tiny_space(),
            trials=1,
            resources=Resources("local"),
            ledger=f"sqlite:///{tmp_path}/none.db",
            log_level="loud",
        )
    assert not (tmp_path / "none.db").exists()


def test_a_log_that_cannot_be_written_is_reported_and_the_search_continues(tmp_path):
    (tmp_path / "file").write_text("in the way")
    said = []
    with log_file(tmp_path / "file" / "x.log", said.append):
        LOG.info("search resumed")
    assert len(said) == 1
    assert "the log of this search is not written" in said[0]


def test_a_full_disk_affects_only_the_log(tmp_path, capsys):
    said = []
    with log_file(Path("/dev/full"), said.append):
        for _ in range(3):
            LOG.info("search resumed")
    assert said == ["the log of this search is not written: /dev/full: No space left on device"]
    assert capsys.readouterr() == ("", "")


def test_a_number_that_is_not_finite_leaves_a_line_of_json(tmp_path):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    with log_file(tmp_path / "x.log", print):
        LOG.info("odd", extra=event_fields(nan=float("nan"), inside={"inf": float("inf")}))
    found = json.loads((tmp_path / "x.log").read_text(), parse_constant=refuse)
    assert (found["nan"], found["inside"]) == ("nan", {"inf": "inf"})


def test_text_for_people_has_the_event_and_then_its_fields():
    record = LOG.makeRecord(
        "hybrid_search", 20, "", 0, "trial started", (), None, extra=event_fields(trial=3, kind=None)
    )
    assert AsText().format(record) == "trial started trial=3"
