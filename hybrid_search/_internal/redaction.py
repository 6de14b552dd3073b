"""Remove secrets from texts: passwords in URLs, and secrets of this process."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "***"
MIN_LENGTH = 6  # a shorter value may be an ordinary word
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
# The password in user:password@host, which may contain @. A port number is not a password.
URL_PASSWORD = re.compile(r"(?<=://)([^\s/@:]{0,100}):(?!\d{1,5}(?:[/?#\s]|$))(\S{1,200})@")
URL_TOKEN = re.compile(r"(?<=https://)[^\s/@:]{1,200}@")  # a token instead of a user name
# In an assignment, a setting or a dictionary.
NAMED_SECRET = re.compile(
    r"(?i)\b((?:[\w-]{0,40}(?:password|passwd|secret|credentials?|(?:api|access|private|secret)[_-]?key)|token)"
    r"['\"]?)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)"
)
# `token` is also a term of networks (cls_token, max_tokens). With a prefix, only a value that may be secret is hidden.
NAMED_TOKEN = re.compile(
    r"(?i)\b([\w-]{0,40}token['\"]?)(\s*[=:]\s*)"
    r"('[^']{8,}'|\"[^\"]{8,}\"|(?:(?<==)|(?<== )|(?=[^\s,;&)}\]]{0,40}\d))[^\s,;&)}\]]{8,})"
)
BEARER = re.compile(r"(?i)\b((?:bearer|basic) )(?=[\w.~+/=-]{0,40}[\d.=])[\w.~+/=-]{8,}")
_registered: set[str] = set()


def register_secret(secret: str) -> None:
    """Remove a secret from every later text in which it is a separate word.

    Args:
        secret: The secret; values of fewer than 6 characters are ignored.
    """
    if len(secret) >= MIN_LENGTH:
        _registered.add(secret)


def redact(text: str, environ: Mapping[str, str] | None = None) -> str:
    """Replace secrets in a text by ***.

    Secrets are passwords in URLs, values named password, secret, key or token, values of environment variables with
    such names, and registered secrets.

    Args:
        text: The text.
        environ: The environment variables; None for those of this process.

    Returns:
        The text without secrets.
    """
    environ = os.environ if environ is None else environ
    secrets = {value for name, value in environ.items() if SECRET_NAMES.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= MIN_LENGTH:
            text = text.replace(secret, HIDDEN)
    for secret in sorted(_registered, key=len, reverse=True):
        for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", HIDDEN, text)
    text = URL_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = URL_TOKEN.sub(f"{HIDDEN}@", text)
    text = BEARER.sub(rf"\1{HIDDEN}", text)
    text = NAMED_TOKEN.sub(rf"\1\2{HIDDEN}", text)
    return NAMED_SECRET.sub(rf"\1\2{HIDDEN}", text)
