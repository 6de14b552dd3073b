"""A strict JSON parser: it refuses repeated keys, NaN and 1e999, which Python's parser accepts."""

import json
import math
import re
from typing import Any

from hybrid_search.errors import LONGEST, UserError, shown

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]')
DEEPEST = 100  # levels of objects and lists


class _NotFinite(ValueError):
    """NaN or Infinity, which are no JSON, or a number beyond the largest float."""


def parse_json(text: str, law: str, source: str, error: type[UserError]) -> Any:
    """Return the content of a JSON text.

    Args:
        text: the text.
        law: what is required, the first words of a message: "a design must be a JSON file".
        source: name of the file, for messages.
        error: class of the error.

    Raises:
        UserError: it is not JSON, an object has a key twice, or a number is NaN or infinite. The message is one line
            with the line of the fault.

    Example:
        >>> parse_json('{"depth": 1, "depth": 2}', "a design must be a JSON file", "mine.json", ArchitectureError)
        ArchitectureError: mine.json, line 1: a key must be given once; got 'depth' twice.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except json.JSONDecodeError as failure:
        reason = failure.msg[:1].lower() + failure.msg[1:]
        raise error(f"{law}; {source} is not, at line {failure.lineno}: {reason}.") from None
    except _NotFinite as failure:
        raise error(f"{source}: numbers must be finite; got {failure}.") from None
    except RecursionError:
        raise error(f"{law}; {source} is not: its lists and objects are nested too deeply.") from None
    except ValueError:  # an integer of thousands of digits
        raise error(f"{source}: numbers must have at most a few hundred digits; got more.") from None
    _check_keys(text, source, error)
    return content


def _refuse_constant(name: str) -> None:
    raise _NotFinite(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _NotFinite(text[:LONGEST])
    return value


def _check_keys(text: str, source: str, error: type[UserError]) -> None:
    """Raise `error` for the first key that its object has already, and for a deep nesting. The text is valid JSON."""
    open_keys: list[set[str]] = []
    before: re.Match[str] | None = None
    for token in TOKEN.finditer(text):
        if token[0] in "{[":
            open_keys.append(set())
            if len(open_keys) > DEEPEST:
                raise error(f"{source}: lists and objects must be nested at most {DEEPEST} deep; got more.")
        elif token[0] in "}]":
            open_keys.pop()
        elif token[0] == ":" and before is not None:
            key = json.loads(before[0])
            if key in open_keys[-1]:
                line = text.count("\n", 0, before.start()) + 1
                raise error(f"{source}, line {line}: a key must be given once; got {shown(key)} twice.")
            open_keys[-1].add(key)
        before = token
