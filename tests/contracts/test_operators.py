"""The contracts of operators and stems, for every built-in entry of both tables."""

import pytest

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.stems import STEMS
from hybrid_search.networks.stems.attention import AttentionStem
from hybrid_search.networks.stems.conv import Conv3x3Stem, Conv7x7Stem
from hybrid_search.networks.stems.patchify import PatchifyStem
from hybrid_search.networks.stems.two_conv3x3 import TwoConv3x3Stem
from hybrid_search.ops import OPERATORS, make_operator
from hybrid_search.ops.conv import Conv
from hybrid_search.ops.depthwise_conv import DepthwiseConv
from hybrid_search.ops.global_attention import GlobalAttention
from hybrid_search.ops.local_attention import LocalAttention
from hybrid_search.testing import OperatorContract, StemContract

WRONG_ACTIVATION = ({"activation": "tanh"}, "activation must be one of relu, silu, gelu; got 'tanh'")
NO_WIDTH = ({"width": 0}, r"width must be a whole number from 1 up; got 0\.")


class TestConv(OperatorContract):
    name, operator = "conv", Conv
    cases = ({}, {"kernel_size": 5}, {"kernel_size": 1}, {"groups": 16}, {"groups": 4}, {"groups": "depthwise"})
    illegal = (
        ({"kernel_size": 4}, 16, r"kernel_size must be an odd number from 1 up; got 4\."),
        ({"groups": 3}, 16, r"groups must divide the width; got 3 groups at width 16\."),
        ({"groups": 0}, 16, r"groups must be a whole number from 1 up; got 0\."),
        ({"groups": "each"}, 16, r"groups must be a whole number from 1 up, or depthwise; got 'each'\."),
    )


class TestDepthwiseConv(OperatorContract):
    name, operator = "depthwise_conv", DepthwiseConv
    cases = ({}, {"kernel_size": 7}, {"kernel_size": 1})
    illegal = (({"kernel_size": 2}, 16, r"kernel_size must be an odd number from 1 up; got 2\."),)


class TestLocalAttention(OperatorContract):
    name, operator = "local_attention", LocalAttention
    cases = (
        {},
        {"extent": 3, "heads": 1, "border": "zero"},
        {"extent": 1, "heads": 2, "border": "shifted"},
        {"extent": 5, "heads": 4, "border": "shifted", "norm": True},
        {"extent": 3, "heads": 4, "position": "none", "scale": True},
        {"extent": 3, "heads": 2, "position": "absolute", "norm": True},
        {"extent": 3, "heads": 4, "position": "absolute", "projection": "grouped"},
        {"extent": 11, "heads": 4, "logits": "qr", "projection": "grouped"},
        {"extent": 5, "heads": 2, "logits": "qr", "norm": True, "scale": True},
    )
    illegal = (
        ({"extent": 4}, 16, r"extent must be an odd number from 1 up; got 4\."),
        (
            {"heads": 16},
            16,
            r"heads must divide .* into even parts .*; got 16 heads at width 16; possible: 1, 2,",
        ),
        ({"position": "both"}, 16, r"position must be one of none, absolute, relative; got 'both'"),
        ({"logits": "qr", "position": "none"}, 16, r"logits qr needs position relative; got position none"),
        ({"position": "absolute", "heads": 2}, 6, r"position absolute needs a width divisible by 4 .*; got 6\."),
    )

    def has_effect(self, options, parameter):
        return options.get("extent") != 1  # the one weight of a window of one pixel is 1


class TestGlobalAttention(OperatorContract):
    name, operator = "global_attention", GlobalAttention
    cases = (
        {},
        {"heads": 2, "position": "none"},
        {"heads": 1, "distance": 1},
        {"heads": 4, "distance": 4},
        {"heads": 4, "position": "none", "distance": 3},
    )
    illegal = (
        ({"heads": 3}, 16, r"heads must divide the width into even parts .*; got 3 heads at width 16; possible: 1, 2,"),
        ({"heads": 3, "position": "none"}, 16, r"heads must divide the width; got 3 heads"),
        ({"position": "absolute"}, 16, r"position must be one of none, relative; got 'absolute'"),
        ({"distance": 0}, 16, r"distance must be a whole number from 1 up; got 0\."),
    )


class TestConv7x7(StemContract):
    stem = Conv7x7Stem
    cases = ({}, {"width": 8, "activation": "gelu"})
    illegal = (NO_WIDTH, WRONG_ACTIVATION)
    sizes = ((16, 8), (17, 10))


class TestConv3x3(StemContract):
    stem = Conv3x3Stem
    cases = ({}, {"width": 8, "activation": "silu"}, {"stride": 2})
    illegal = (NO_WIDTH, WRONG_ACTIVATION, ({"stride": 3}, r"stride must be one of 1, 2; got 3\."))
    sizes = ((16, 8), (5, 7))


class TestTwoConv3x3(StemContract):
    stem = TwoConv3x3Stem
    cases = ({"width": 7}, {"stride": 1, "norm": "layer"}, {"stride": 4, "activation": "silu"})
    illegal = (
        NO_WIDTH,
        WRONG_ACTIVATION,
        ({"stride": 3}, r"stride must be one of 1, 2, 4; got 3\."),
        ({"norm": "group"}, r"norm must be one of batch, layer; got 'group'"),
    )
    sizes = ((16, 8), (7, 5))


class TestPatchify(StemContract):
    stem = PatchifyStem
    cases = ({"width": 8}, {"stride": 2, "norm": "batch"})
    illegal = (
        NO_WIDTH,
        ({"stride": 1}, r"stride must be one of 2, 4; got 1\."),
        ({"norm": "group"}, r"norm must be one of batch, layer; got 'group'"),
    )
    sizes = ((16, 8), (9, 6), (7, 3))


class TestAttention(StemContract):
    stem = AttentionStem
    cases = (
        {},
        {"width": 16, "heads": 2, "mixtures": 3},
        {"width": 16, "mixtures": 1},
        {"width": 8, "heads": 1, "values": "plain"},
        {"width": 8, "values": "conv4x4"},
    )
    illegal = (NO_WIDTH, ({"heads": 3}, "heads must divide the width into even parts"))


def test_every_built_in_entry_has_its_class_of_tests():
    operators = {contract.name: contract.operator for contract in OperatorContract.__subclasses__()}
    stems = {contract.stem.kind: contract.stem for contract in StemContract.__subclasses__()}
    assert operators == {name: OPERATORS[name] for name in OPERATORS if OPERATORS.is_built_in(name)}
    assert stems == {kind: STEMS[kind] for kind in STEMS if STEMS.is_built_in(kind)}


def test_labels_and_symbols_of_operators_are_distinct():
    for constant in ("label", "symbol"):
        values = [getattr(operator, constant) for operator in OPERATORS.usable().values()]
        assert len(set(values)) == len(values)


def test_an_unknown_operator_is_answered_with_the_nearest_name():
    with pytest.raises(ArchitectureError, match=r"operator must be one of .*; got 'convolution'"):
        make_operator("convolution", {})
