"""Passwords on the command line, moved to where they are not seen.

Every user of a machine can read command lines (`ps`), and Ray keeps that of its driver in the cluster's records.
"""

import json
import os
import re
import sys
from collections.abc import Sequence

FLAGS = ("--db", "--to")
BEFORE_HOST = re.compile(r"(?<=://)([^:/?#@]*):(.*)@")  # user:password@, whatever is in it: this is only shown
IN_QUERY = re.compile(r"(?<=[?&])(?:ssl)?password=[^&#]*&?")
KEPT = "HYBRID_SEARCH_COMMAND_LINE"  # of this process alone, from its start to its first line


def words_of_command() -> list[str]:
    """The words after the command's name. Where the URL of a --db or --to among them holds a password, this process
    starts again without it on its command line, and takes the words as they were from its environment."""
    kept = os.environ.pop(KEPT, None)
    if kept is not None:
        found: list[str] = json.loads(kept)
        return found
    shown = without_passwords(sys.orig_argv)
    if shown != sys.orig_argv and os.name == "posix":
        os.environ[KEPT] = json.dumps(sys.argv[1:])
        os.execv(sys.executable, [sys.executable, *shown[1:]])
    return sys.argv[1:]


def without_passwords(words: Sequence[str]) -> list[str]:
    """A command line without the passwords of its database URLs."""
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        is_url = before in FLAGS or word.startswith(tuple(f"{flag}=" for flag in FLAGS))
        shown.append(IN_QUERY.sub("", BEFORE_HOST.sub(r"\1@", word, count=1)).rstrip("?&") if is_url else word)
    return shown
