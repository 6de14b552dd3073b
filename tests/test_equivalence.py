"""Equivalence: equal digests build the same network at the same cost, and different digests different ones."""

from itertools import combinations, product

import pytest
import torch

from hybrid_search.errors import ArchitectureError
from hybrid_search.ledger import Ledger
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.costs import cost, simplified_for
from hybrid_search.networks.model import build_model
from hybrid_search.networks.stems import make_stem
from hybrid_search.ops.local_attention import LocalAttention
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.equivalence import count_equivalent
from hybrid_search.spaces.space import SearchSpace

WIDTH = 4
GRID = {
    "extent": (1, 3),
    "heads": (1, 2, 4),
    "position": ("none", "absolute", "relative"),
    "logits": ("qk+qr", "qr"),
    "border": ("masked", "zero", "shifted"),
    "projection": ("dense", "grouped"),
    "scale": (False, True),
    "norm": (False, True),
}


def legal():
    for values in product(*GRID.values()):
        option = LocalAttention(**dict(zip(GRID, values, strict=True)))
        try:
            option.check(WIDTH)
        except ArchitectureError:
            continue
        if option.border == "masked" or not option.norm:
            yield option


def shapes(module):
    return tuple((name, tuple(value.shape)) for name, value in module.state_dict().items())


def filled(module):
    """Return the module with weights drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            draw = torch.rand if parameter.ndim == 1 else torch.randn  # norms above 0, so no ReLU is 0 everywhere
            parameter.copy_(draw(parameter.shape, generator=generator))
    return module.eval()


def state_for_heads(module, heads, others):
    """Return the state of a module whose projection has the layout of `heads` heads in the layout of `others`."""
    state = module.state_dict()
    if "qkv.weight" in state and heads != others:
        for name, value in state.items():
            if name.startswith(("qkv.", "norm.")) and value.ndim:
                parts = value.view(heads, 3, WIDTH // heads, -1).transpose(0, 1).reshape(3, others, WIDTH // others, -1)
                state[name] = parts.transpose(0, 1).reshape(value.shape)
    return state


def test_every_way_to_write_an_attention_layer_computes_the_same_as_its_canonical_form():
    x = torch.randn(2, WIDTH, 3, 5)
    saved = 0
    for option in legal():
        canonical = option.canonical(WIDTH)
        canonical.check(WIDTH)
        assert canonical.canonical(WIDTH) == canonical
        assert canonical.cost(WIDTH, 3, 5, 2) == option.cost(WIDTH, 3, 5, 2)
        if canonical == option:
            continue
        saved += 1
        module, other = filled(option.build(WIDTH, 2)), canonical.build(WIDTH, 2).eval()
        assert shapes(module) == shapes(other)
        other.load_state_dict(state_for_heads(module, option.heads, canonical.heads))
        torch.testing.assert_close(other(x), module(x), rtol=1e-5, atol=1e-5)
    assert saved > 50


def test_two_canonical_attention_layers_differ_in_structure_cost_or_value():
    x = torch.randn(2, WIDTH, 3, 5)
    alike = {}
    for canonical in {option.canonical(WIDTH): None for option in legal()}:
        module = filled(canonical.build(WIDTH, 1))
        costs = tuple((layer.params, layer.macs) for layer in canonical.cost(WIDTH, 3, 5, 1))
        alike.setdefault((shapes(module), costs), []).append((canonical, module(x)))
    assert max(map(len, alike.values())) > 1
    for group in alike.values():
        for (one, y), (other, z) in combinations(group, 2):
            assert not torch.allclose(y, z, rtol=1e-4, atol=1e-4), f"{one} and {other}"


def written_twice():
    """Return a space with many designs of the same network, and options that only some of them use."""
    operators = {
        "conv": {"kernel_size": 3},
        "local_attention": {"extent": [1, 3], "heads": [2, 4], "position": "none", "scale": [True, False]},
    }
    stages = [
        {"depth": [1, 2], "width": 4, "operator": operators, "per": "block"},
        {"depth": 1, "width": 4, "operator": {"conv": {"kernel_size": 3}}},
    ]
    return SearchSpace.from_dict({"name": "twice", "expansion": 1, "stem": {"conv3x3": {"width": 4}}, "stages": stages})


def test_designs_with_equal_digests_are_equal_networks_and_others_differ():
    x = torch.randn(8, 3, 6, 4)
    networks, outputs = {}, {}
    for architecture in written_twice().enumerate():
        module = build_model(architecture, num_classes=2)
        network_cost = cost(architecture, (3, 6, 4), 2)
        structure = (shapes(filled(module)), network_cost.flops, network_cost.params)
        y = module(x).detach()
        if architecture.digest in networks:
            assert networks[architecture.digest][0] == structure
            torch.testing.assert_close(networks[architecture.digest][1], y)
            continue
        networks[architecture.digest] = (structure, y)
        for other in outputs.get(structure, ()):
            assert not torch.allclose(other, y, rtol=1e-5, atol=1e-6), str(architecture)
        outputs.setdefault(structure, []).append(y)
    assert len(networks) < written_twice().size()


@pytest.mark.parametrize("border", ["masked", "shifted"])
@pytest.mark.parametrize("position", ["none", "relative"])
@pytest.mark.parametrize(("rows", "cols"), [(2, 3), (3, 2), (1, 2), (1, 1), (4, 4)])
def test_an_extent_that_covers_the_map_is_reduced_to_the_smallest_one_that_covers_it(border, position, rows, cols):
    wide = LocalAttention(extent=11, heads=2, border=border, position=position)
    least = wide.canonical(WIDTH, (rows, cols))
    assert least.extent < 11
    module, other = filled(wide.build(WIDTH, 1)), filled(least.build(WIDTH, 1))
    state = state_for_heads(module, 2, least.heads)
    for name in ("attention.rel_row", "attention.rel_col"):
        if name in state:
            first = (11 - least.extent) // 2 if least.border == "masked" and border == "masked" else 0
            state[name] = state[name][..., first : first + least.extent]
    other.load_state_dict(state)
    x = torch.randn(2, WIDTH, rows, cols)
    torch.testing.assert_close(other(x), module(x), rtol=1e-5, atol=1e-5)
    if least.extent > 1:
        narrower = LocalAttention(extent=least.extent - 2, heads=2, border=border, position=position)
        assert narrower.canonical(WIDTH, (rows, cols)).extent == least.extent - 2


def test_a_window_with_a_weight_outside_the_map_is_not_reduced():
    assert LocalAttention(extent=11, border="zero").canonical(16, (2, 2)).extent == 11


def test_the_largest_map_of_a_stage_limits_its_extent():
    stem = make_stem("conv3x3", {})
    stages = (
        Stage("local_attention", 2, 16, 2, {"extent": 7, "heads": 2}),
        Stage("local_attention", 1, 16, 1, {"extent": 5, "heads": 2}),
        Stage("local_attention", 1, 16, 1, {"extent": 3, "heads": 2}),
    )
    design = simplified_for(Architecture(stem, stages), (1, 4, 4))
    assert [(stage.depth, dict(stage.options)["extent"]) for stage in design.stages] == [(2, 7), (2, 3)]
    assert simplified_for(design, (1, 4, 4)) == design
    assert simplified_for(Architecture(stem, stages), (1, 32, 32)) == Architecture(stem, stages)
    assert cost(design, (1, 4, 4)).flops < cost(Architecture(stem, stages), (1, 4, 4)).flops


def test_a_search_trains_extents_that_cover_the_map_once(tmp_path):
    operator = {"local_attention": {"extent": [5, 7, 9], "heads": 2}}
    stages = [
        {"depth": 1, "width": [4, 8], "stride": 2, "operator": {"conv": {"kernel_size": 3}}},
        {"depth": 1, "width": 8, "stride": 2, "operator": {"conv": {"kernel_size": 3}}},
        {"depth": 1, "width": 8, "stride": 2, "operator": {"conv": {"kernel_size": 3}}},
        {"depth": 1, "width": 8, "operator": operator},
    ]
    space = SearchSpace.from_dict({"name": "covered", "stem": {"conv3x3": {"width": 4}}, "stages": stages})
    with Ledger(f"sqlite:///{tmp_path}/l.db") as ledger:  # 16x16 digits: the last stage sees 2x2
        search = open_search(SearchSpec.create(space, trials=20), ledger)
        extents = []
        while (trial := search.ask()) is not None:
            extents.append(dict(trial.architecture.stages[-1].options)["extent"])
            search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
        assert extents == [3, 3]
        assert search.avoided_by_equivalence() == 4  # six designs, two networks


def test_the_ways_to_write_a_network_are_all_designs_with_its_digest():
    attention = {"local_attention": {"extent": [1, 3, 5], "heads": [1, 2], "scale": [True, False]}}
    stages = [{"depth": [1, 2], "width": [4, 8], "operator": attention}, {"depth": 1, "width": 4, "operator": "conv"}]
    space = SearchSpace.from_dict({"name": "often", "stem": {"conv3x3": {"width": 4}}, "stages": stages})
    size = (1, 2, 2)
    designs = [
        (simplified_for(architecture, size).digest, choices) for architecture, choices in space.enumerate_choices()
    ]
    digests = [digest for digest, _ in designs]
    assert len(set(digests)) == len(digests) / 2
    assert [count_equivalent(space, choices, size) for _, choices in designs] == [digests.count(d) for d in digests]
