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
from support.postgres import PASSWORD, typed

from hybrid_search import cli
from hybrid_search.cli.options import without_password
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.tables import Base
from hybrid_search.records import Resources
from hybrid_search.runs.run import run

URL = "postgresql://u:a%40b@h/d"


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--db", URL],
        ["run", f"--db={URL}"],
        ["front", "--db", URL],
        ["db", "copy", "--to", URL, "x"],
        ["db", "copy", "--db", "postgresql://u@h/d", "--to", URL],
        ["run", "--db", "postgresql://u:123/pa55@h/d"],
        ["run", "--db", "postgresql://us?er:pa55@h/d"],
        ["run", "--db", "postgresql://a@b:pa55@h/d"],
        ["run", "--db", "postgresql://h/d?pass%77ord=pa55"],
        *(["run", "--db", f"postgresql://u:{odd}@h/d"] for odd in ("pa/ss", "pa?ss", "pa#ss", "p@ss", "p:a/s?s#w@rd")),
        *(
            ["status", "--db", f"postgresql://u@h/d{query}"]
            for query in ("?password=a%40b", "?sslmode=require&password=a%40b", "?sslpassword=a%40b&connect_timeout=3")
        ),
    ],
)
def test_a_password_in_a_database_option_is_refused_and_not_shown(words, capsys):
    assert cli.run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    for place in ("HYBRID_SEARCH_DB", "PGPASSWORD", "~/.pgpass"):
        assert place in line
    for secret in ("a%40b", "a@b", "pa/ss", "pa?ss", "pa#ss", "p@ss", "w@rd", "pa55"):
        assert secret not in line
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///a:b@c.db",
        "postgresql://u@h/d",
        "postgresql://u@h:5432/d",
        "postgresql://h:5432/d?options=a%40b",
        "postgresql://u@h/d?passfile=here",
    ],
)
def test_a_url_without_a_password_is_accepted(url):
    assert without_password(url) == url


@pytest.mark.parametrize("words", [["db", "copy", "one", URL], ["space", URL], ["cost", URL], ["run", "--engine", URL]])
def test_an_address_where_none_is_expected_is_refused_without_its_password(words, capsys):
    assert cli.run(words) == 2
    said = capsys.readouterr().err
    assert "postgresql://u:***@h/d" in said
    assert "a%40b" not in said


@pytest.mark.server
@pytest.mark.parametrize("place", ["HYBRID_SEARCH_DB", "PGPASSWORD", ".pgpass"])
def test_the_console_script_reads_the_password_from_each_place_that_it_names(server, tmp_path, place):
    url = server.database()
    with Ledger(url) as ledger:
        run(tiny_space(), trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored(), name="mine")
    code = "from hybrid_search.cli import main; main()"
    words = [sys.executable, "-c", code, "front", "--format", "csv"]
    environment = dict(os.environ)
    with typed("--db", url) as option:
        if place == "HYBRID_SEARCH_DB":
            environment[place] = url
        else:
            words += option
        if place == "PGPASSWORD":
            environment[place] = PASSWORD
    if place == ".pgpass":
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        (tmp_path / place).write_text(f"*:*:*:*:{escaped}\n")
        (tmp_path / place).chmod(0o600)
        environment["PGPASSFILE"] = str(tmp_path / place)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr


@pytest.mark.server
def test_the_next_commands_name_the_database_without_its_password(server, monkeypatch, capsys):
    url = server.database()
    monkeypatch.setattr("hybrid_search.training.evaluation.evaluate", scored())
    words = ["run", "digits", "--trials", "1", "--engine", "local", "--no-known-designs", "--db", url]
    with typed(*words) as shown:
        assert cli.run(shown) == 0
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
# If GPUs are requested, Ray starts before the ledger is opened.
@pytest.mark.parametrize("gpus", [None, pytest.param(1, marks=pytest.mark.slow)])
def test_neither_ray_nor_the_ledger_nor_a_traceback_holds_the_password(server, tmp_path, gpus):
    url = server.database()
    quoted = url.split(":")[2].split("@")[0]
    script = tmp_path / "script.py"  # contains the password backwards, so the program itself does not count as a hit
    script.write_text(SCRIPT.format(secret=PASSWORD[::-1], quoted=quoted[::-1], gpus=gpus))
    scratch = Path(tempfile.mkdtemp(prefix="ray-"))  # sockets need a short path
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
