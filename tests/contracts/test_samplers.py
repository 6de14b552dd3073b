"""Every sampler of the table fulfils the contract, and proposes each network of a search once."""

import pytest
from support.fakes import tiny_space

from hybrid_search.ledger import Ledger
from hybrid_search.samplers import SAMPLERS
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.space import load_space
from hybrid_search.testing import SamplerContract


class TestKnownCost(SamplerContract):
    factory = staticmethod(SAMPLERS["known-cost"])


class TestTPE(SamplerContract):
    factory = staticmethod(SAMPLERS["tpe"])


class TestNSGA2(SamplerContract):
    factory = staticmethod(SAMPLERS["nsga2"])


class TestRandom(SamplerContract):
    factory = staticmethod(SAMPLERS["random"])


class TestGP(SamplerContract):
    factory = staticmethod(SAMPLERS["gp"])


class TestGrid(SamplerContract):
    factory = staticmethod(SAMPLERS["grid"])
    uses_seed = False


def test_every_built_in_sampler_has_a_contract_test():
    tested = {contract.factory for contract in SamplerContract.__subclasses__()}
    assert {SAMPLERS[name] for name in SAMPLERS if SAMPLERS.is_built_in(name)} <= tested


def proposals(tmp_path, sampler, seed, space, trials, mark=""):
    """Run a search and return the digests of its trials."""
    with Ledger(f"sqlite:///{tmp_path}/{sampler}-{seed}{mark}.db") as ledger:
        search = open_search(SearchSpec.create(space, trials=trials, sampler=sampler, seed=seed), ledger)
        digests = []
        while (trial := search.ask()) is not None:
            digests.append(trial.architecture.digest)
            search.tell(trial, Outcome("complete", {"accuracy": int(trial.architecture.digest[:4], 16) / 65536}))
        return digests


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_searches_with_the_same_seed_propose_the_same_networks(tmp_path, sampler):
    space = load_space("digits")
    first = proposals(tmp_path, sampler, 0, space, 13)
    assert first == proposals(tmp_path, sampler, 0, space, 13, "again")
    same = first[:8] == proposals(tmp_path, sampler, 1, space, 8)
    assert same == (sampler == "grid")  # only the grid ignores its seed


@pytest.mark.parametrize("sampler", SAMPLERS.names())
def test_a_search_trains_each_network_of_a_small_space_once(tmp_path, sampler):
    space = tiny_space()
    digests = proposals(tmp_path, sampler, 0, space, 50)
    assert len(digests) == len(set(digests)) == space.size()
