"""The named designs."""

import pytest

from hybrid_search.errors import UnknownName
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.references import reference, references


def test_the_names_are_the_papers_networks_and_all_sixteen_hybrids():
    names = references()
    assert len(names) == len(set(names)) == 3 + 3 + 3 + 16
    assert {"resnet26", "resnet38", "resnet50", "sasa-26-stem", "sasa-50-full", "hybrid-50-CCAA"} <= set(names)


@pytest.mark.parametrize("name", references())
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
