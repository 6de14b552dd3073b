"""A database password on the command line, moved to where it is not seen.

Every user of a machine can read command lines (`ps`), and Ray keeps that of its driver in the cluster's records.
"""

import os
import re
import sys
from collections.abc import Sequence
from urllib.parse import unquote

PASSWORD = re.compile(r"(?<=://)([^:/@]*):([^@]*)@")


def hide_password() -> None:
    """Start this process again where a --db on its command line holds a password: without it there, and with it in
    PGPASSWORD, where the ledger and libpq look. Elsewhere, and where two passwords came, nothing is done."""
    shown, passwords = without_passwords(sys.orig_argv)
    if len(passwords) == 1 and os.name == "posix":
        os.environ["PGPASSWORD"] = passwords.pop()
        os.execv(sys.executable, [sys.executable, *shown[1:]])


def without_passwords(words: Sequence[str]) -> tuple[list[str], set[str]]:
    """A command line without the passwords of its database URLs, and those passwords as they are, unquoted."""
    passwords: set[str] = set()

    def strip(match: re.Match[str]) -> str:
        passwords.add(unquote(match[2]))
        return f"{match[1]}@"

    flags = ("--db", "--to")
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        is_url = before in flags or word.startswith(tuple(f"{flag}=" for flag in flags))
        shown.append(PASSWORD.sub(strip, word, count=1) if is_url else word)
    return shown, passwords
