"""Hide a secret in every form in which programs write it: plain, percent-encoded, escaped, as JSON or HTML."""

import html
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import takewhile
from urllib.parse import quote, quote_plus

from hybrid_search._internal.url_secrets import HIDDEN

ENCODED_BYTE = re.compile("%[0-9A-F]{2}")
# A shorter word of letters and digits may be part of an ordinary word, such as "postgres" in "postgresql".
ORDINARY_LENGTH = 12
ESCAPE_BEFORE = r"|(?<=\\[abfnrtv])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9a-f]{2})|(?<=\\u[0-9a-f]{4})"
# Where a message may be cut. A quote may also be part of the secret, so it is tried last.
CUTS = (re.compile(r"\.\.\.|\u2026|$"), re.compile(r"['\"]"))
SHORT = 4  # a shorter secret is hidden only as a word of its own


def hide(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets in a text by ***, in whatever form they are written.

    Args:
        text: The text.
        secrets: The secrets.

    Returns:
        The text without them.
    """
    forms = sorted({form for secret in secrets for form in written_forms(secret)}, key=len, reverse=True)
    for form in forms:
        if not _is_ordinary(form):
            text = text.replace(form, HIDDEN)
        elif form in text:
            text = _as_a_word(form).sub(HIDDEN, text)
    for cut in CUTS:
        for form in forms:
            if not _is_ordinary(form):
                text = _without_beginning(text, form, cut)
    return text


def _is_ordinary(form: str) -> bool:
    return len(form) < SHORT or (len(form) < ORDINARY_LENGTH and form.isalnum())


def _without_beginning(text: str, form: str, cut: re.Pattern[str]) -> str:
    """Hide the beginning of a form where a message was cut: at its end, or before an ellipsis or a quote."""
    position = 0
    while (begin := text.find(form[:SHORT], position)) >= 0:
        pairs = zip(form, text[begin : begin + len(form)], strict=False)
        position = begin + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if cut.match(text, position):
            text = f"{text[:begin]}{HIDDEN}{text[position:]}"
            position = begin + len(HIDDEN)
    return text


@lru_cache(maxsize=256)
def written_forms(secret: str) -> frozenset[str]:
    """Return the forms of a secret, itself among them."""
    encodable = secret.encode("utf-8", "replace").decode()
    forms = {secret, encodable, secret.replace("\0", "\N{REPLACEMENT CHARACTER}")}
    for safe in ("", "/", " +"):  # of urllib, of its default, of SQLAlchemy
        forms.add(quote(encodable, safe=safe))
    forms.add(quote_plus(encodable))
    forms |= {quote(form) for form in forms if "%" in form}  # the whole text of a URL may be encoded once more
    forms |= {ENCODED_BYTE.sub(lambda found: found[0].lower(), form) for form in forms}
    forms |= {html.escape(secret), html.escape(secret, quote=False)}
    for _ in range(2):  # the message of an error is often part of another text that is written so
        forms |= {escaped for form in forms for escaped in _with_backslashes(form)}
    return frozenset(form for form in forms if form)


def _with_backslashes(text: str) -> Iterable[str]:
    """Yield a text as Python, JSON, SQL and libpq write it inside quotes."""
    yield text.replace("'", "''")
    if text.isprintable() and text.isascii() and not {"'", '"', "\\"} & set(text):
        return
    yield text.replace("\\", "\\\\").replace("'", "\\'")
    yield "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    yield "".join(f"\\x{ord(char):02x}" if ord(char) < ord(" ") else char for char in text)
    for to_text in (repr, ascii, _repr_of_bytes):  # which of the quotes is escaped depends on the text around
        body = "".join(char if char in "'\"" else to_text(char)[1:-1] for char in text)
        yield from (body, body.replace("'", "\\'"), body.replace('"', '\\"'))
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _repr_of_bytes(char: str) -> str:
    return repr(char.encode("utf-8", "replace"))[1:]


@lru_cache(maxsize=256)
def _as_a_word(form: str) -> re.Pattern[str]:
    """Return a pattern of a word with other characters around it. An escape before it is no part of the word."""
    return re.compile(rf"(?:(?<!\w){ESCAPE_BEFORE}){re.escape(form)}(?!\w)")
