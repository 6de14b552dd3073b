"""Operators and stems of other packages: a correct one works everywhere, a broken one is named."""

import sys

import pytest
import torch
from support.plugins import installed

from hybrid_search import load_space
from hybrid_search.errors import ArchitectureError, PluginError
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.networks.blocks import BLOCKS
from hybrid_search.networks.costs import cost
from hybrid_search.networks.model import build_model
from hybrid_search.networks.stems import STEMS, make_stem
from hybrid_search.ops import OPERATORS, make_operator
from hybrid_search.search.spec import SearchSpec
from hybrid_search.spaces.plugin_costs import check_space_costs
from hybrid_search.spaces.space import SearchSpace

OPERATOR = """
from dataclasses import dataclass
from typing import ClassVar

from hybrid_search.ops import Layer


@dataclass(frozen=True)
class Thing:
    family: ClassVar[str] = "other"
    label: ClassVar[str] = "shift"
    symbol: ClassVar[str] = "S"
    step: int = 1

    def check(self, width):
        pass

    def canonical(self, width, size=None):
        return self

    def cost(self, width, rows, cols, stride):
        return []

    def build(self, width, stride):
        from torch import nn

        return nn.MaxPool2d(1, stride)
"""
STEM = """
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Thing:
    kind: ClassVar[str] = "patches"
    family: ClassVar[str] = "convolution"
    label: ClassVar[str] = "patches"
    width: int = 16
    stride: int = 4

    def check(self):
        pass

    def canonical(self):
        return self

    def cost(self, channels, rows, cols):
        return []

    def build(self, channels):
        raise NotImplementedError
"""


def test_an_operator_of_another_package_is_searched_counted_and_built(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch, OPERATORS, "shift", OPERATOR):
        stages = [{"depth": 1, "width": 8, "stride": 2, "operator": {"conv": {}, "shift": {"step": [1, 2]}}}]
        space = SearchSpace.from_dict({"name": "x", "stem": {"conv3x3": {"width": 4}}, "stages": stages})
        assert [a.stages[0].operator for a in space.enumerate()] == ["conv", "shift", "shift"]
        architecture = list(space.enumerate())[2]
        assert Architecture.from_dict(architecture.to_dict()) == architecture
        assert str(architecture) == "conv3x3 width=4 | 1x8/2 shift step=2"
        model = build_model(architecture, num_classes=3)
        assert model(torch.randn(2, 3, 6, 10)).shape == (2, 3)
        assert sum(p.numel() for p in model.parameters()) == cost(architecture, (3, 6, 10), 3).params


BROKEN = {
    "no import": ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that"),
    "no dataclass": ("class Thing: pass", "PluginError: operator 'shift' must be a frozen dataclass; got <class"),
    "not frozen": (OPERATOR.replace("(frozen=True)", ""), "must be a frozen dataclass; got <class"),
    "no cost": (
        OPERATOR.replace("def cost", "def price"),
        "the methods check, canonical, cost, build; got no cost",
    ),
    "family": (
        OPERATOR.replace('"other"', '"shifting"'),
        "one of convolution, attention, other; got 'shifting'",
    ),
    "label": (OPERATOR.replace('"shift"', '""'), "must have a class constant label of one line; got ''"),
    "symbol": (OPERATOR.replace('"S"', '"shift"'), "symbol of 1 to 3 characters; got 'shift'"),
    "option": (OPERATOR.replace("step: int", "depth: int"), "must name no option operator, depth, .*; got 'depth'"),
}


@pytest.mark.parametrize(("source", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_operator_is_named_and_stops_only_the_space_that_uses_it(tmp_path, monkeypatch, source, fault):
    with installed(tmp_path, monkeypatch, OPERATORS, "shift", source):
        assert make_operator("conv", {}).kernel_size == 3
        with pytest.raises(ArchitectureError, match=r"must be one of conv, .*shift; got 'convv'\. Did you mean"):
            make_operator("convv", {})
        law = rf"operator 'shift' comes from the package other_package 1\.2, which cannot be used \(.*{fault}"
        with pytest.raises(PluginError, match=law):
            make_operator("shift", {})
        with pytest.raises(PluginError, match="Repair or uninstall other_package"):
            Stage("shift", 1, 8)


def test_a_stem_of_another_package_is_read_back_from_its_plain_form(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch, STEMS, "patches", STEM):
        architecture = Architecture(make_stem("patches", {"width": 8}), (Stage("conv", 1, 8),))
        assert Architecture.from_dict(architecture.to_dict()) == architecture


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (STEM.replace('"patches"', '"other"', 1), "stem 'patches' must have a class constant kind equal to its name"),
        (STEM.replace("    stride: int = 4\n", ""), "stem 'patches' must have a width and a stride; got no stride"),
    ],
)
def test_a_broken_stem_is_named(tmp_path, monkeypatch, source, fault):
    with installed(tmp_path, monkeypatch, STEMS, "patches", source), pytest.raises(PluginError, match=fault):
        make_stem("patches", {})


IMAGE = (1, 16, 12)
CONVOLVING = (
    OPERATOR.replace("cost(self", "cost(self, *given):\n        return self.layers(*given)\n\n    def layers(self")
    .replace(
        "return []",
        'return [Layer("conv", "conv", 9 * width, 9 * width * -(-rows // stride) * -(-cols // stride), rows, cols)]',
    )
    .replace(
        "return nn.MaxPool2d(1, stride)",
        "conv = nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=self.step > 1)\n"
        "        return nn.Sequential(OrderedDict(conv=conv))",
    )
    .replace("from dataclasses", "from collections import OrderedDict\nfrom dataclasses")
)
BLOCK = """
from dataclasses import dataclass
from typing import ClassVar

from hybrid_search.networks.blocks import OperatorPlace
from hybrid_search.networks.blocks.basic import Basic


@dataclass(frozen=True)
class Thing(Basic):
    label: ClassVar[str] = "wide"

    def cost(self, *given):
        return super().cost(*given)[1:]
"""


def space_of(stage, stem=None):
    stages = [{"depth": [0, 1], "width": [8, 16], "stride": 2, "operator": "conv", **stage}, STAGE_OF_CONV]
    return SearchSpace.from_dict({"name": "x", "stem": stem or {"conv3x3": {"width": 8}}, "stages": stages})


STAGE_OF_CONV = {"depth": 1, "width": 8, "operator": "conv"}


def test_the_stated_cost_of_a_plugin_is_compared_with_its_module_for_every_value_of_its_options(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch, OPERATORS, "shift", CONVOLVING):
        check_space_costs(space_of({"operator": ["conv", "shift"]}), IMAGE)
        wrong = space_of({"operator": {"conv": {}, "shift": {"step": [1, 2]}}})  # a bias with step 2
        law = (
            r"operator 'shift' of the package other_package 1\.2 must state the cost of the module that it builds; got "
            r"parameters of conv: cost states 144, it has 160 \(Thing\(step=2\), width 16, stride 2, map 16x16\)\."
        )
        with pytest.raises(PluginError, match=law):
            SearchSpec.create(wrong, trials=2)
        SearchSpec.create(wrong, trials=2, evaluation="own")  # builds its networks itself


def test_a_block_or_stem_with_a_wrong_cost_is_refused_by_name(tmp_path, monkeypatch):
    law = r"block 'wide' of .*; got FLOPs of all layers: cost states .*, torch counts"
    with installed(tmp_path / "block", monkeypatch, BLOCKS, "wide", BLOCK), pytest.raises(PluginError, match=law):
        check_space_costs(space_of({"block": ["basic", "wide"]}), IMAGE)
    law = r"stem 'patches' of .*; got a module that cannot be built and run: NotImplementedError"
    with installed(tmp_path / "stem", monkeypatch, STEMS, "patches", STEM), pytest.raises(PluginError, match=law):
        check_space_costs(space_of({}, {"patches": {}}), IMAGE)


def test_a_space_without_plugins_is_not_compared_and_needs_no_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "hybrid_search.networks.counting", None)
    check_space_costs(load_space("digits"), IMAGE)
