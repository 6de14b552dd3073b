"""The built-in blocks follow the contract."""

from hybrid_search.networks.blocks.basic import Basic
from hybrid_search.networks.blocks.bottleneck import Bottleneck
from hybrid_search.networks.blocks.inverted_residual import InvertedResidual
from hybrid_search.networks.blocks.metaformer import MetaFormer
from hybrid_search.testing import BlockContract

WRONG_NORM = ({"norm": "group"}, 16, "norm must be one of batch, layer; got 'group'")
WRONG_ACTIVATION = ({"activation": "tanh"}, 16, "activation must be one of relu, silu, gelu; got 'tanh'")


class TestBottleneck(BlockContract):
    name, block, width = "bottleneck", Bottleneck, 8
    cases = ({}, {"expansion": 2, "activation": "silu", "norm": "layer"})
    illegal = (({"expansion": 0}, 16, "expansion must be a whole number"), WRONG_ACTIVATION, WRONG_NORM)


class TestBasic(BlockContract):
    name, block = "basic", Basic
    cases = ({}, {"activation": "gelu", "norm": "layer"})
    illegal = (WRONG_ACTIVATION, WRONG_NORM)


class TestInvertedResidual(BlockContract):
    name, block, width = "inverted_residual", InvertedResidual, 8
    cases = ({}, {"expansion": 1}, {"expansion": 2, "squeeze_excitation": True, "activation": "silu", "norm": "layer"})
    illegal = (
        ({"expansion": 0}, 16, "expansion must be a whole number"),
        ({"squeeze_excitation": 1}, 16, "squeeze_excitation must be true or false"),
        WRONG_ACTIVATION,
        WRONG_NORM,
    )


class TestMetaFormer(BlockContract):
    name, block = "metaformer", MetaFormer
    cases = ({}, {"mlp_ratio": 2, "layer_scale": False}, {"norm": "batch", "activation": "relu"})
    illegal = (
        ({"mlp_ratio": 0}, 16, "mlp_ratio must be a whole number"),
        ({"layer_scale": "yes"}, 16, "layer_scale must be true or false"),
        WRONG_NORM,
        WRONG_ACTIVATION,
    )
