"""Secrets are removed from texts; the rest of a text is unchanged."""

import time

import pytest

from hybrid_search._internal.redaction import redact, register_secret
from hybrid_search.engines.worker import TrialRunner
from hybrid_search.records import Settings


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:pa55word@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("s3://key:secret/with/slash@bucket", "s3://key:***@bucket"),
        ("connection failed: password='hunter2' host=h", "connection failed: password=*** host=h"),
        ("api_key: abcdef", "api_key: ***"),
        ("{'password': 'hunter2', 'host': 'h'}", "{'password': ***, 'host': 'h'}"),
        ('{"user": "me", "db_password": "hunter2"}', '{"user": "me", "db_password": ***}'),
        ("connect(sslpassword=hunter2)", "connect(sslpassword=***)"),
        ("aws_secret_access_key = wJalr/XUtn", "aws_secret_access_key = ***"),
        ("size mismatch for cls_token: copying a param", "size mismatch for cls_token: copying a param"),
        ("hf_token='hf_AbCdEf' token=abc12345def", "hf_token=*** token=***"),
        ("secret_key: abc", "secret_key: ***"),
        ("token: abc", "token: ***"),
        ("http://127.0.0.1:8000/?email=me@x.org", "http://127.0.0.1:8000/?email=me@x.org"),
        ("PWD=/home/me", "PWD=/home/me"),
        ("PGPASSWORD=hunter2 psql", "PGPASSWORD=*** psql"),
        ("postgresql://me:p@ss@host/db", "postgresql://me:***@host/db"),
        ("git clone https://ghp_0123@host/x", "git clone https://***@host/x"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("Authorization: Bearer eyJhbGciOi.x", "Authorization: Bearer ***"),
        ("tokens: 512, max_tokens=3, keyword: word", "tokens: 512, max_tokens=3, keyword: word"),
        ("the token was 0123456789abcdef", "the token was ***"),
        ("heads must divide the width; got 3", "heads must divide the width; got 3"),
        ("http://host:8265/page and mail@host", "http://host:8265/page and mail@host"),
    ],
)
def test_passwords_and_tokens_are_hidden_and_nothing_else(text, shown):
    assert redact(text, environ={"RAY_AUTH_TOKEN": "0123456789abcdef", "HOME": "heads must"}) == shown


def test_a_registered_secret_is_removed_as_a_separate_word(monkeypatch):
    monkeypatch.setattr("hybrid_search._internal.redaction._registered", set())
    register_secret("postgres")
    register_secret("pa/ss word")
    register_secret("db")
    said = "postgresql://me@h/db: role postgres: pa/ss word, pa%2Fss%20word or pa%2Fss+word"
    assert redact(said) == "postgresql://me@h/db: role ***: ***, *** or ***"


@pytest.mark.parametrize("text", ["resnet-50-", "secret-", "0f8fad5b-d9cb-469f-a165-70867728950e,", "a" * 64, "://a:"])
def test_a_long_text_is_redacted_quickly(text):
    began = time.process_time()
    redact(text * (65536 // len(text)), environ={})
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    "cut", ["postgresql://me:pa/ss w...", "got 'postgresql://me:pa/ss'", "me:pa/ss wo", "pa%2Fs\u2026"]
)
def test_the_beginning_of_a_secret_is_removed_where_a_text_was_cut(cut, monkeypatch):
    monkeypatch.setattr("hybrid_search._internal.redaction._registered", set())
    register_secret("pa/ss word")
    assert "pa" not in redact(cut, environ={})
    assert redact("pa/ss is no secret", environ={}) == "pa/ss is no secret"


def test_a_short_secret_does_not_change_ordinary_words():
    assert redact("accuracy is 0.5", environ={"A_TOKEN": "is"}) == "accuracy is 0.5"


def test_a_worker_takes_the_secrets_of_its_own_machine_out_of_a_traceback(monkeypatch):
    def evaluate(architecture, settings):
        raise RuntimeError("403 from the store with key wJalrXUtnFEMI")
        yield {}

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    report = TrialRunner(evaluate, None, Settings()).advance()
    assert report.failure.kind == "bug"
    assert "403 from the store with key ***" in report.failure.text
