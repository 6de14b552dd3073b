"""The limits of a space file: the largest legal value is legal, and the next one is refused."""

import pytest

from hybrid_search._internal.places import dotted
from hybrid_search.errors import SpaceError
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.yaml_text import DEEPEST, MOST_VALUES, parse_yaml

STAGE = {"depth": 1, "width": 8, "operator": "conv"}


def parsed(text):
    return parse_yaml(text, "a space must be YAML", "mine.yaml").values


def space(*stages, **more):
    return SearchSpace.from_dict({"name": "t", "stem": "conv3x3", "stages": list(stages), **more})


def test_a_file_has_at_most_twenty_thousand_values_with_its_aliases():
    assert len(parsed(f"[{'1,' * (MOST_VALUES - 1)}]")) == MOST_VALUES - 1  # and the list itself
    with pytest.raises(SpaceError, match=r"^mine\.yaml: a file must have at most 20,000 values; got more\.$"):
        parsed(f"[{'1,' * MOST_VALUES}]")
    half = f"a: &x [{'1,' * 9_997}]\nb: "  # 1 + 9,998 values
    assert len(parsed(f"{half}*x\n")["b"]) == 9_997
    with pytest.raises(SpaceError, match=r"^mine\.yaml, line 2: a file must have .* with its aliases; got more\.$"):
        parsed(f"{half}[*x, 1, 1, 1]\n")


def test_lists_are_nested_at_most_fifty_deep():
    assert parsed("[" * DEEPEST + "1" + "]" * DEEPEST)
    with pytest.raises(
        SpaceError, match=r"^mine\.yaml: lists and mappings must be nested at most 50 deep; got more\.$"
    ):
        parsed("[" * (DEEPEST + 1) + "1" + "]" * (DEEPEST + 1))


def test_a_network_has_at_most_a_thousand_blocks():
    assert space({**STAGE, "depth": [1, 600]}, {**STAGE, "depth": 400}).size() == 2
    with pytest.raises(SpaceError, match=r"stages must have at most 1,000 blocks together; got 1,001\."):
        space({**STAGE, "depth": [1, 600]}, {**STAGE, "depth": 401})


def test_a_space_has_at_most_a_hundred_thousand_combinations_to_check():
    kernels = [2 * n + 1 for n in range(1, 1000)]
    widths = list(range(1, 100))  # 999 kernels at 99 widths, and the stem: 98,902
    stage = {"depth": 1, "width": widths, "operator": {"conv": {"kernel_size": kernels}}}
    rest = {**STAGE, "width": list(range(1, 1099))}  # 1,098 more: 100,000 together
    assert space(stage, rest).size() == 999 * 99 * 1098
    with pytest.raises(SpaceError, match=r"stages\[1\]\.operator\.conv must offer at most 100,000 combinations"):
        space(stage, {**STAGE, "operator": {"conv": {"kernel_size": kernels[:550], "groups": [1, 2]}}})


def test_a_long_name_in_a_place_is_cut_and_an_odd_one_is_quoted():
    assert dotted(("stages", 0, "x" * 60)) == f"stages[0].{'x' * 60}"
    assert dotted(("stages", 0, "x" * 61)) == f"stages[0].{'x' * 57}..."
    assert dotted(("a\nb", 1, "c")) == "'a\\nb'[1].c"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 'x", "at line 1: a quotation mark is not closed"),
        ("a: b: c", "at line 1: a colon stands where no key can be"),
        ("a: *x", "at line 1: an alias (*name) needs an anchor (&name) above it"),
        ("a: [1", "at line 1: a comma or a closing bracket is missing"),
    ],
)
def test_the_reason_of_a_text_that_is_no_yaml_is_the_whole_message(text, reason):
    with pytest.raises(SpaceError) as caught:
        parsed(text)
    assert str(caught.value) == f"a space must be YAML; mine.yaml is not, {reason}."


def test_a_tag_is_refused_with_the_whole_message():
    with pytest.raises(SpaceError) as caught:
        parsed("a: !mine [1]")
    assert str(caught.value) == "mine.yaml, line 1: values must be plain; got the tag '!mine'. Remove the tag."


def test_a_stage_without_operator_and_group_is_refused():
    with pytest.raises(SpaceError) as caught:
        space({"depth": 1, "width": 8})
    assert str(caught.value) == "space: stages[0]: a stage needs one of operator, by_block, group; got none."


def test_operators_in_a_list_of_mappings_have_the_whole_hint():
    with pytest.raises(SpaceError) as caught:
        space({**STAGE, "operator": [{"conv": {}}]})
    assert str(caught.value).endswith("; got {'conv': {}}. Write it as a mapping of names, without a list.")
