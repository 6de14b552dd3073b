"""Spaces: the file, the parameters, and that size, enumerate and choose agree."""

import random

import pytest
import yaml

from hybrid_search.errors import SpaceError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.spaces import schema
from hybrid_search.spaces.choosers import FixedChoices, RandomChooser
from hybrid_search.spaces.shipped import shipped_spaces
from hybrid_search.spaces.space import SearchSpace, load_space

CONV = {"conv": {"kernel_size": [3, 5]}}
BOTH = {**CONV, "local_attention": {"extent": [3, 7], "heads": 4}}


def make_space(*stages, **more):
    stem = {"conv3x3": {"width": 8}}
    return SearchSpace.from_dict({"name": "t", "stem": stem, "stages": list(stages), **more})


def stage(**more):
    return {"depth": 1, "width": 16, "operator": BOTH, **more}


def grouped(group, **more):
    return {"depth": 1, "width": 16, "group": group, **more}


SHAPES = {
    "one choice": make_space(stage(operator="conv")),
    "two stages": make_space(stage(depth=[1, 2]), stage(width=[16, 32], stride=2)),
    "a choice per block": make_space(stage(depth=[1, 3], per="block"), stage()),
    "a group": make_space(
        grouped("late"),
        grouped("late", width=[16, 32]),
        groups={"late": {"operator": BOTH}, "unused": {"operator": CONV}},
    ),
    "variants": make_space(
        stage(operator={"local_attention": [{"heads": 4, "logits": ["qk+qr", "qr"]}, {"heads": 4, "position": "none"}]})
    ),
    "two stems": make_space(
        stage(), stem={"conv3x3": {"width": [8, 16]}, "attention": {"values": ["mixture", "plain"]}}
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_size_is_the_number_of_enumerated_designs(name):
    space = SHAPES[name]
    designs = list(space.enumerate_choices())
    assert len(designs) == space.size()
    assert len({tuple(sorted(choices.items())) for _, choices in designs}) == space.size()


@pytest.mark.parametrize("name", SHAPES)
def test_the_choices_of_every_enumerated_design_give_the_same_design(name):
    space = SHAPES[name]
    for architecture, choices in space.enumerate_choices():
        assert space.choose(FixedChoices(choices)) == architecture


@pytest.mark.parametrize("name", SHAPES)
def test_random_choices_are_among_those_enumerated(name):
    space = SHAPES[name]
    digests = {architecture.digest for architecture in space.enumerate()}
    rng = random.Random(0)
    drawn = {space.random_choices(rng)[0].digest for _ in range(200)}
    assert drawn <= digests
    assert len(drawn) > min(len(digests), 50) / 2


def test_only_the_parameters_of_the_chosen_operator_are_chosen():
    space = make_space(stage())
    chooser = FixedChoices({"stage1.operator": "local_attention"})
    space.choose(chooser)
    assert set(chooser.offered) == {"stage1.operator", "stage1.local_attention.extent"}


def test_a_group_is_chosen_once_and_shared():
    space = SHAPES["a group"]
    architecture = space.choose(FixedChoices({"late.operator": "local_attention", "late.local_attention.extent": 7}))
    assert [(s.operator, dict(s.options)["extent"]) for s in architecture.stages] == [("local_attention", 7)]
    assert sum(s.depth for s in architecture.stages) == 2  # equal neighbours are one stage


def test_a_choice_per_block_makes_stages_of_depth_one():
    space = SHAPES["a choice per block"]
    choices = {"stage1.depth": 3, "stage1.block2.operator": "local_attention"}
    kinds = [(s.operator, s.depth) for s in space.choose(FixedChoices(choices)).stages]
    assert kinds == [("conv", 1), ("local_attention", 1), ("conv", 2)]  # the last joins the next stage's first


def test_only_the_first_block_of_a_stage_strides():
    space = make_space(stage(depth=3, stride=2, per="block"))
    choices = {"stage1.block2.operator": "local_attention"}
    assert [s.stride for s in space.choose(FixedChoices(choices)).stages] == [2, 1, 1]


def test_a_value_that_is_not_among_the_choices_is_refused():
    with pytest.raises(SpaceError, match=r"stage1.conv.kernel_size must be one of 3, 5; got 4"):
        make_space(stage()).choose(FixedChoices({"stage1.conv.kernel_size": 4}))


@pytest.mark.parametrize("name", shipped_spaces())
def test_every_shipped_space_loads_and_survives_json(name):
    space = load_space(name)
    again = SearchSpace.from_dict(space.to_dict())
    assert again.digest == space.digest
    rng = random.Random(1)
    for _ in range(20):
        architecture, choices = space.random_choices(rng)
        assert Architecture.from_dict(architecture.to_dict()) == architecture
        assert again.choose(FixedChoices(choices)) == architecture


def test_the_spaces_the_readme_names_are_shipped():
    assert set(shipped_spaces()) >= {"digits", "fashion-mnist", "cifar", "sasa-resnet26", "sasa-resnet50"}


@pytest.mark.parametrize("name", ["sasa-resnet26", "sasa-resnet50"])
def test_the_papers_networks_are_in_the_papers_spaces(name):
    from hybrid_search.networks.references import reference

    space = load_space(name)
    depth = name.removeprefix("sasa-resnet")
    attend = {f"stage{i}.operator": "local_attention" for i in (1, 2, 3, 4)}
    attend |= {f"stage{i}.local_attention.extent": 7 for i in (1, 2, 3, 4)}
    attend |= {f"stage{i}.local_attention.heads": 8 for i in (1, 2, 3, 4)}
    attend |= {f"stage{i}.local_attention.position": "relative" for i in (1, 2, 3, 4)}
    convolve = {f"stage{i}.operator": "conv" for i in (1, 2, 3, 4)}
    assert space.choose(FixedChoices({"stem": "conv7x7", **convolve})) == reference(f"resnet{depth}")
    assert space.choose(FixedChoices({"stem": "conv7x7", **attend})) == reference(f"sasa-{depth}-stem")
    full = {"stem": "attention", "stem.attention.values": "mixture", **attend}
    assert space.choose(FixedChoices(full)) == reference(f"sasa-{depth}-full")


def test_the_extremes_found_by_descent_are_those_of_the_whole_space(monkeypatch):
    space = make_space(
        stage(depth=[1, 2], width=[16, 8]), stage(width=[16, 32], stride=2), stage(width=[64, 32], stride=2)
    )

    def flops_of(architecture):
        return cost(architecture, (1, 16, 12), 10).flops

    costs = sorted(flops_of(architecture) for architecture in space.enumerate())
    monkeypatch.setattr("hybrid_search.spaces.space.ENUMERABLE", 1)
    assert flops_of(space.extreme(flops_of)[0]) == costs[0]
    assert flops_of(space.extreme(flops_of, largest=True)[0]) == costs[-1]


def test_a_neighbour_differs_in_one_choice():
    space = make_space(stage(), stage(width=[16, 32]))
    start = {"stage1.operator": "conv", "stage2.width": 16}
    here = FixedChoices(start)
    space.choose(here)
    for seed in range(20):
        _, moved = space.neighbour(here.params, random.Random(seed))
        assert sum(moved.get(name) != choice for name, choice in here.params.items() if name in moved) <= 1
        assert moved != here.params


def test_random_choosers_with_the_same_seed_choose_the_same():
    draws = [[load_space("digits").choose(RandomChooser(random.Random(3))).digest] for _ in range(2)]
    assert draws[0] == draws[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stagez": []}, r"keys of a space are name, .*stages; got 'stagez'. Did you mean 'stages'\?"),
        ({"stages": [stage(stide=2)]}, r"keys of stages\[0\] are depth, .*; got 'stide'. Did you mean 'stride'\?"),
        (
            {"stages": [stage(operator="convv")]},
            r"stages\[0\].operator must be one of .*got 'convv'. Did you mean 'conv'\?",
        ),
        (
            {"stages": [stage(operator={"local_attention": {"extnt": 3}})]},
            r"stages\[0\].operator.local_attention: options of .* are .*; got 'extnt'. Did you mean 'extent'\?",
        ),
        (
            {"stages": [stage(operator={"local_attention": {"heads": [4, 3]}})]},
            r"stages\[0\].operator.local_attention.heads must divide the width.*; got 3 heads at width 16",
        ),
        (
            {"stages": [stage(operator={"local_attention": {"extent": [3, 4], "heads": 4}})]},
            r"stages\[0\].operator.local_attention.extent must be an odd number from 1 up; got 4",
        ),
        ({"stages": [stage(operator={"conv": {"kernel_size": 2}})]}, r"kernel_size must be an odd number .*; got 2"),
        ({"stages": []}, r"stages must be a list with at least one stage; got an empty list"),
        ({"stages": [stage(depth=-1)]}, r"stages\[0\].depth must be a whole number from 0 to 1,000; got -1"),
        ({"stages": [stage(width=[16, 16])]}, r"width must have choices that differ from each other; got 16 twice"),
        ({"stages": [stage(width=[])]}, r"width must have at least one choice; got none"),
        ({"stages": [stage(stride=5)]}, r"stages\[0\].stride must be a whole number from 1 to 4; got 5"),
        ({"stages": [stage(group="late")]}, r"a stage needs one of operator, by_block, group"),
        (
            {"stages": [grouped("lat")], "groups": {"late": {"operator": CONV}}},
            r"Did you mean 'late'\?",
        ),
        ({"stem": "conv9x9"}, r"stem must be one of .*; got 'conv9x9'"),
        ({"settings": {"epoch": 3}}, r"settings must have known names; got 'epoch'\. Did you mean 'epochs'\?"),
        ({"settings": {"epochs": 0}}, r"epochs must be a whole number from 1 up; got 0"),
        ({"data": 3}, r"data must be text; got 3"),
    ],
)
def test_a_wrong_space_is_refused_in_one_line(change, message):
    content = {"name": "t", "stem": "conv3x3", "stages": [stage()], **change}
    with pytest.raises(SpaceError, match=message) as caught:
        SearchSpace.from_dict(content)
    assert "\n" not in str(caught.value)


def test_a_space_that_is_not_there_names_those_that_are():
    with pytest.raises(SpaceError, match=r"space must be one of .*digits.*; got 'digit'. Did you mean 'digits'\?"):
        load_space("digit")
    with pytest.raises(SpaceError, match=r"mine.yaml is not: no such file"):
        load_space("mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not, at line"),
        ("- 1\n- 2\n", "is a list"),
        ("", "is empty"),
        ("a: b: c\n", "is not, at line 1"),
    ],
)
def test_a_file_that_is_no_space_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=message):
        load_space(path)


def test_a_space_file_is_named_after_its_file_unless_it_says_otherwise(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"stem": "conv3x3", "stages": [stage()]}))
    assert load_space(path).name == "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": [{"deph": 1, "width": 8, "operator": "conv"}]}, r"got 'deph'. Did you mean 'depth'\?"),
        ({"groups": {"late": {"oprator": "conv"}}}, r"keys of groups.late are operator; got 'oprator'"),
        ({"groups": {"stage1": {"operator": "conv"}}}, "groups must not be named like a stem or stage; got 'stage1'"),
        ({"settings": {"data": "digits"}}, "data is a key of the space, not of its settings"),
    ],
)
def test_a_misspelt_or_misplaced_key_is_named_before_the_one_it_left_out(change, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict({"name": "t", "stem": "conv3x3", "stages": [stage()], **change})


def test_the_smallest_of_a_space_with_variants_is_below_any_design_drawn():
    space = load_space("sasa-resnet26")

    def flops_of(architecture):
        return cost(architecture, (3, 224, 224), 10).flops

    rng = random.Random(0)
    drawn = [flops_of(space.random_choices(rng)[0]) for _ in range(300)]
    assert flops_of(space.extreme(flops_of)[0]) <= min(drawn)
    assert flops_of(space.extreme(flops_of, largest=True)[0]) >= max(drawn)


def test_the_example_of_the_schema_is_a_space_with_the_parameters_it_names():
    text = schema.__doc__.split("A complete example:\n\n")[1].split("\n\nKeys of a stage")[0]
    space = SearchSpace.from_dict(yaml.safe_load(text))
    named = {}
    for _, choices in space.enumerate_choices():
        named.update(choices)
    expected = "stem.conv3x3.width stage1.depth stage1.operator stage1.conv.kernel_size stage2.block1.operator"
    assert set(named) >= {*expected.split(), "late.operator", "late.local_attention.extent", "stage3.width"}
    assert {"block", "width_multiplier", "image_size"} <= set(named)
    assert space.size() == 2 * 3 * 2 * 2 * 3 * (2 * 3 + 1) * 4 * 2
