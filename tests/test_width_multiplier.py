"""The width multiplier of a space: one choice that scales stem and stages, with every law checked beforehand."""

import pytest

from hybrid_search.errors import SpaceError
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.space import SearchSpace
from hybrid_search.spaces.width_multiplier import scaled_width

ATTENTION = {"local_attention": {"extent": 3, "heads": 4}}
SPACE = {
    "name": "scaled",
    "stem": {"conv3x3": {"width": 16}, "conv7x7": {}},
    "stages": [
        {"depth": 1, "width": 24, "operator": ["conv"]},
        {"depth": 1, "width": [32, 64], "stride": 2, "operator": {"conv": {}, **ATTENTION}},
    ],
}
SCALED = {**SPACE, "width_multiplier": [1, "0.5", 2]}


def widths(space, **choices):
    architecture = space.choose(FixedChoices(choices))
    return [architecture.stem.width, *(stage.width for stage in architecture.stages)]


def test_a_width_is_rounded_to_its_own_multiple_of_8_4_2_or_1():
    assert [scaled_width(width, 0.5) for width in (64, 24, 8, 12, 6, 3)] == [32, 16, 8, 8, 4, 2]
    assert [scaled_width(width, 1) for width in (64, 24, 12, 6, 3)] == [64, 24, 12, 6, 3]


def test_one_choice_scales_stem_and_stages_and_the_architecture_has_the_final_widths():
    space = SearchSpace.from_dict(SCALED)
    assert widths(space) == [16, 24, 32]
    assert widths(space, width_multiplier=0.5) == [8, 16, 16]
    assert widths(space, width_multiplier=2.0, stem="conv7x7") == [128, 48, 64]
    assert space.size() == 3 * SearchSpace.from_dict(SPACE).size() == len(list(space.enumerate()))
    half = {"width_multiplier": 0.5, "stage2.width": 64}
    assert space.choose(FixedChoices(half)).stages[1] == space.choose(FixedChoices({})).stages[1]  # 64 x 0.5 is 32


def test_a_space_without_a_multiplier_keeps_its_digest_and_one_with_it_has_another():
    plain = SearchSpace.from_dict(SPACE)
    assert "width_multiplier" not in plain.to_dict()
    assert SearchSpace.from_dict(SCALED).digest != plain.digest
    assert SearchSpace.from_dict(SearchSpace.from_dict(SCALED).to_dict()).digest == SearchSpace.from_dict(SCALED).digest


@pytest.mark.parametrize(
    ("multiplier", "heads", "message"),
    [
        ([1, 0.5], 8, r"heads must divide the width.*got 8 heads at width 8.*Width 8 is 16 x 0.5, by width_multiplier"),
        (0, 4, "width_multiplier must be a number from 0.015625 to 64; got 0."),
        ([1, 1.0], 4, "width_multiplier must have choices that differ from each other; got 1.0 twice"),
        (["half"], 4, r"width_multiplier\[0\] must be a number from 0.015625 to 64; got 'half'"),
    ],
)
def test_a_multiplier_that_breaks_a_law_is_refused_by_name(multiplier, heads, message):
    operator = {"local_attention": {"extent": 3, "heads": heads}}
    stages = [{"depth": 1, "width": 16, "operator": operator}]
    with pytest.raises(SpaceError, match=message):
        SearchSpace.from_dict({**SPACE, "stages": stages, "width_multiplier": multiplier})
