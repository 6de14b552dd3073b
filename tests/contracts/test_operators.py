"""The contract of operators and stems, for every entry of both tables and several settings of each."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.model import use_backend
from hybrid_search.networks.stems import STEMS, make_stem
from hybrid_search.ops import OPERATORS, make_operator, options_of
from hybrid_search.ops.operator import option_names

WIDTH = 16
OPERATOR_OPTIONS = {
    "conv": [{}, {"kernel_size": 5}, {"kernel_size": 1}, {"groups": WIDTH}],
    "local_attention": [
        {},
        {"extent": 3, "heads": 1, "border": "zero"},
        {"extent": 1, "heads": 2, "border": "shifted"},
        {"extent": 5, "heads": 4, "border": "shifted", "norm": True},
        {"extent": 3, "heads": 4, "position": "none", "scale": True},
        {"extent": 3, "heads": 2, "position": "absolute", "norm": True},
        {"extent": 3, "heads": 4, "position": "absolute", "projection": "grouped"},
        {"extent": 11, "heads": 4, "logits": "qr", "projection": "grouped"},
        {"extent": 5, "heads": 2, "logits": "qr", "norm": True, "scale": True},
    ],
}
STEM_OPTIONS = {
    "conv7x7": [{}, {"width": 8}],
    "conv3x3": [{}, {"width": 8}, {"stride": 2}],
    "attention": [
        {},
        {"width": 16, "heads": 2, "mixtures": 3},
        {"width": 16, "mixtures": 1},
        {"width": 8, "heads": 1, "values": "plain"},
        {"width": 8, "values": "conv4x4"},
    ],
}
OPERATOR_CASES = [(name, options) for name in OPERATORS for options in OPERATOR_OPTIONS[name]]
STEM_CASES = [(kind, options) for kind in STEMS for options in STEM_OPTIONS[kind]]
every_operator = pytest.mark.parametrize(("name", "options"), OPERATOR_CASES)
every_stem = pytest.mark.parametrize(("kind", "options"), STEM_CASES)


def counted(module, shape):
    """FLOPs of one image by module name, and the parameters, as torch counts them."""
    use_backend(module, "definition")
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, *shape, device="meta"))
    root = type(module).__name__ + "."
    flops = {name.removeprefix(root): sum(by.values()) for name, by in counter.get_flop_counts().items()}
    params = {name: p.numel() for name, p in module.named_parameters()}
    return flops, params


def agrees(module, layers, shape):
    flops, params = counted(module, shape)
    names = dict(module.named_modules())
    assert flops["Global"] == sum(layer.flops for layer in layers)
    assert sum(params.values()) == sum(layer.params for layer in layers)
    for layer in layers:
        assert layer.name in names
        assert flops.get(layer.name, 0) == layer.flops, layer.name
        assert sum(n for name, n in params.items() if name.startswith(layer.name + ".")) == layer.params, layer.name


@every_operator
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 5), (7, 4), (1, 3)])
def test_an_operator_keeps_the_width_and_divides_the_map_as_a_strided_convolution_does(name, options, stride, size):
    y = make_operator(name, options).build(WIDTH, stride)(torch.randn(2, WIDTH, *size))
    assert y.shape == (2, WIDTH, -(-size[0] // stride), -(-size[1] // stride))
    assert y.isfinite().all()


@every_operator
@pytest.mark.parametrize("stride", [1, 2])
def test_the_price_of_an_operator_is_what_torch_counts_on_the_built_module(name, options, stride):
    operator = make_operator(name, options)
    with torch.device("meta"):
        module = operator.build(WIDTH, stride)
    agrees(module, operator.cost(WIDTH, 7, 12, stride), (WIDTH, 7, 12))


@every_operator
def test_a_gradient_reaches_every_parameter_of_an_operator(name, options):
    module = make_operator(name, options).build(WIDTH, 2)
    module(torch.randn(2, WIDTH, 5, 6)).square().sum().backward()
    for parameter_name, parameter in module.named_parameters():
        assert parameter.grad is not None, parameter_name
        if options.get("extent") != 1:  # a window of one pixel has nothing to weigh
            assert parameter.grad.abs().max() > 0, parameter_name


@every_operator
def test_a_canonical_operator_is_canonical_and_has_the_same_price(name, options):
    operator = make_operator(name, options)
    canonical = operator.canonical(WIDTH)
    canonical.check(WIDTH)
    assert canonical.canonical(WIDTH) == canonical
    assert canonical.cost(WIDTH, 6, 9, 1) == operator.cost(WIDTH, 6, 9, 1)
    torch.manual_seed(0)
    module = operator.build(WIDTH, 1).eval()
    torch.manual_seed(0)
    other = canonical.build(WIDTH, 1).eval()
    other.load_state_dict(module.state_dict())
    x = torch.randn(2, WIDTH, 4, 6)
    torch.testing.assert_close(module(x), other(x), rtol=1e-5, atol=1e-5)


@every_operator
def test_an_operator_is_made_again_from_its_options(name, options):
    operator = make_operator(name, options)
    assert [option for option, _ in options_of(operator)] == option_names(OPERATORS[name])
    assert make_operator(name, dict(options_of(operator))) == operator
    assert hash(make_operator(name, options)) == hash(operator)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_every_option_of_an_operator_is_set_to_something_else_in_some_case(name):
    tried = {option for options in OPERATOR_OPTIONS[name] for option in options}
    assert tried == set(option_names(OPERATORS[name]))


@every_operator
def test_an_empty_batch_passes_through_an_operator(name, options):
    module = make_operator(name, options).build(WIDTH, 1).eval()
    assert module(torch.randn(0, WIDTH, 5, 3)).shape == (0, WIDTH, 5, 3)


@pytest.mark.parametrize("name", list(OPERATORS))
def test_an_unknown_option_of_an_operator_is_named(name):
    with pytest.raises(ArchitectureError, match=f"options of {name} are .*; got 'colour'"):
        make_operator(name, {"colour": 1})


def test_an_unknown_operator_is_answered_with_the_nearest_name():
    with pytest.raises(ArchitectureError, match=r"operator must be one of .*; got 'convolution'"):
        make_operator("convolution", {})


@every_stem
@pytest.mark.parametrize("size", [(16, 8), (4, 12)])
def test_a_stem_gives_its_width_at_its_stride(kind, options, size):
    stem = make_stem(kind, options)
    y = stem.build(3)(torch.randn(2, 3, *size))
    assert y.shape == (2, stem.width, size[0] // stem.stride, size[1] // stem.stride)
    assert y.isfinite().all()


@every_stem
@pytest.mark.parametrize("channels", [1, 3])
def test_the_price_of_a_stem_is_what_torch_counts_on_the_built_module(kind, options, channels):
    stem = make_stem(kind, options).canonical()
    with torch.device("meta"):
        module = stem.build(channels)
    agrees(module, stem.cost(channels, 12, 20), (channels, 12, 20))


@every_stem
def test_a_gradient_reaches_every_parameter_of_a_stem(kind, options):
    module = make_stem(kind, options).canonical().build(3)
    module(torch.randn(2, 3, 8, 16)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@every_stem
def test_a_canonical_stem_is_canonical_and_reads_as_one_line(kind, options):
    stem = make_stem(kind, options)
    canonical = stem.canonical()
    assert canonical.canonical() == canonical
    assert str(stem).startswith(f"{kind} width={stem.width}")
    assert "\n" not in str(stem)
    assert make_stem(kind, dict(options_of(stem))) == stem


@pytest.mark.parametrize("kind", list(STEMS))
def test_every_option_of_a_stem_is_set_to_something_else_in_some_case(kind):
    assert {option for options in STEM_OPTIONS[kind] for option in options} == set(option_names(STEMS[kind]))


@pytest.mark.parametrize("kind", list(STEMS))
def test_a_stem_without_width_is_refused(kind):
    with pytest.raises(ArchitectureError, match="width must be a whole number from 1 up; got 0"):
        make_stem(kind, {"width": 0}).check()
