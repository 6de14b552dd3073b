"""The end of a selected trial: the command that exports it or why it failed, and earlier failed attempts."""

import shlex
from typing import Any

from dash import html

from hybrid_search.dashboard.layout import attributes
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.urls import database_url
from hybrid_search.records import SearchRecord, TrialRecord

NO_TEXT = "no text was recorded"


def trial_end(ledger: Ledger, search: SearchRecord, trial: TrialRecord) -> html.Div:
    """Return the failed attempts and retrainings of a trial, why it failed, or the command that exports it."""
    shown: list[Any] = []
    failures = ledger.read(reads.failures, search.id, trial.number)
    attempts = [failed for failed in failures if failed.seed is None and failed.attempt < trial.attempt]
    retrainings = [failed for failed in failures if failed.seed is not None]
    if attempts:
        shown.append(html.H3("Earlier attempts that failed"))
        for failed in attempts:
            where = f" on {failed.worker}" if failed.worker else ""
            when = f"{failed.failed:%Y-%m-%d %H:%M:%S} UTC"
            shown.append(html.P(f"Attempt {failed.attempt}: {failed.kind} after epoch {failed.rung}{where}, {when}"))
            shown.append(_failure(failed.text or NO_TEXT))
    if retrainings:
        shown.append(html.H3("Retrainings that failed"))
        for failed in retrainings:
            shown.append(html.P(f"Seed {failed.seed}: {failed.kind}, {failed.failed:%Y-%m-%d %H:%M:%S} UTC"))
            shown.append(_failure(failed.text or NO_TEXT))
    if trial.state == "failed":
        shown.append(html.H3(f"Why trial {trial.number} failed: {trial.failure_kind or 'unknown'}"))
        shown.append(_failure(trial.failure_text or NO_TEXT))
    if trial.state == "complete":
        shown += _export(export_command(ledger, search, trial.number), trial.number)
    return html.Div(shown)


def _failure(text: str) -> html.Pre:
    """Return the text of a failure. It scrolls, so the keyboard must reach it."""
    return html.Pre(text, className="failure", tabIndex=0, role="group", **attributes(aria_label="Text of the failure"))


def _export(command: str, number: int) -> list[Any]:
    shown = [word if word.isprintable() else word.encode("unicode_escape").decode() for word in command.split(" ")]
    words = [part for word in shown for part in (html.Span(word), " ")][:-1]
    copy = html.Button("Copy", className="quiet", title="Copy the command", **attributes(data_copy=command))
    return [html.H3(f"Export trial {number}"), html.Div([html.Code(words), copy], className="command")]


def export_command(ledger: Ledger, search: SearchRecord, number: int) -> str:
    """Return the command that exports a trial. It names the database if that is not the default, never a password."""
    folder = "".join(c if c.isascii() and c.isalnum() else "-" for c in search.name).strip("-") or "search"
    words = ["hybrid-search", "export", "--pick", str(number)]
    if ledger.url != database_url() and ledger.url.password is None:
        words += ["--db", ledger.display_url]
    if search.name.startswith("-"):
        words += ["--", search.name, f"{folder}-{number}"]
    else:
        words[2:2] = [search.name, f"{folder}-{number}"]
    return shlex.join(words)
