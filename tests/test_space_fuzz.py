"""Mutated space files and architecture files are legal, or refused in one line within two seconds.

`make test` tries some hundred mutations; `make fuzz` tries 20,000.
"""

import json
import random
import resource
import time
from collections import Counter

import pytest
from support.fuzz import fuzz_counts
from support.mutations import mutated_json, mutated_yaml

from hybrid_search.errors import ArchitectureError, SpaceError, UserError
from hybrid_search.networks.costs import cost
from hybrid_search.networks.references import reference
from hybrid_search.runs.designs import find_design
from hybrid_search.spaces.choosers import RandomChooser
from hybrid_search.spaces.shipped import shipped_spaces
from hybrid_search.spaces.space import load_space

COUNTS = fuzz_counts(300)
SECONDS = 2.0  # of processor time
MEGABYTES = 300  # that a run may add to the process
FOREIGN = ("input should", "field required", "valid dictionary", "valid tuple", "valid string", "valid integer",
           "pydantic", "extra inputs", "traceback", "errno", "object at 0x", "nonetype", "yaml.", "json.")  # fmt: skip

DESIGNS = ("resnet26", "sasa-26-full", "hybrid-50-CCAA")


def tried(path, content, load):
    """Return "legal" or the class of the error that a file leads to, and check the form of its message."""
    path.write_bytes(content)
    start = time.process_time()
    try:
        load(path)
        outcome = "legal"
    except UserError as error:
        message = str(error)
        outcome = type(error).__name__
        assert message.isprintable(), (message, content)
        assert len(message) < 400, content
        assert ".got" not in message, content
        assert not any(words in message.lower() for words in FOREIGN), (message, content)
        assert any(word in message for word in ("must", "needs", "are ", "is not", "is ")), (message, content)
    assert time.process_time() - start < SECONDS, content
    return outcome


def use_space(path):
    space = load_space(path)
    architecture = space.choose(RandomChooser(random.Random(0)))
    assert space.size() >= 1
    assert cost(architecture, (3, 64, 64), 10).params > 0


def use_design(path):
    architecture, _, _ = find_design(str(path), None)
    assert cost(architecture, (3, 64, 64), 10).params > 0


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_space_file_is_legal_or_refused_in_one_line(tmp_path, count):
    rng = random.Random(count)
    texts = [path.read_text(encoding="utf-8") for path in shipped_spaces().values()]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter(
        tried(tmp_path / "mine.yaml", mutated_yaml(rng.choice(texts), rng), use_space) for _ in range(count)
    )
    assert set(outcomes) <= {"legal", SpaceError.__name__, ArchitectureError.__name__}
    assert min(outcomes["legal"], outcomes["SpaceError"]) > count / 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * MEGABYTES


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_architecture_file_is_legal_or_refused_in_one_line(tmp_path, count):
    rng = random.Random(count)
    texts = [json.dumps(reference(name).to_dict(), indent=1) for name in DESIGNS]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter(
        tried(tmp_path / "mine.json", mutated_json(rng.choice(texts), rng), use_design) for _ in range(count)
    )
    assert set(outcomes) <= {"legal", ArchitectureError.__name__}
    assert min(outcomes["legal"], outcomes["ArchitectureError"]) > count / 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024 * MEGABYTES
