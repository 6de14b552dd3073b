"""The package of contracts: complete, typed, and clear about what is wrong with an entry that breaks its contract."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

import hybrid_search.testing
from hybrid_search.cli.doctor import TABLE_MODULES
from hybrid_search.objectives import Objective
from hybrid_search.ops import Layer
from hybrid_search.ops.conv import Conv
from hybrid_search.testing import ObjectiveContract, OperatorContract
from hybrid_search.testing.counting import assert_cost

LAYER = Layer("conv", "conv", 36, 36 * 20, 4, 5)


def on_meta(make):
    with torch.device("meta"):
        return make()


def convolution():
    return nn.Conv2d(2, 2, 3, padding=1, bias=False)


def test_every_contract_can_be_imported_and_every_table_has_one():
    contracts = {name: getattr(hybrid_search.testing, name) for name in hybrid_search.testing.__all__}
    assert {contract.__name__ for contract in contracts.values()} == set(hybrid_search.testing.__all__)
    assert sorted(hybrid_search.testing._CONTRACTS) == hybrid_search.testing.__all__
    assert len(contracts) == len(TABLE_MODULES)


def test_without_pytest_the_error_is_one_line_that_says_what_to_install():
    code = "import sys; sys.modules['pytest'] = None; import hybrid_search.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("hybrid_search.testing needs pytest, which is not installed. Run: pip install pytest")


def test_a_misspelt_name_of_an_operator_fails_its_contract():
    class Misspelt(OperatorContract):
        name, operator = "convv", Conv

    with pytest.raises(ValueError, match=r"operator must be one of .*; got 'convv'"):
        Misspelt().test_the_table_has_the_operator_under_its_name()
    Misspelt.name = "depthwise_conv"
    with pytest.raises(AssertionError):
        Misspelt().test_the_table_has_the_operator_under_its_name()


def test_a_misspelt_name_of_an_objective_fails_its_contract():
    class Misspelt(ObjectiveContract):
        objective = Objective("acuracy", "maximize")

    with pytest.raises(ValueError, match=r"objective must be one of .*; got 'acuracy'"):
        Misspelt().test_the_table_has_the_objective_under_its_name()


def test_a_module_that_is_itself_a_layer_gets_one_clear_message():
    module = on_meta(convolution)
    with pytest.raises(AssertionError, match="every layer must be a submodule; the built Conv2d is itself a layer"):
        assert_cost(module, [replace(LAYER, name="")], (2, 4, 5))
    with pytest.raises(AssertionError, match=r"got 'conv'\. There are none: wrap Conv2d in a module"):
        assert_cost(module, [LAYER], (2, 4, 5))


def test_a_wrong_cost_is_named_with_both_numbers():
    module = on_meta(lambda: nn.Sequential(convolution()))
    right = replace(LAYER, name="0")
    assert_cost(module, [right], (2, 4, 5))
    with pytest.raises(AssertionError, match="FLOPs of 0: cost states 720, torch counts 1440"):
        assert_cost(module, [replace(right, macs=right.macs // 2)], (2, 4, 5))
    with pytest.raises(AssertionError, match="parameters of 0: cost states 37, it has 36"):
        assert_cost(module, [replace(right, params=37)], (2, 4, 5))
    with pytest.raises(AssertionError, match="FLOPs of all layers: cost states 0, torch counts 1440"):
        assert_cost(module, [], (2, 4, 5))
