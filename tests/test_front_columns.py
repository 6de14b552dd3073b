"""`front --columns`: seconds and further measurements beside the objectives."""

import csv
import io
import json

import pytest
from support.fakes import graded, wide_space

from hybrid_search import cli
from hybrid_search.records import Resources
from hybrid_search.runs.run import run


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('columns')}/a.db"
    more = {"resources": Resources("local"), "checkpoints": "none", "ledger": url}
    run(wide_space(), trials=5, evaluate=graded(), **more).ledger.close()
    return url


def printed(capsys, *words):
    code = cli.run(["front", *words])
    return code, capsys.readouterr()


def test_seconds_and_a_measurement_become_columns_of_every_form(url, capsys):
    _, out = printed(capsys, "--db", url, "--columns", "seconds, train_loss")
    assert "seconds" in out.out.splitlines()[1]
    assert "train loss" in out.out.splitlines()[1]
    _, out = printed(capsys, "--db", url, "--columns", "seconds,train_loss", "--format", "json")
    rows = json.loads(out.out)
    assert all(row["seconds"] >= 0 and row["train_loss"] > 0 for row in rows)
    _, out = printed(capsys, "--db", url, "--columns", "seconds", "--format", "csv")
    assert "seconds" in next(csv.reader(io.StringIO(out.out)))


@pytest.mark.parametrize("name", ["second", "", "architecture", "seconds,,"])
def test_an_unknown_column_is_one_line_that_lists_the_known_ones(url, capsys, name):
    code, out = printed(capsys, "--db", url, "--columns", name)
    assert code == 2
    assert out.out == ""
    assert "--columns must be of seconds, accuracy" in out.err
    assert len(out.err.strip().splitlines()) == 1
