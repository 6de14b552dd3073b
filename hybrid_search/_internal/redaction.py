"""Remove secrets from texts: passwords in URLs, and secrets of this process."""

import os
import re
from collections.abc import Mapping

from hybrid_search._internal.url_secrets import HIDDEN, PORT, secrets_of
from hybrid_search._internal.written_forms import SHORT, hide

MIN_LENGTH = 6  # a shorter value of the environment may be an ordinary word
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
URL_USER = re.compile(r"://([^\s/:]{0,100}):")
URL_TOKEN = re.compile(r"(?<=https://)[^\s/@:]{1,200}@")  # a token instead of a user name
# In an assignment, a setting or a dictionary.
NAMED_SECRET = re.compile(
    r"(?i)\b((?:[\w-]{0,40}(?:password|passwd|secret|credentials?|(?:api|access|private|secret)[_-]?key)|token)"
    r"['\"]?)(\s*[=:]\s*)('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^\s,;&)}\]]+)"
)
# `token` is also a term of networks (cls_token, max_tokens). With a prefix, only a value that may be secret is hidden.
NAMED_TOKEN = re.compile(
    r"(?i)\b([\w-]{0,40}token['\"]?)(\s*[=:]\s*)"
    r"('[^']{8,}'|\"[^\"]{8,}\"|(?:(?<==)|(?<== )|(?=[^\s,;&)}\]]{0,40}\d))[^\s,;&)}\]]{8,})"
)
BEARER = re.compile(r"(?i)\b((?:bearer|basic) )(?=[\w.~+/=-]{0,40}[\d.=])[\w.~+/=-]{8,}")
_registered: set[str] = set()


def register_secret(secret: str) -> None:
    """Remove a secret from every later text of this process.

    Args:
        secret: The secret; values of fewer than 4 characters are ignored. A short one of letters and digits is removed
            where it is a separate word.
    """
    if len(secret) >= SHORT:
        _registered.add(secret)


def register_url(text: str) -> None:
    """Remove the secrets of a URL from every later text of this process.

    Args:
        text: The whole URL, or a connection string, as it was typed.
    """
    for secret in secrets_of(text):
        register_secret(secret)


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Replace secrets in a text by ***.

    Secrets are passwords in URLs, values named password, secret, key or token, values of environment variables with
    such names, passwords of URLs in environment variables, and registered secrets.

    Args:
        text: The text.
        environ: The environment variables; None for those of this process.

    Returns:
        The text without secrets.
    """
    environ = os.environ if environ is None else environ
    secrets = set(_registered)
    for name, value in environ.items():
        if SECRET_NAMES.search(name) and len(value) >= MIN_LENGTH:
            secrets.add(value)
        if "://" in value:
            secrets |= {secret for secret in secrets_of(value) if len(secret) >= SHORT}
    text = hide(text, secrets)
    text = _without_url_passwords(text)
    text = URL_TOKEN.sub(f"{HIDDEN}@", text)
    text = BEARER.sub(rf"\1{HIDDEN}", text)
    text = NAMED_TOKEN.sub(rf"\1\2{HIDDEN}", text)
    return NAMED_SECRET.sub(rf"\1\2{HIDDEN}", text)


def _without_url_passwords(text: str) -> str:
    """Hide what stands between `user:` and the last @ of every URL of a text; a URL ends at a space.

    If no @ comes before the space, the space may be part of the password, so the line is searched.
    """
    parts, position = [], 0
    while found := URL_USER.search(text, position):
        begin = found.end()
        word_end, line_end = (_end(text, begin, characters) for characters in (" \t\r\n", "\r\n"))
        at = text.rfind("@", begin, word_end)
        if PORT.match(text, begin, word_end):
            at = -1
        elif at < 0 and word_end > begin:
            at = text.rfind("@", begin, line_end)
        if at > begin:
            parts += [text[position:begin], HIDDEN]
            position = at
        else:
            parts.append(text[position:word_end])
            position = word_end
    return "".join([*parts, text[position:]])


def _end(text: str, begin: int, characters: str) -> int:
    """Return where the first of the characters stands; the length of the text if there is none."""
    return min((place for each in characters if (place := text.find(each, begin)) >= 0), default=len(text))
