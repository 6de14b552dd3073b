"""The password of a database is in no message, row, worker, command line or file of Ray."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url
from support.fakes import scored, tiny_space
from support.postgres import PASSWORD

from hybrid_search import cli
from hybrid_search.cli.unseen import KEPT, without_passwords, words_of_command
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.tables import Base
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

URL = "postgresql://u:a%40b@h/d"


def test_a_password_is_taken_out_of_the_command_line_wherever_it_stands():
    for words in (["run", "--db", URL], ["run", f"--db={URL}"], ["db", "copy", "--to", URL, "x"]):
        assert [word.replace(":a%40b", "") for word in words] == without_passwords(words)
    for words in (["run", "--db", "postgresql://u@h/d"], ["run", "--name", URL], ["front", "--db", "sqlite:///a:b@c"]):
        assert without_passwords(words) == words
    two = ["db", "copy", "--db", URL, "--to", "postgresql://v:other@g/d"]
    assert without_passwords(two) == ["db", "copy", "--db", "postgresql://u@h/d", "--to", "postgresql://v@g/d"]


@pytest.mark.parametrize("odd", ["pa/ss", "pa?ss", "pa#ss", "p@ss", "p:a/s?s#w@rd"])
def test_a_password_that_should_have_been_quoted_is_taken_out_as_well(odd):
    assert without_passwords(["run", "--db", f"postgresql://u:{odd}@h/d"]) == ["run", "--db", "postgresql://u@h/d"]


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("?password=x%26y", ""),
        ("?sslmode=require&password=x", "?sslmode=require"),
        ("?password=x&sslmode=require", "?sslmode=require"),
        ("?sslpassword=x&password=y&connect_timeout=3", "?connect_timeout=3"),
        ("?passfile=here", "?passfile=here"),
    ],
)
def test_a_password_in_the_query_is_taken_out_as_well(query, left):
    assert without_passwords(["run", f"--db=postgresql://u@h/d{query}"]) == ["run", f"--db=postgresql://u@h/d{left}"]


@pytest.mark.parametrize("words", [["db", "copy", "one", URL], ["space", URL], ["cost", URL], ["run", "--engine", URL]])
def test_an_address_where_none_is_expected_is_refused_without_its_password(words, capsys):
    assert cli.run(words) == 2
    said = capsys.readouterr().err
    assert "postgresql://u:***@h/d" in said
    assert "a%40b" not in said


def test_a_command_with_a_password_begins_again_without_it(monkeypatch):
    begun = []
    given = ["db", "copy", "--db", URL, "--to", "postgresql://v:other@g/d"]
    monkeypatch.setattr(sys, "orig_argv", ["python", "hybrid-search", *given])
    monkeypatch.setattr(sys, "argv", ["hybrid-search", *given])
    monkeypatch.setattr(os, "execv", lambda path, words: begun.append((path, words)))
    monkeypatch.setenv(KEPT, "")
    monkeypatch.delenv(KEPT)
    words_of_command()
    shown = ["db", "copy", "--db", "postgresql://u@h/d", "--to", "postgresql://v@g/d"]
    assert begun == [(sys.executable, [sys.executable, "hybrid-search", *shown])]
    monkeypatch.setattr(sys, "orig_argv", begun[0][1])
    monkeypatch.setattr(sys, "argv", ["hybrid-search", *shown])
    assert words_of_command() == given
    assert KEPT not in os.environ
    assert words_of_command() == shown
    assert len(begun) == 1


@pytest.mark.server
def test_the_console_script_opens_the_database_by_the_password_it_was_given(server):
    url = server.database()
    with Ledger(url) as ledger:
        run(tiny_space(), trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
    code = "from hybrid_search.cli import main; main()"
    words = [sys.executable, "-c", code, "front", "--format", "csv", "--db", url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr


@pytest.mark.server
def test_commands_to_type_next_name_the_database_without_its_password(server, monkeypatch, capsys):
    url = server.database()
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    words = ["run", "digits", "--trials", "1", "--engine", "local", "--no-warm-start", "--db", url]
    assert cli.run(words) == 0
    said = capsys.readouterr()
    assert f"--db {url[: url.index(':', 12)]}{url[url.index('@') :]}" in said.err
    for text in (PASSWORD, make_url(url).password, url):
        assert text not in said.out + said.err


SCRIPT = """
import os
from hybrid_search.records import Resources
from hybrid_search.runs.run import run
from support.fakes import tiny_space

def evaluate(architecture, settings):
    seen = [name for name, value in os.environ.items() if {secret!r} [::-1] in value or {quoted!r} [::-1] in value]
    yield {{"accuracy": 0.5, "seen": float(len(seen))}}

search = run(tiny_space(), trials=1, evaluate=evaluate, resources=Resources(workers=1, gpus_per_trial={gpus}))
print(search.ledger.display_url, os.environ["HYBRID_SEARCH_DB"] != "")
raise ValueError("the end")
"""


@pytest.mark.server
@pytest.mark.parametrize("gpus", [None, 1])  # where GPUs are asked for, Ray starts before the ledger is opened
def test_neither_ray_nor_the_ledger_nor_a_traceback_holds_the_password(server, tmp_path, gpus):
    url = server.database()
    quoted = url.split(":")[2].split("@")[0]
    script = tmp_path / "script.py"  # holds the password backwards, so that it may itself be found
    script.write_text(SCRIPT.format(secret=PASSWORD[::-1], quoted=quoted[::-1], gpus=gpus))
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets want a short path
    try:
        environment = {"HYBRID_SEARCH_DB": url, "RAY_TMPDIR": str(scratch), "PGPASSWORD": PASSWORD}
        environment |= {"RAY_OVERRIDE_RESOURCES": '{"GPU": 1}'} if gpus else {}
        environment |= {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        words = [sys.executable, str(script)]
        done = subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, timeout=120)
        files = {path: path.read_bytes() for path in scratch.rglob("*") if path.is_file()}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    assert "postgresql://hybrid:***@" in done.stdout, done.stderr
    assert "ValueError: the end" in done.stderr
    assert len(files) > 5
    with Ledger(url) as ledger, ledger._engine.connect() as db:
        rows = [str(row) for table in Base.metadata.sorted_tables for row in db.execute(select(table))]
        assert [trial.measurements["seen"] for trial in ledger.read(reads.trials, 1)] == [0.0]
    for secret in (PASSWORD, quoted):
        assert secret not in done.stdout + done.stderr
        assert [path for path, content in files.items() if secret.encode() in content] == []
        assert [row for row in rows if secret in row] == []
