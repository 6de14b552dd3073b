"""Find the secrets in the text of one URL. `redaction` handles URLs inside longer texts.

A password may break the URL that it stands in (`postgresql://me:p@ss/w#rd@host/db`), so no standard parser is used:
everything between `user:` and the last `@` is the password.
"""

import re
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
SECRET_PARAMETER = re.compile(
    r"(?i)[?&;](?P<name>[^=&#]*(?:pass(?:word|wd|file|phrase)?|secret|token|signature|sig|scram_client_key|"
    r"scram_server_key))=(?P<value>[^&#]*)"
)
KEYWORD_SECRET = re.compile(r"(?i)\b(?:ssl)?password\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s\\])+)")
PORT = re.compile(r"\d{1,5}(?:[/?#]|$)")
MUST_BE_ENCODED = re.compile(r"[@/?#\[\]\s]|%(?![0-9a-fA-F]{2})")
WEB = ("http", "https", "ws", "wss")
ENCODE = "In the user name or password of a URL, write % as %25, @ as %40, / as %2F, ? as %3F, # as %23."


def split_password(url: str) -> tuple[str, str, str] | None:
    """Split a URL around its password.

    Args:
        url: The whole text of one URL.

    Returns:
        The text before the password, the password as it is written, and the text after it, which begins with `@`; None
        if the URL has no password.

    Example:
        >>> split_password("postgresql://me:p@ss/w#rd@host/db")
        ('postgresql://me:', 'p@ss/w#rd', '@host/db')
    """
    scheme, mark, rest = url.partition("://")
    at = rest.rfind("@")
    colon = rest.find(":", 0, max(at, 0))
    if not mark or colon < 0 or ("/" in rest[:colon] and "postgres" not in scheme):
        return None  # sqlite:///a:b@c is a path
    if PORT.match(rest, colon + 1, len(rest)) and (scheme.rpartition("=")[2].lower() in WEB or "@" in rest[:colon]):
        return None  # a port, and an @ in the query
    return f"{scheme}{mark}{rest[: colon + 1]}", rest[colon + 1 : at], rest[at:]


def without_secrets(url: str) -> str:
    """Return the text of one URL with its password and its secret parameters as `***`."""
    if parts := split_password(url):
        url = f"{parts[0]}{HIDDEN}{parts[2]}"
    return SECRET_PARAMETER.sub(lambda found: found[0].removesuffix(found["value"]) + HIDDEN, url)


def must_be_encoded(url: str) -> bool:
    """Return whether the password of a URL has characters that must be percent-encoded there."""
    parts = split_password(url)
    return parts is not None and MUST_BE_ENCODED.search(parts[1]) is not None


@lru_cache(maxsize=256)
def secrets_of(text: str) -> frozenset[str]:
    """Return the secrets in a URL or in a connection string of libpq, as they are written and as they are meant.

    Args:
        text: The whole text, as it was typed.
    """
    written: list[str] = []
    if "://" in text:
        parts = split_password(text)
        written = [parts[1]] if parts else []
        written += [found["value"] for found in SECRET_PARAMETER.finditer(text)]
    elif "=" in text:
        for found in KEYWORD_SECRET.finditer(text):
            value = found[1]
            quoted = len(value) > 1 and value[0] == value[-1] == "'"
            written += [value, re.sub(r"\\(.)", r"\1", value[1:-1] if quoted else value, flags=re.DOTALL)]
    meant = {decoded for secret in written for decoded in (secret, unquote(secret), unquote_plus(secret))}
    return frozenset(secret for secret in meant if secret and secret != HIDDEN)
