"""Every pruner of the table fulfils the contract."""

from hybrid_search.pruners import PRUNERS
from hybrid_search.testing import PrunerContract


class TestNone(PrunerContract):
    factory = staticmethod(PRUNERS["none"])


class TestFrontProbability(PrunerContract):
    factory = staticmethod(PRUNERS["front-probability"])


def test_every_built_in_pruner_has_a_contract_test():
    tested = {contract.factory for contract in PrunerContract.__subclasses__()}
    assert {PRUNERS[name] for name in PRUNERS if PRUNERS.is_built_in(name)} <= tested
