"""What must not be shown is taken out of a text: passwords in addresses, and the secrets of this process."""

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, quote_plus

HIDDEN = "***"
SHORTEST = 6  # a value shorter than this may be any word of the text
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):(\S+)@")  # the password of user:password@host, which may hold an @
ALONE = re.compile(r"(?<=https://)[^\s/@:]+@")  # a token in the place of the user
NAMED = re.compile(
    r"(?i)\b([\w-]{0,40}(?:password|passwd|pwd|secret|token|credentials?|(?:api|access|private)[_-]?key)"
    r"['\"]?)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)}\]]+)"
)  # as an assignment, a setting, or a dictionary writes it
BEARER = re.compile(r"(?i)\b(bearer )[\w.~+/=-]{8,}")
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
    for secret in _known:
        for written in {secret, quote(secret, safe=""), quote_plus(secret)}:
            text = re.sub(rf"(?<!\w){re.escape(written)}(?!\w)", HIDDEN, text)
    text = IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    text = ALONE.sub(f"{HIDDEN}@", text)
    text = BEARER.sub(rf"\1{HIDDEN}", text)
    return NAMED.sub(rf"\1\2{HIDDEN}", text)
