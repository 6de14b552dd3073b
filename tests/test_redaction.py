"""Secrets are taken out of what is kept and shown; the rest of the text stays as it is."""

import pytest

from hybrid_search.redaction import redacted
from hybrid_search.worker import Advancing


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:pa55word@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("s3://key:secret/with/slash@bucket", "s3://key:***@bucket"),
        ("connection failed: password='hunter2' host=h", "connection failed: password=*** host=h"),
        ("api_key: abcdef", "api_key: ***"),
        ("the token was 0123456789abcdef", "the token was ***"),
        ("heads must divide the width; got 3", "heads must divide the width; got 3"),
        ("http://host:8265/page and mail@host", "http://host:8265/page and mail@host"),
    ],
)
def test_passwords_and_tokens_are_hidden_and_nothing_else(text, shown):
    assert redacted(text, environ={"RAY_AUTH_TOKEN": "0123456789abcdef", "HOME": "heads must"}) == shown


def test_a_short_secret_does_not_eat_ordinary_words():
    assert redacted("accuracy is 0.5", environ={"A_TOKEN": "is"}) == "accuracy is 0.5"


def test_a_worker_takes_the_secrets_of_its_own_machine_out_of_a_traceback(monkeypatch):
    def evaluate(architecture, settings):
        raise RuntimeError("403 from the store with key wJalrXUtnFEMI")
        yield {}

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    report = Advancing(evaluate, None, None).advance()
    assert report.failure_kind == "bug"
    assert "403 from the store with key ***" in report.failure_text
