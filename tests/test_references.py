"""The named designs."""

import pytest
import torch
from support.basic_resnet import basic_resnet

from hybrid_search.errors import UnknownName
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.networks.model import build_model
from hybrid_search.networks.references import DESIGNS, FAMILIES, is_reference, reference, references
from hybrid_search.testing.counting import assert_cost


def test_the_names_are_the_papers_networks_all_sixteen_hybrids_and_three_widths_of_each_family():
    names = references()
    assert len(names) == len(set(names)) == 3 + 3 + 3 + 16 + 3 * len(FAMILIES)
    assert {"resnet26", "resnet38", "resnet50", "sasa-26-stem", "sasa-50-full", "hybrid-50-CCAA"} <= set(names)
    assert {"resnet-basic-8", "mobilenet-16", "convnext-32"} <= set(names)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_cost_of_a_small_network_is_what_torch_counts(family):
    network = reference(f"{family}-12")
    with torch.device("meta"):
        model = build_model(network, 3, 5)
    assert_cost(model, cost(network, (3, 28, 20), 5).layers, (3, 28, 20))
    assert [stage.width for stage in network.stages] == [12, 24, 48]


def test_the_small_resnet_is_the_one_written_by_hand():
    by_hand, network = basic_resnet(classes=4, depth=1), reference("resnet-basic-16")
    assert cost(network, (3, 32, 32), 4).flops == 6_251_008
    assert cost(network, (3, 32, 32), 4).params == sum(p.numel() for p in by_hand.parameters())


@pytest.mark.parametrize(
    ("name", "law"),
    [
        ("resnet-basic-3", r"width of resnet-basic-W must be a whole number from 4 up; got 3"),
        ("convnext-99999", r"width of convnext-W must be a whole number from 4 to 512; got 99999"),
        ("mobilenet-016", r"must be mobilenet-W; got 'mobilenet-016'\. Did you mean 'mobilenet-16'\?"),
        ("mobilnet-16", r"got 'mobilnet-16'\. Did you mean 'mobilenet-16'\?"),
    ],
)
def test_a_wrong_width_is_named(name, law):
    assert not is_reference(name)
    with pytest.raises(UnknownName, match=law):
        reference(name)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_reference_survives_json_and_has_four_stages(name):
    architecture = reference(name)
    assert Architecture.from_dict(architecture.to_dict()) == architecture
    assert [stage.width for stage in architecture.stages] == [64, 128, 256, 512]
    assert [stage.stride for stage in architecture.stages] == [1, 2, 2, 2]


def test_blocks_and_operators_are_those_of_the_name():
    assert [stage.depth for stage in reference("resnet26").stages] == [1, 2, 4, 1]
    assert [stage.depth for stage in reference("sasa-38-stem").stages] == [2, 3, 5, 2]
    assert [stage.depth for stage in reference("resnet50").stages] == [3, 4, 6, 3]
    operators = [stage.operator for stage in reference("hybrid-50-CACA").stages]
    assert operators == ["conv", "local_attention", "conv", "local_attention"]
    assert reference("sasa-26-full").stem.kind == "attention"
    assert reference("sasa-26-stem").stem.kind == "conv7x7"


def test_only_networks_that_are_the_same_share_a_digest():
    digests = {name: reference(name).digest for name in references()}
    assert digests.pop("hybrid-50-CCCC") == digests["resnet50"]
    assert digests.pop("hybrid-50-AAAA") == digests["sasa-50-stem"]
    assert len(set(digests.values())) == len(digests)


def test_an_unknown_reference_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownName, match=r"reference must be one of .*; got 'resnet-50'\. Did you mean 'resnet50'\?"):
        reference("resnet-50")
