"""What must not be shown is taken out of a text: passwords in addresses, and the secrets of this process."""

import os
import re
from collections.abc import Iterable, Mapping

HIDDEN = "***"
SHORTEST = 6  # a value shorter than this may be any word of the text
SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL", re.IGNORECASE)
IN_ADDRESS = re.compile(r"(?<=://)([^\s/@:]*):([^\s@]+)@")  # the password of user:password@host
NAMED = re.compile(r"(?i)\b(password|passwd|secret|token|api_?key)(\s*[=:]\s*)('[^']*'|\"[^\"]*\"|[^\s,;&)]+)")


def redacted(text: str, more: Iterable[str] = (), environ: Mapping[str, str] | None = None) -> str:
    """The text without the passwords of its addresses, without what it names a password, a secret or a token, and
    without the values of this process's environment variables that are named so; `more` are further secrets."""
    given = os.environ if environ is None else environ
    secrets = {value for name, value in given.items() if SECRET_NAMES.search(name)} | set(more)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, HIDDEN)
    text = IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    return NAMED.sub(rf"\1\2{HIDDEN}", text)
