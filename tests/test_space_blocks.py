"""Spaces that offer blocks, expansions, strides up to 4 and stages that may be left out."""

import random
from pathlib import Path

import pytest

from hybrid_search import SearchSpace, load_space
from hybrid_search.errors import SpaceError
from hybrid_search.networks.costs import simplified_for
from hybrid_search.spaces.choosers import FixedChoices, RandomChooser
from hybrid_search.spaces.equivalence import count_equivalent
from hybrid_search.spaces.stored_space import stored_space

STEM = {"conv3x3": {"width": 8}}
HEADS = {"global_attention": {"heads": 4}}
RECORDED = Path(__file__).parent / "recorded"
DIGESTS = {"digits": "67abcf163df6bc3a", RECORDED / "cifar.yaml": "2d51210e05f31506"}  # before there were blocks


def space(stages, **more):
    return SearchSpace.from_dict({"name": "blocks", "stem": STEM, "stages": stages, **more})


def stage(**more):
    return {"depth": 1, "width": 8, "operator": "conv", **more}


CASES = {
    "a block of a stage": space([stage(block=["basic", "bottleneck"])]),
    "options of a block": space(
        [stage(block={"inverted_residual": {"expansion": [2, 4], "squeeze_excitation": [True, False]}, "basic": {}})]
    ),
    "one block for all stages": space([stage(), stage(width=16)], block=["basic", "metaformer", "bottleneck"]),
    "shared and own blocks": space(
        [stage(depth=[0, 1]), stage(block=["metaformer", "bottleneck"], width=[8, 16])],
        block={"basic": {}, "bottleneck": {"activation": ["relu", "silu"]}},
        expansion=[2, 4, 6],
    ),
    "expansions": space([stage(block=["basic", "bottleneck"]), stage()], expansion=[1, 2]),
    "a stage that may be left out": space([stage(depth=[0, 1, 2], width=[8, 16]), stage(stride=4)]),
    "operators by block": space(
        [
            stage(depth=[0, 1, 2], per="block", operator=["conv", "depthwise_conv"], block=["basic", "metaformer"]),
            stage(),
        ]
    ),
    "operators of each block": space(
        [
            {
                "depth": [0, 2],
                "width": [8, 16],
                "block": {"basic": {}, "inverted_residual": {"expansion": [2, 3]}},
                "by_block": {
                    "basic": {"conv": {}, "local_attention": {"heads": 4}},
                    "inverted_residual": "depthwise_conv",
                },
            },
            {"depth": [1, 2], "width": 8, "per": "block", "by_block": {"bottleneck": ["conv", "depthwise_conv"]}},
            stage(),
        ],
        expansion=[2, 4],
        block=["basic", "bottleneck"],
    ),
    "a group": space(
        [{"depth": [0, 1], "width": 8, "group": "g", "block": "basic"}, {"depth": 1, "width": 8, "group": "g"}],
        groups={"g": {"operator": ["conv", "depthwise_conv"]}},
        expansion=[1, 3],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_size_is_the_number_of_combinations(case):
    found = list(case.enumerate_choices())
    assert len(found) == case.size()
    assert len({repr(choices) for _, choices in found}) == len(found)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_choices_give_the_architecture_again(case):
    rng = random.Random(0)
    for _ in range(20):
        architecture, choices = case.random_choices(rng)
        assert case.choose(FixedChoices(choices)) == architecture
        near, steps = case.neighbour(choices, rng)
        assert case.choose(FixedChoices(steps)) == near
        simplified_for(architecture, (1, 16, 16))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_space_is_stored_and_read_again(case):
    again = stored_space(case.to_dict())
    assert again.to_dict() == case.to_dict()
    assert (again.digest, again.size()) == (case.digest, case.size())


def test_only_parameters_with_an_effect_are_suggested():
    chooser = FixedChoices({"block": "basic", "stage1.depth": 0, "stage2.block": "metaformer"})
    CASES["shared and own blocks"].choose(chooser)
    assert list(chooser.params) == ["block", "stage1.depth", "stage2.width", "stage2.block"]
    chooser = FixedChoices({"block": "bottleneck", "stage2.block": "metaformer", "stage1.depth": 1})
    CASES["shared and own blocks"].choose(chooser)
    assert list(chooser.params)[-1] == "expansion"
    assert "block.bottleneck.activation" in chooser.params


def test_a_block_suggests_its_own_operators_only():
    made = CASES["operators of each block"]
    chooser = FixedChoices({"stage1.depth": 2, "stage1.block": "inverted_residual", "block": "basic"})
    first = made.choose(chooser).stages[0]
    assert (first.block, first.operator) == ("inverted_residual", "depthwise_conv")
    assert "stage1.block.inverted_residual.expansion" in chooser.params
    assert not any(name.startswith("stage1.basic") for name in chooser.params)
    chooser = FixedChoices({"stage1.depth": 2, "stage1.block": "basic", "stage1.basic.operator": "local_attention"})
    assert made.choose(chooser).stages[0].operator == "local_attention"


def test_an_operator_is_checked_only_in_the_blocks_that_may_have_it():
    heads = {"local_attention": {"extent": 3, "heads": 8}}
    line = {"depth": 1, "width": 4, "by_block": {"inverted_residual": heads, "basic": "conv"}}
    assert space([line]).size() == 2
    with pytest.raises(SpaceError, match=r"stages\[0\]\.by_block\.basic\.local_attention.*heads"):
        space([{**line, "by_block": {"inverted_residual": heads, "basic": heads}}])


def test_two_ways_to_write_a_depthwise_convolution_are_one_architecture():
    made = space([stage(operator={"conv": {"groups": [1, 2, "depthwise"]}, "depthwise_conv": {}}, block="basic")])
    found = list(made.enumerate())
    assert len(found) == made.size() == 4
    assert len({architecture.digest for architecture in found}) == 3
    choices = {"stage1.operator": "conv", "stage1.conv.groups": "depthwise"}
    assert count_equivalent(made, choices, (1, 16, 16)) == 2


def test_a_stage_of_depth_0_is_left_out_with_its_stride():
    made = space([stage(depth=[0, 1], stride=2), stage(width=16)])
    architecture = made.choose(FixedChoices({"stage1.depth": 0}))
    assert [(each.width, each.stride) for each in architecture.stages] == [(16, 1)]


def test_the_same_space_without_blocks_has_the_digest_of_before():
    for place, digest in DIGESTS.items():
        assert load_space(place).digest == digest
        stored = load_space(place).to_dict()
        assert "block" not in stored
        assert isinstance(stored["expansion"], int)
        assert all("block" not in each for each in stored["stages"])


def test_attention_is_checked_at_the_channels_that_the_block_gives_it():
    narrow = {"local_attention": {"extent": 3, "heads": 4}}
    space([{"depth": 1, "width": 4, "operator": narrow, "block": {"inverted_residual": {"expansion": 4}}}])
    with pytest.raises(SpaceError, match=r"stages\[0\]\.operator\.local_attention.*heads"):
        space([{"depth": 1, "width": 4, "operator": narrow, "block": ["inverted_residual", "basic"]}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"stages": [stage(block="basics")]}, r"stages\[0\]\.block must be one of bottleneck, basic, .*; got 'basics'"),
        (
            {"stages": [stage(by_block={"basic": "conv"})]},
            r"a stage needs one of operator, by_block, group; got operator and by_block",
        ),
        (
            {"stages": [{"depth": 1, "width": 8, "block": "basic", "by_block": {"metaformer": "conv"}}]},
            r"block and by_block of a stage must name the same blocks; got basic and metaformer",
        ),
        (
            {"stages": [{"depth": 1, "width": 8, "by_block": {"basik": "conv"}}]},
            r"stages\[0\]\.by_block\.basik: block must be one of bottleneck, basic, .*; got 'basik'.* 'basic'",
        ),
        (
            {"stages": [{"depth": 1, "width": 8, "by_block": {"basic": "convv"}}]},
            r"stages\[0\]\.by_block\.basic: operator must be one of conv, .*; got 'convv'",
        ),
        ({"stages": [stage(block={"basic": {"expansion": 2}})]}, r"options of block basic are activation"),
        (
            {"stages": [stage(block={"metaformer": {"norm": ["layer", "group"]}})]},
            r"stages\[0\]\.block\.metaformer\.norm must be one of batch, layer; got 'group'",
        ),
        (
            {"stages": [stage(block={"bottleneck": {"expansion": 2}})]},
            r"block\.bottleneck\.expansion must be a key of the space, for all its bottlenecks; got it in a block",
        ),
        (
            {"stages": [stage(block="conv")]},
            r"stages\[0\]\.block must be one of .*; got 'conv'\. This is the name of an",
        ),
        ({"stages": [stage(norm="layer")]}, r"got 'norm'\. Write it under block: \{bottleneck: \{norm: \.\.\.\}\}\."),
        (
            {"stages": [stage(width=6, block={"inverted_residual": {"expansion": [2, 3]}}, operator=HEADS)]},
            r"stages\[0\]\.operator\.global_attention\.heads .*; got 4 heads at width 12; possible: 1, 2, 3, 6\. "
            r"Block inverted_residual expansion=2 has this operator with 12 channels at width 6\.",
        ),
        (
            {"stages": [stage(), {"depth": 1, "width": 4, "group": "g"}], "groups": {"g": {"operator": HEADS}}},
            r"groups\.g\.operator\.global_attention\.heads .*; possible: 1, 2\. The width is that of stages\[1\]\.",
        ),
        ({"stages": [stage()], "block": {"basic": {"activation": None}}}, r"block\.basic\.activation"),
        ({"stages": [stage(depth=[0, 1])]}, r"stages must include one whose depth is never 0"),
        ({"stages": [stage(stride=5)]}, r"stride must be a whole number from 1 to 4; got 5"),
        ({"stages": [stage()], "expansion": [2, 2]}, r"expansion"),
        ({"stages": [stage()], "expansion": 0}, r"expansion must be a whole number from 1"),
    ],
)
def test_a_wrong_block_is_one_line_with_its_place(content, message):
    with pytest.raises(SpaceError, match=message) as caught:
        SearchSpace.from_dict({"name": "wrong", "stem": STEM, **content})
    assert "\n" not in str(caught.value)


def test_every_choice_of_the_chooser_is_offered():
    chooser = RandomChooser(random.Random(1))
    CASES["shared and own blocks"].choose(chooser)
    assert all(chooser.params[name] in offered for name, offered in chooser.offered.items())
