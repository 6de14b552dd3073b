"""Ten thousand passwords of every printable character leak from no place where a URL is typed or logged."""

import json
import logging
import os
import random
import string
import traceback
import warnings
from contextlib import suppress
from urllib.parse import quote, quote_plus

import pytest
from support.fuzz import fuzz_counts

from hybrid_search import cli
from hybrid_search._internal import redaction
from hybrid_search._internal.event_log import AsJson, AsText, event_fields
from hybrid_search._internal.redaction import redact
from hybrid_search._internal.url_secrets import ENCODE, secrets_of
from hybrid_search.engines.ray.address import check_address
from hybrid_search.errors import LedgerError, SettingsError
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import database_url, display_url, redact_url_secrets, url_without_password
from hybrid_search.records import Resources
from hybrid_search.training.checkpoints import check_writable

FULL, REDUCED = 10_000, 60
LEAK = 4  # characters of a password in a row that count as a leak
UNICODE = "äßéπ中文🙂\u2028\u00a0"
ALPHABET = string.printable.replace("\0", "") + UNICODE
# Every text below has these words of its own; a part of a password that equals one is no leak.
PUBLIC = (
    "postgresql://me:***@db.example:5432/lab s3://me:***@bucket/folder HYBRID_SEARCH_DB PGPASSWORD %25 %40 %2F %3F %23"
)


@pytest.fixture(autouse=True)
def _no_secret_is_known(monkeypatch):
    monkeypatch.setattr(redaction, "_registered", set())
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", os.devnull)


def passwords(count, seed=0, least=8):
    """Yield random passwords: of the whole alphabet, of its punctuation, or with letters in between."""
    rng = random.Random(seed)
    for _ in range(count):
        letters = rng.choice((ALPHABET, string.punctuation, string.ascii_letters + string.digits + "@/:?#%& '\"\\+"))
        yield "".join(rng.choices(letters, k=rng.randint(least, 40)))


def leaks(password, text):
    """Return the parts of a password that stand in a text, plain or in another form."""
    texts = [text, text.replace("\\\\", "\\").replace("\\'", "'").replace('\\"', '"')]
    parts = {password[i : i + LEAK] for i in range(len(password) - LEAK + 1)}
    parts |= {quote(part, safe="") for part in parts}
    return sorted(part for part in parts if part not in PUBLIC and any(part in each for each in texts))


def written(password, rng):
    """Return a password as people write it into a URL: encoded, partly encoded, or as it is."""
    some = "".join(quote(char) if char == "%" or (char in "@?#" and rng.random() < 0.5) else char for char in password)
    return rng.choice((quote(password, safe=""), quote_plus(password), password, some))


def messages(url, password):
    """Yield texts as other programs write them when a URL or its password is in use."""
    error = ValueError(f"connection to {url} failed")
    yield f'connection failed: could not parse "{url}" ({error!r})'
    yield f"(psycopg.OperationalError) FATAL: password authentication failed\n[SQL: {password}]\n(see {url!r})"
    yield f"invalid dsn: user=me password='{password}' host=h" + json.dumps({"url": url, "password": password})
    yield f"{['run', '--db', url]} {url.encode('utf-8', 'replace')!r} {quote(url)} {{'db': {url!r}}}"
    with suppress(ValueError):
        raise error from KeyError(password)
    yield "".join(traceback.format_exception(error))


def shown_texts(password, rng):
    """Type and log a password in every place, and return the texts that people see."""
    url = f"postgresql://me:{written(password, rng)}@db.example:5432/lab"
    shown = []
    for place in (database_url, lambda text: cli.options.without_password(text), check_address, check_writable):
        try:
            parsed = place(url)
        except (LedgerError, SettingsError) as error:
            shown.append(str(error))
        else:
            assert place is database_url, f"{place} accepts a password"
            shown += [display_url(parsed), display_url(url_without_password(parsed)), repr(parsed)]
            shown.append(redact_url_secrets(f"no {password} {parsed.password!r}", parsed))
    for text in messages(url, password):
        shown.append(redact(text, environ={}))
        record = logging.LogRecord("hybrid_search", 20, "", 0, "%s", (text,), None)
        record.created = 0.0  # the digits of the present time may be those of a password
        record.__dict__ |= event_fields(url=url, nested={"password": password, "error": ValueError(url)})
        shown += [AsJson().format(record), AsText().format(record)]
    return shown


@pytest.mark.parametrize("count", fuzz_counts(REDUCED, full=FULL))
def test_no_password_leaks_from_a_message_or_log(count):
    rng = random.Random(1)
    public = "".join(shown_texts("0" * 40, rng))  # a part of a password that these texts have is no leak
    for number, password in enumerate(passwords(count)):
        redaction._registered.clear()
        for text in shown_texts(password, rng):
            found = [part for part in leaks(password, text) if part not in public]
            assert found == [], f"password {number}: {password!r} in {text}"


@pytest.mark.parametrize("count", fuzz_counts(4, full=1_000))
@pytest.mark.parametrize(
    "words",
    [
        ["front", "--db", "{}"],
        ["run", "--db={}"],
        ["db", "copy", "--db", "sqlite:///a.db", "--to", "{}"],
        ["front", "{}"],
        ["db", "copy", "{}", "--to", "sqlite:///b.db"],
        ["cost", "{}"],
        ["run", "--address", "{}", "--engine", "ray"],
        ["run", "--checkpoints", "{}", "--engine", "local"],
        ["run", "--sampler", "{}"],
        ["{}"],
        ["front", "--{}"],
    ],
    ids=" ".join,
)
def test_no_password_leaks_from_a_command_line(words, count, capsys):
    rng, public = random.Random(2), ""  # a part of a password that the message has anyway is no leak
    for password in ("0" * 20, *passwords(count, seed=3)):
        redaction._registered.clear()
        scheme = "s3" if "--checkpoints" in words else "postgresql"
        url = f"{scheme}://me:{written(password, rng)}@db.example:5432/lab"
        assert cli.run([word.format(url) for word in words]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("hybrid-search: ")
        public = public or said.err + ENCODE
        found = [part for part in leaks(password, said.out + said.err) if part not in public]
        assert "0000" not in public
        assert found == [], f"{password!r}: {said.err}"
    assert not os.listdir()


@pytest.mark.parametrize("count", fuzz_counts(20, full=2_000))
def test_no_password_of_the_environment_leaks(count, monkeypatch, capsys):
    rng = random.Random(4)
    for password in passwords(count, seed=5):
        redaction._registered.clear()
        url = f"postgresql+other://me:{written(password, rng)}@db.example:5432/lab"
        environ = {"HYBRID_SEARCH_DB": url, "HTTP_PROXY": url, "PGPASSWORD": password}
        for name, value in environ.items():
            used = f"postgresql://me:{quote(password, safe='')}@db.example/lab" if name == "PGPASSWORD" else url
            for text in messages(used, password):
                assert leaks(password, redact(text, environ={name: value})) == [], f"{name}, {password!r}"
        with suppress(ValueError):  # the system accepts no lone surrogate
            monkeypatch.setenv("HYBRID_SEARCH_DB", url)
            assert cli.run(["front"]) == 2
            assert leaks(password, capsys.readouterr().err) == [], password
    assert not os.listdir()


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("postgresql://user:p@ss/w#rd@127.0.0.1:9/db", {"p@ss/w#rd"}),
        ("postgresql://user:p%40ss@h,h2:1/db?sslpassword=o%26k&passfile=/f", {"p%40ss", "p@ss", "o%26k", "o&k", "/f"}),
        ("host=h password='it\\'s a \"x\"' dbname=d", {"'it\\'s a \"x\"'", 'it\'s a "x"'}),
        ("password=a\\ b", {"a\\ b", "a b"}),
        ("postgresql://us/er:pw@h/d", {"pw"}),
        ("--db=postgresql://u:a b@h/d", {"a b"}),
        ("sqlite:///a:b@c.db", set()),
        ("http://127.0.0.1:8000/?email=me@x.org", set()),
        ("postgresql://u@h:5432/d", set()),
        ("learning_rate=0.1", set()),
    ],
)
def test_the_secrets_of_a_typed_text_are_found(text, secrets):
    assert secrets_of(text) == secrets


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:p@ss/w#rd@127.0.0.1:9/db",
        "postgresql://user:p/ss@w@127.0.0.1:9/db",
        "postgresql://us/er:pass@127.0.0.1:9/db",
        "postgresql://a@b:5432/pass@127.0.0.1:9/db",
    ],
)
def test_a_url_that_its_password_breaks_is_refused_with_the_way_to_write_it(url, monkeypatch, capsys):
    monkeypatch.setenv("HYBRID_SEARCH_DB", url)
    assert cli.run(["front"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the database URL must have one @, between password and host; got postgresql://***@127.0.0.1:9/db. " in line
    assert "@ as %40, / as %2F" in line
    monkeypatch.delenv("HYBRID_SEARCH_DB")
    assert cli.run(["front", "--db", url]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "HYBRID_SEARCH_DB" in line
    assert "ss" not in line.replace("pgpass", "").replace("password", "").replace("PGPASSWORD", "")
    with pytest.raises(LedgerError, match="@ as %40"):
        Ledger(url)


def test_the_passwords_of_the_password_file_are_hidden(tmp_path, monkeypatch):
    path = tmp_path / "pgpass"
    path.write_text("# a comment\nh:5432:*:me:pa\\:ss\\\\word\n*:*:*:*:other secret\nbroken line\n")
    monkeypatch.setenv("PGPASSFILE", str(path))
    database_url("postgresql://me@h/d")
    assert redact("no pa:ss\\word, no pa\\:ss\\\\word, no other secret", environ={}) == "no ***, no ***, no ***"


@pytest.mark.parametrize("address", ["u:pass@h:1", "ray://u:p@ss/x@h:10001"])
def test_an_address_with_a_password_is_refused_without_it(address):
    for refused in (lambda: Resources(address=address), lambda: check_address(address)):
        with pytest.raises(SettingsError, match=r"user or password \(not shown\)"):
            refused()


def test_warnings_and_tracebacks_of_the_command_line_hide_passwords(monkeypatch, capsys):
    def broken(words):
        warnings.warn("slow: postgresql://me:geheim@h/d", stacklevel=1)
        raise RuntimeError("postgresql://me:geheim@h/d")

    monkeypatch.setattr(warnings, "showwarning", None)
    monkeypatch.setattr("sys.excepthook", None)
    monkeypatch.setattr(cli, "run", broken)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(RuntimeError) as raised:
            cli.main()
    cli.sys.excepthook(raised.type, raised.value, raised.tb)
    said = capsys.readouterr().err
    assert said.count("postgresql://me:***@h/d") == 4  # each with its line of the program
    assert "geheim" not in said
