"""What must not be shown is taken out of a text: passwords in addresses, and the secrets of this process."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST = 6  # a value shorter than this may be any word of the text
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
# The password of user:password@host, which may hold an @; what begins with a port is none.
IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]{0,100}):(?!\d{1,5}(?:[/?#\s]|$))(\S{1,200})@")
ALONE = re.compile(r"(?<=https://)[^\s/@:]{1,200}@")  # a token in the place of the user
# As an assignment, a setting, or a dictionary writes it.
NAMED = re.compile(
    r"(?i)\b((?:[\w-]{0,40}(?:password|passwd|secret|credentials?|(?:api|access|private|secret)[_-]?key)|token)"
    r"['\"]?)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)"
)
# Tokens are words of networks too (cls_token, max_token): those with a first name are hidden where they may be secret.
TOKEN = re.compile(
    r"(?i)\b([\w-]{0,40}token['\"]?)(\s*[=:]\s*)"
    r"('[^']{8,}'|\"[^\"]{8,}\"|(?:(?<==)|(?<== )|(?=[^\s,;&)}\]]{0,40}\d))[^\s,;&)}\]]{8,})"
)
BEARER = re.compile(r"(?i)\b((?:bearer|basic) )(?=[\w.~+/=-]{0,40}[\d.=])[\w.~+/=-]{8,}")
_known: set[str] = set()  # what this process was told to hide


def hide(secret: str) -> None:
    """Have a secret struck out of every text from now on, where it stands as a word."""
    if len(secret) >= SHORTEST:
        _known.add(secret)


def redacted(text: str, environ: Mapping[str, str] | None = None) -> str:
    """The text without the passwords of its addresses, without what it names a password, a secret or a token, without
    the values of this process's environment variables that are named so, and without what it was told to `hide`."""
    given = os.environ if environ is None else environ
    secrets = {value for name, value in given.items() if SECRET_NAMES.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, HIDDEN)
    for secret in sorted(_known, key=len, reverse=True):
        for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", HIDDEN, text)
    text = IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    text = ALONE.sub(f"{HIDDEN}@", text)
    text = BEARER.sub(rf"\1{HIDDEN}", text)
    text = TOKEN.sub(rf"\1\2{HIDDEN}", text)
    return NAMED.sub(rf"\1\2{HIDDEN}", text)
