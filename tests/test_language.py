"""Plain technical English: words of a private dialect may not come back (CONTRIBUTING.md, "Words").

The list is short on purpose. It holds the words that made the project hard to read for people who know the field.
"""

import io
import keyword
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# word -> what to write instead. Whole words only, in any case of letters.
WORDS = {
    "told": "completed, observed, given",
    "tale|tales": "observation",
    "dice": "rng",
    "doubt|doubts|doubtful": "noise_scale, uncertainty",
    "dear|dearer|dearest": "most expensive, largest cost",
    "cheap among": "compared at equal cost",
    "lest": "so that ... does not",
    "foretell|foretells|foretold": "predict",
    "nobody": "no user, no process",
    "somebody|whoever": "a user, any process",
    "goes on|go on|going on|gone on|went on": "continues, resumes",
    "worth": "value, acquisition value",
    "crew|crews": "worker pool",
    "tend|tends|tended": "scale, update",
    "stillborn": "failed start",
    "hope|hopes|hopeless": "probability of reaching the front",
    "luck|lucky": "noise",
    "belief|beliefs|believed": "posterior",
    "patience": "retry limit",
}

# Words that may not be part of an identifier; the prose may use them in their ordinary sense.
IDENTIFIERS = {"price": "cost", "prices": "costs", "priced": "cost", "asked": "proposal"}

# (path, pattern of the line, reason). Each exception stands for one place that needs the word.
EXCEPTIONS: list[tuple[str, str, str]] = [
    ("tests/test_language.py", r".*", "the list itself"),
    ("tests/support/postgres.py", r"nobody", "the name of a system user"),
    ("CONTRIBUTING.md", r"\| .* \| .* \|", "the table of words to avoid"),
]

PROSE = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "results").glob("*.md")]
PROSE += [*(ROOT / "search_spaces").glob("*.yaml"), ROOT / "Makefile", ROOT / "pyproject.toml"]
FOLDERS = ("hybrid_search", "tests", "benchmarks", "docs")
PROGRAMS = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
KERNELS = [path for ending in ("*.cpp", "*.h", "*.js", "*.css") for path in (ROOT / "hybrid_search").rglob(ending)]

ANY_WORD = re.compile("|".join(rf"\b(?:{words})\b" for words in WORDS), re.IGNORECASE)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def excused(name, line):
    return any(name == place and re.search(pattern, line) for place, pattern, _ in EXCEPTIONS)


def dialect_in_text(name, text):
    """Return `file:line: word` for every word of the list in a text that is not an exception."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        found += [f"{name}:{number}: {hit.group()}" for hit in ANY_WORD.finditer(line) if not excused(name, line)]
    return found


def dialect_in_program(name, text):
    """Return the words of the list in comments, strings and identifiers of a Python file."""
    found = []
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        line = lines[min(token.start[0], len(lines)) - 1]
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            for offset, part in enumerate(token.string.splitlines()):
                for hit in ANY_WORD.finditer(part):
                    if not excused(name, part):
                        found.append(f"{name}:{token.start[0] + offset}: {hit.group()}")
        elif token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            words = re.sub(r"([a-z])([A-Z])", r"\1_\2", token.string).lower().split("_")
            hits = [word for word in words if word in IDENTIFIERS or ANY_WORD.fullmatch(word)]
            found += [f"{name}:{token.start[0]}: {token.string}" for _ in hits if not excused(name, line)]
    return found


@pytest.mark.parametrize("path", sorted(PROGRAMS), ids=name_of)
def test_a_program_uses_the_words_of_the_field(path):
    found = dialect_in_program(name_of(path), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", sorted([*PROSE, *KERNELS]), ids=name_of)
def test_a_document_uses_the_words_of_the_field(path):
    found = dialect_in_text(name_of(path), path.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_the_check_finds_a_word_in_each_place():
    program = 'def price_of(dice):\n    """What was told."""\n    return f"lest {dice}"  # hope\n'
    found = " ".join(dialect_in_program("x.py", program))
    for word in ("price_of", "dice", "told", "lest", "hope"):
        assert word in found
    assert dialect_in_text("x.md", "It goes on\nwithout luck.") == ["x.md:1: goes on", "x.md:2: luck"]


def test_every_exception_still_excuses_a_line():
    for name, pattern, reason in EXCEPTIONS:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        hits = [line for line in lines if ANY_WORD.search(line) and re.search(pattern, line)]
        assert hits, f"{name} no longer needs its exception ({reason})"
