"""Seeded mutations of texts that people write: YAML of spaces and JSON of architectures."""

import copy
import json
import math

import yaml

ODD = (
    None, True, False, "no", "on", "", " ", 0, -1, 1.5, 1e-3, 10**30, math.nan, math.inf, -math.inf, "1:30",
    "2024-01-01", "010", "40M", "1e400", "é", "a\nb", "x" * 5000, [], {}, [[]], [None], {"a": None}, "stages", "conv",
    "local_attention", "*a", "&a", "<<", "!!python/object:os.system", "\t", "\x07", "\u2028", 2**63, 999_999_937,
    "0x1F",
)  # fmt: skip
RAW = (
    "\t", "\0", "\ufeff", "---\n", "...", "&a ", "*a ", "<<: *a\n", "!!python/name:os.system ", "? ", ": ", "- ", "[",
    "}",
    '"', "'", "%", "@", "|", ">", "\\", "#", "\r", "\x85", "\x7f", "\U0001f600", "1e3", "null", "~",
)  # fmt: skip


def places(value, path=()):
    """Return the path of every value, the whole one first."""
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += places(each, (*path, key))
    return found


def mutated_values(values, rng):
    """Return plain values with one to three changes: delete, duplicate, swap, nest, rename, an odd value."""
    values = copy.deepcopy(values)
    for _ in range(rng.randint(1, 3)):
        inner = [path for path in places(values) if path]
        if not inner:
            return values
        path = rng.choice(inner)
        owner = _at(values, path[:-1])
        key = path[-1]
        change = rng.choice(("delete", "duplicate", "swap", "nest", "rename", "odd", "odd"))
        if change == "delete":
            del owner[key]
        elif change == "duplicate" and isinstance(owner, list):
            owner.insert(key, copy.deepcopy(owner[key]))
        elif change == "swap":
            other = rng.choice(inner)
            before = copy.deepcopy(owner[key])
            owner[key] = copy.deepcopy(_at(values, other))
            if _has(values, other) and isinstance(_at(values, other[:-1]), dict | list):
                _at(values, other[:-1])[other[-1]] = before
        elif change == "nest":
            owner[key] = [owner[key]] if rng.random() < 0.5 else {rng.choice(("a", "conv", "width")): owner[key]}
        elif change == "rename" and isinstance(owner, dict):
            owner[rng.choice((key.upper(), key[:-1], f"{key}s", "width", "lr", ""))] = owner.pop(key)
        else:
            owner[key] = copy.deepcopy(rng.choice(ODD))
    return values


def mutated_text(text, rng):
    """Return the bytes of a text with one to four changes: flipped bits, a cut, lines twice or gone, odd characters."""
    content = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        change = rng.choice(("flip", "cut", "line twice", "line gone", "insert", "insert", "encode"))
        at = rng.randrange(len(content)) if content else 0
        lines = bytes(content).split(b"\n")
        line = rng.randrange(len(lines))
        if change == "flip" and content:
            content[at] ^= 1 << rng.randrange(8)
        elif change == "cut":
            content = content[:at]
        elif change == "line twice":
            content = bytearray(b"\n".join([*lines[:line], lines[line], *lines[line:]]))
        elif change == "line gone":
            content = bytearray(b"\n".join([*lines[:line], *lines[line + 1 :]]))
        elif change == "insert":
            content[at:at] = rng.choice(RAW).encode()
        elif change == "encode" and rng.random() < 0.2:
            content = bytearray(bytes(content).decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-8-sig"))))
    return bytes(content)


def mutated_yaml(text, rng):
    """Return the bytes of a mutated YAML text; the text is valid."""
    if rng.random() < 0.5:
        return mutated_text(text, rng)
    values = mutated_values(yaml.safe_load(text), rng)
    return yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


def mutated_json(text, rng):
    """Return the bytes of a mutated JSON text; the text is valid."""
    if rng.random() < 0.4:
        return mutated_text(text, rng)
    return json.dumps(mutated_values(json.loads(text), rng), indent=rng.choice((None, 2))).encode()


def _at(values, path):
    for key in path:
        values = values[key]
    return values


def _has(values, path):
    try:
        _at(values, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True
