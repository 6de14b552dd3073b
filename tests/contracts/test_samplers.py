"""What every sampler owes the search: legal proposals, the same ones from the same seed."""

import pytest
from support.fakes import tiny_space

from hybrid_search.ledger import Ledger
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.space import load_space

ONE_ORDER = {"grid"}  # samplers that propose the same under every seed


def asked(tmp_path, sampler, seed, space, trials, mark=""):
    with Ledger(f"sqlite:///{tmp_path}/{sampler}-{seed}{mark}.db") as ledger:
        search = open_search(SearchSpec.create(space, trials=trials, sampler=sampler, seed=seed), ledger)
        digests = []
        while (trial := search.ask()) is not None:
            digests.append(trial.architecture.digest)
            search.tell(trial, Outcome("complete", {"accuracy": int(trial.architecture.digest[:4], 16) / 65536}))
        return digests


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_the_same_seed_proposes_the_same(tmp_path, sampler):
    space = load_space("digits")
    first = asked(tmp_path, sampler, 0, space, 13)
    assert first == asked(tmp_path, sampler, 0, space, 13, "again")
    assert (first[:8] == asked(tmp_path, sampler, 1, space, 8)) == (sampler in ONE_ORDER)


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_a_small_space_is_used_up_without_a_repeat(tmp_path, sampler):
    space = tiny_space()
    digests = asked(tmp_path, sampler, 0, space, 50)
    assert len(digests) == len(set(digests)) == space.size()
