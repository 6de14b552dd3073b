"""Every fault of a space is one line in the words of this project, with its place; pydantic's words never appear."""

import copy

import pytest

from hybrid_search._internal.places import one_line
from hybrid_search.errors import SpaceError
from hybrid_search.spaces.space import SearchSpace, load_space

LOCAL = {"extent": 3, "heads": 2}
STAGE = {"depth": 1, "width": 16, "operator": {"conv": {"kernel_size": [3, 5]}, "local_attention": LOCAL}}
SPACE = {
    "name": "t", "about": "two operators", "data": "digits", "settings": {"epochs": 2}, "expansion": 2,
    "stem": {"conv3x3": {"width": [8, 16]}, "attention": [{"width": 16}, {"values": ["plain", "conv4x4"]}]},
    "groups": {"late": {"operator": {"local_attention": [LOCAL, {**LOCAL, "position": "none"}]}}},
    "stages": [STAGE, {"depth": [1, 2], "width": 32, "stride": 2, "group": "late"}, {**STAGE, "per": "block"}],
}  # fmt: skip
ODD = (None, True, 0, -1, 1.5, 10**30, float("nan"), float("inf"), "", "no", "x", "a\nb", [], [None], [[1]], {},
       {"x": 1}, {1: 2}, {None: 1}, (), set(), b"x", object(), "\ud800", [1, 1], "1e400")  # fmt: skip
PYDANTIC = ("input should", "field required", "valid dictionary", "valid tuple", "valid string", "valid integer",
            "valid boolean", "valid number", "instance of", "extra inputs", "after validation", "greater than or equal",
            "at least 1 item", "validation error", "pydantic", ".bool", ".int", "function-before", "value error",
            "recursion", "unicode")  # fmt: skip


def space(**changes):
    return {**copy.deepcopy(SPACE), **changes}


def stage(**changes):
    return space(stages=[{**copy.deepcopy(STAGE), **changes}])


def local(**options):
    return stage(operator={"local_attention": {**LOCAL, **options}})


def without(key):
    return {name: value for name, value in space().items() if name != key}


def message_of(content):
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_dict(content)
    return str(caught.value)


def places(value, path=()):
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += places(each, (*path, key))
    return found


def changed(path, value):
    """Return the space with another value at a place."""
    content = copy.deepcopy(SPACE)
    owner = content
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return content


PLACES = [path for path in places(SPACE) if path]


def test_the_space_of_these_tests_is_legal():
    assert SearchSpace.from_dict(SPACE).size() > 1


@pytest.mark.parametrize("path", PLACES, ids=lambda path: ".".join(map(str, path)))
def test_an_odd_value_at_any_place_is_legal_or_refused_in_the_words_of_the_project(path):
    refused = 0
    for odd in ODD:
        try:
            SearchSpace.from_dict(changed(path, odd))
        except SpaceError as error:
            refused += 1
            text = str(error)
            assert text.isprintable()
            assert len(text) < 400
            assert not any(words in text.lower() for words in PYDANTIC), text
            assert "; got " in text, text
    assert refused > len(ODD) / 3


FAULTS = {
    "stages[0].operator.local_attention.position must be one of none, absolute, relative; got nothing.": local(
        position=None
    ),
    "stages[0].operator.local_attention.position must be one of none, absolute, relative; got 'no'. Did you mean "
    "'none'?": local(position="no"),
    "stages[0].operator.local_attention.heads must divide the width into even parts": local(heads=[2, 3]),
    "stages[0].operator.local_attention.heads must be a whole number from 1 up; got nothing.": local(heads=None),
    "stages[0].operator.local_attention.heads[1] must be a number, text, true or false; got [1].": local(
        heads=[2, [1]]
    ),
    "stages[0].operator.local_attention.heads must have choices that differ from each other; got 2 twice.": local(
        heads=[2, "2"]
    ),
    "stages[0].operator.local_attention.heads must have at least one choice; got none.": local(heads=[]),
    "stages[0].operator.local_attention.extent must be finite; got nan.": local(extent=float("nan")),
    "stages[0].operator.local_attention.extent must be an odd number from 1 up; got 10.": local(extent="1e1"),
    "stages[0].operator.local_attention.scale must be true or false; got 'maybe'.": local(scale="maybe"),
    "got 'window'. Did you mean 'extent'?": local(window=7),
    "got 'num_heads'. Did you mean 'heads'?": local(num_heads=7),
    "stages[0].operator.conv[1].kernel_size must be an odd number from 1 up; got 4.": stage(
        operator={"conv": [{"kernel_size": 3}, {"kernel_size": 4}]}
    ),
    "stages[0].operator.conv must be a mapping of names to values; got 0.": stage(operator={"conv": 0}),
    "stages[0].operator.conv must have at least one variant; got none.": stage(operator={"conv": []}),
    "stages[0].operator must be one of conv, depthwise_conv, local_attention, global_attention; got nothing.": stage(
        operator=None
    ),
    "stages[0].operator must be one of conv, depthwise_conv, local_attention, global_attention; got 'attention'. Did "
    "you mean 'local_attention'?": stage(operator="attention"),
    "stages[0].operator must name at least one operator; got none.": stage(operator={}),
    "stages[0].operator must have keys that are text; got 1.": stage(operator={1: {}}),
    "stages[0]: a stage needs one of operator, by_block, group; got operator and group.": stage(group="late"),
    "stages[0].depth must be a whole number from 0 to 1,000; got nothing.": stage(depth=None),
    "stages[0].depth[1] must be a whole number from 0 to 1,000; got nothing.": stage(depth=[1, None]),
    "stages[0].depth must be a whole number from 0 to 1,000; got 'two'.": stage(depth="two"),
    "stages[0].width must be a whole number from 1 to 1,000,000; got '40M'.": stage(width="40M"),
    "stages[0].stride must be a whole number from 1 to 4; got 5.": stage(stride=5),
    "stages[0].per must be one of stage, block; got 'blok'. Did you mean 'block'?": stage(per="blok"),
    "stages[0].per must be one of stage, block; got nothing.": stage(per=None),
    "stages[0].group must be text; got nothing.": stage(group=None),
    "keys of stages[0] are depth, width, stride, block, operator, by_block, group, per; got 'kernel_size'. Write it "
    "under operator: {conv:": stage(kernel_size=3),
    "keys of stages[0] are depth, width, stride, block, operator, by_block, group, per; got 'layers'. "
    "Did you mean 'depth'?": stage(layers=3),
    "keys of a space are name, about, data, settings, budget, image_size, width_multiplier, expansion, block, stem, "
    "groups, stages; got 'epochs'. Write it under settings: {epochs: ...}.": space(epochs=3),
    "keys of a space are name, about, data, settings, budget, image_size, width_multiplier, expansion, block, stem, "
    "groups, stages; got 'dataset'. Did you mean 'data'?": space(dataset="digits"),
    "a space needs the key stem; got name, about, data, settings, expansion, groups, stages.": without("stem"),
    "stages must be a list with at least one stage; got nothing.": space(stages=None),
    "stages must be a list with at least one stage; got {}.": space(stages={}),
    "stages[0] must be a mapping of names to values; got nothing.": space(stages=[None]),
    "stages must have at most 1,000 blocks together; got 1,200.": space(stages=[{**STAGE, "depth": 600}] * 2),
    "groups must be a mapping of names to values; got nothing.": space(groups=None),
    "groups.late must be a mapping of names to values; got nothing.": space(groups={"late": None}),
    "groups.late needs the key operator; got nothing.": space(groups={"late": {}}),
    "groups.late.operator.local_attention.heads must divide the width into even parts": space(
        groups={"late": {"operator": {"local_attention": {"heads": 3}}}}
    ),
    "stages[1].group must be one of early; got 'late'.": space(groups={"early": {"operator": "conv"}}),
    "settings must be a mapping of names to values; got nothing.": space(settings=None),
    "settings.epochs must be a whole number from 1 up; got nothing.": space(settings={"epochs": None}),
    "got 'lr'. Did you mean 'learning_rate'?": space(settings={"lr": 1}),
    "settings.optimizer must be one of muon, adamw, nesterov, lamb; got 'sgd'. Did you mean 'nesterov'? nesterov is "
    "SGD with Nesterov momentum 0.9.": space(settings={"optimizer": "sgd"}),
    "settings.learning_rate must be a finite number from 0 to 100; got inf.": space(
        settings={"learning_rate": float("inf")}
    ),
    "stem must be one of conv7x7, conv3x3, two_conv3x3, patchify, attention; got 'resnet'. "
    "Did you mean 'conv7x7'?": space(stem="resnet"),
    "stem.conv3x3.stride must be one of 1, 2; got 3.": space(stem={"conv3x3": {"stride": 3}}),
    "expansion must be a whole number from 1 to 1,000; got nothing.": space(expansion=None),
    "name must be text; got 2024. Put it in quotes.": space(name=2024),
    "name must be 1 to 100 characters that can be printed; got 'a\\nb'.": space(name="a\nb"),
    "data must be text; got nothing.": space(data=None),
    "about must be text; got True. Put it in quotes.": space(about=True),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_names_its_place_the_law_the_value_and_what_is_possible(message):
    assert f"space: {message}" in message_of(FAULTS[message]) or message in message_of(FAULTS[message])


KEYS = (
    "keys of a space are name, about, data, settings, budget, image_size, width_multiplier, expansion, block, stem, "
    "groups, stages; got "
)
STAGE_KEYS = "keys of stages[0] are depth, width, stride, block, operator, by_block, group, per; got "
WIDTH = "stages[0].width must be a whole number from 1 up; got "
WHOLE = {
    f"{KEYS}'depth:8'. Put a space after the colon.": space(**{"depth:8": 1}),
    f"{STAGE_KEYS}'\\xa0depth'. It has the character U+00A0, which YAML does not take as a space.": stage(
        **{"\xa0depth": 1}
    ),
    f"{STAGE_KEYS}'my key'.": stage(**{"my key": 1}),
    f"{KEYS}'epoch'. Did you mean 'epochs' under settings?": space(epoch=1),
    "keys of groups.late are operator; got 'operators'. Did you mean 'operator'?": space(
        groups={"late": {"operator": "conv", "operators": "conv"}}
    ),
    f"{WIDTH}'8, 16'. Use [8, 16].": stage(width="8, 16"),
    f"{WIDTH}'{'8 ' * 20}'. Use [{', '.join('8' * 20)}].": stage(width="8 " * 20),
    f"{WIDTH}'{'8 ' * 21}'. Possible forms: 1000, 1_000, 1e3, 1k.": stage(width="8 " * 21),
    "stages[0].operator.local_attention.heads must be a whole number from 1 up; got '8 x'.": local(heads="8 x"),
    "stages[0].operator.conv must be a mapping of names to values; got 'groups:3'. Put a space after the colon.": stage(
        operator={"conv": "groups:3"}
    ),
    "stages[0].operator.conv must be a mapping of names to values; got 'groups'.": stage(operator={"conv": "groups"}),
    "name must be 1 to 100 characters that can be printed; got ''.": space(name=""),
    "about must be text of at most 10,000 characters; got '\\ud800'.": space(about="\ud800"),
    "about must be text of at most 10,000 characters; got '\\udfff'.": space(about="\udfff"),
    "stages must be a list with at least one stage; got an empty list.": space(stages=[]),
    "stages[0]: a stage of a group chooses with its group; got per: block. Use operator instead of group.": space(
        stages=[{"depth": 1, "width": 8, "group": "late", "per": "block"}]
    ),
}


@pytest.mark.parametrize("message", WHOLE)
def test_a_fault_has_no_other_words(message):
    assert message_of(WHOLE[message]) == f"space: {message}"


def test_a_name_has_at_most_a_hundred_characters_and_an_operator_without_a_value_has_its_defaults():
    assert SearchSpace.from_dict(space(name="x" * 100)).name == "x" * 100
    assert "name must be 1 to 100 characters that can be printed; got 'xxx" in message_of(space(name="x" * 101))
    defaults = [SearchSpace.from_dict(stage(operator={"conv": given})).digest for given in (None, {})]
    assert defaults[0] == defaults[1]


def test_a_missing_key_of_a_file_has_the_line_of_its_mapping(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "stem: conv3x3\nstages:\n  - {depth: 1, width: 8, operator: conv}\n  - depth: 1\n    operator: conv\n"
    )
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert str(caught.value) == f"{path}, line 4: stages[1] needs the key width; got depth, operator."


def test_a_file_that_holds_no_keys_has_its_message(tmp_path):
    path = tmp_path / "mine.yaml"
    for text, found in (("", "is empty"), ("- 1", "is a list"), ("word", "is 'word'")):
        path.write_text(text)
        with pytest.raises(SpaceError) as caught:
            load_space(path)
        assert str(caught.value) == f"a space file must have keys such as stem and stages; {path} {found}."
    path.write_text("a: [1")
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert (
        str(caught.value) == f"a space must be YAML; {path} is not, at line 1: a comma or a closing bracket is missing."
    )


@pytest.mark.parametrize(
    "content", [None, 5, [], "x", {1: 2}, {None: 1}, object()], ids=lambda content: type(content).__name__
)
def test_what_is_no_mapping_of_keys_is_no_space(content):
    assert message_of(content).startswith("space: a space must")


def test_a_space_of_too_many_combinations_is_refused_at_once():
    kernels, groups = list(range(1, 2001, 2)), list(range(1, 20_000))
    content = stage(operator={"conv": {"kernel_size": kernels, "groups": groups}})
    assert "conv must offer at most 100,000 combinations of options" in message_of(content)
    extents = [2 * n + 1 for n in range(18)]
    wide = {**STAGE, "per": "block", "depth": 330, "operator": {"local_attention": {"extent": extents, "heads": 2}}}
    assert "a space must have at most 10^300 designs; got about 10^415 in 't'." in message_of(space(stages=[wide]))


def test_data_among_the_settings_and_a_group_named_like_a_stage_are_refused_with_their_line(tmp_path):
    path = tmp_path / "mine.yaml"
    stages = "stages:\n  - {depth: 1, width: 8, operator: conv}\n"
    for text, message in (
        (
            "settings:\n  epochs: 2\n  data: digits\n",
            "line 3: settings.data is a key of the space, not of its settings; got 'digits' in",
        ),
        (
            "groups:\n  stage1: {operator: conv}\n",
            "line 2: groups must not be named like a stem or stage; got 'stage1'.",
        ),
    ):
        path.write_text(f"{text}stem: conv3x3\n{stages}")
        with pytest.raises(SpaceError) as caught:
            load_space(path)
        assert message in str(caught.value)


def test_a_long_name_and_a_long_message_are_cut():
    name, text = "x" * 200, message_of(space(groups={"x" * 200: None}))
    assert name not in text
    assert f"groups.{'x' * 57}... must be a mapping" in text
    long = one_line("/folder/" * 100 + "mine.yaml", 7, "m " * 150)
    assert "about must be text of at most 10,000 characters; got 'xxx" in message_of(space(about="x" * 10_001))
    assert SearchSpace.from_dict(space(about="x" * 10_000)).about == "x" * 10_000
    assert long.startswith("...")
    assert "mine.yaml, line 7: m m" in long
    assert len(long) == 390
    assert one_line("mine.yaml", None, "m" * 1000).endswith("m...")


def test_values_may_be_written_in_the_forms_of_a_file():
    written = local(extent=3.0, heads="2", scale="yes", norm="off", position="none")
    plain = local(extent=3, heads=2, scale=True, norm=False, position="none")
    assert SearchSpace.from_dict(written).to_dict() == SearchSpace.from_dict(plain).to_dict()
    assert (
        SearchSpace.from_dict(stage(depth="1", width=16.0, stride="1")).digest == SearchSpace.from_dict(stage()).digest
    )


def test_a_fault_of_a_file_names_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "stem: conv3x3\nstages:\n  - {depth: 1, width: 8, operator: conv}\n  - depth: 1\n    width: 8\n"
        "    operator:\n      local_attention:\n        extent: 3\n        heads: 3\n"
    )
    with pytest.raises(SpaceError) as caught:
        load_space(path)
    assert str(caught.value).startswith(
        f"{path}, line 7: stages[1].operator.local_attention.heads must divide the width"
    )
