"""The contract of a block as a class of tests."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import pytest
import torch

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.blocks import BLOCKS, Block
from hybrid_search.networks.blocks.block import check_block
from hybrid_search.ops import make_operator
from hybrid_search.ops.operator import Operator, Value, from_options, option_names, options_of
from hybrid_search.testing.counting import assert_cost

Case = Mapping[str, Value]  # option name -> value
OPERATORS: tuple[tuple[str, Case], ...] = (
    ("conv", {"kernel_size": 3}),
    ("conv", {"groups": 2}),
    ("depthwise_conv", {"kernel_size": 5}),
    ("local_attention", {"extent": 3, "heads": 2}),
    ("global_attention", {"heads": 2}),
)


class BlockContract:
    """The tests that every block must pass. Inherit from it in a test module.

    The package of the block must be installed, so that its entry point is found.

    Attributes:
        name: name of the block in the table, which is the name of its entry point.
        block: its class.
        width: width of the stage in all tests.
        cases: options that are legal at this width; every option must be in one of them.
        illegal: (options, width, regular expression that the error message must match).

    Example:
        >>> class TestPlain(BlockContract):
        ...     name, block = "plain", Plain
        ...     cases = ({}, {"activation": "silu"})
        ...     illegal = (({"activation": "tanh"}, 16, "activation must be one of"),)
    """

    name: ClassVar[str]
    block: ClassVar[type[Any]]
    width: ClassVar[int] = 16
    cases: ClassVar[Sequence[Case]]
    illegal: ClassVar[Sequence[tuple[Case, int, str]]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each case, for each illegal setting, and for each operator."""
        if "options" in metafunc.fixturenames:
            metafunc.parametrize("options", self.cases, ids=str)
        if "illegal_case" in metafunc.fixturenames:
            metafunc.parametrize("illegal_case", self.illegal, ids=lambda case: str(case[0]))
        if "operator" in metafunc.fixturenames:
            made = [make_operator(name, dict(options)) for name, options in OPERATORS]
            metafunc.parametrize("operator", made, ids=lambda operator: type(operator).__name__)

    def made(self, options: Case) -> Block:
        """Return the block with these options.

        Args:
            options: option name -> value.

        Raises:
            ArchitectureError: an option is unknown or missing.
        """
        block: Block = from_options(f"block {self.name}", self.block, dict(options))
        return block

    def test_the_class_follows_the_contract(self) -> None:
        """It is a frozen dataclass with a label and the five methods."""
        assert check_block(self.name, self.block) is self.block

    def test_the_table_has_the_block_under_its_name(self) -> None:
        """The name of the entry point is `name`; install the package again after a change of its entry points."""
        assert BLOCKS[self.name] is self.block

    def test_every_option_has_a_case(self) -> None:
        """The cases set every option that the class declares."""
        assert {option for options in self.cases for option in options} == set(option_names(self.block))

    def test_an_illegal_option_raises_an_architecture_error(self, illegal_case: tuple[Case, int, str]) -> None:
        """`check` names the first fault."""
        options, width, message = illegal_case
        with pytest.raises(ArchitectureError, match=message):
            self.made(options).check(width)

    def test_the_same_block_is_made_from_its_options(self, options: Case) -> None:
        """Options are plain values, so an architecture can be written as JSON and read back."""
        block = self.made(options)
        block.check(self.width)
        assert self.made(dict(options_of(block))) == block
        assert hash(self.made(options)) == hash(block)

    def forms(self) -> list[tuple[int, tuple[int, int], int]]:
        """Return the forms that a block is tested in: input channels, size of the input map, stride."""
        return list(product((self.width, 12), ((8, 5), (7, 4)), (1, 2, 4)))

    def test_every_place_has_the_same_number_of_channels(self, options: Case) -> None:
        """So the options of the operator are checked once for the whole block."""
        for _, size, stride in self.forms():
            places = self.made(options).places(self.width, *size, stride)
            assert places
            assert {place.width for place in places} == {places[0].width}

    def test_the_cost_is_what_torch_counts(self, options: Case, operator: Operator) -> None:
        """Parameters and FLOPs of every layer are exact, and the layers have the names of the modules."""
        block = self.made(options)
        for channels, size, stride in self.forms():
            with torch.device("meta"):
                module = block.build(operator, channels, self.width, stride).eval()
            assert_cost(module, block.cost(operator, channels, self.width, *size, stride), (channels, *size))

    def test_the_output_has_the_declared_shape_and_every_parameter_a_gradient(
        self, options: Case, operator: Operator
    ) -> None:
        """(batch, channels, rows, cols) -> (batch, out_channels, ceil(rows / stride), ceil(cols / stride))."""
        block = self.made(options)
        for channels, (rows, cols), stride in self.forms():
            module = block.build(operator, channels, self.width, stride)
            y = module(torch.randn(2, channels, rows, cols))
            assert y.shape == (2, block.out_channels(self.width), -(-rows // stride), -(-cols // stride))
            y.square().mean().backward()
            assert all(parameter.grad is not None for parameter in module.parameters())

    def test_the_places_are_modules_of_the_block(self, options: Case, operator: Operator) -> None:
        """Each place names the module of the operator, and the map that it works on."""
        block = self.made(options)
        for channels, size, stride in self.forms():
            module = block.build(operator, channels, self.width, stride)
            names, image = dict(module.named_modules()), torch.randn(2, channels, *size)
            for place in block.places(self.width, *size, stride):
                seen: list[torch.Size] = []
                names[place.name].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].shape))
                module(image)
                assert [shape[2:] for shape in seen] == [(place.rows, place.cols)]
