"""The contract of an operator as a class of tests."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from hybrid_search.errors import ArchitectureError
from hybrid_search.ops import OPERATORS
from hybrid_search.ops.operator import Operator, Value, check_operator, from_options, option_names, options_of
from hybrid_search.testing.counting import assert_cost

Case = Mapping[str, Value]  # option name -> value


class OperatorContract:
    """The tests that every operator must pass. Inherit from it in a test module.

    The package of the operator must be installed, so that its entry point is found.

    Attributes:
        name: name of the operator in the table, which is the name of its entry point.
        operator: its class.
        width: number of channels in all tests.
        cases: options that are legal at this width; every option must be in one of them.
        illegal: (options, width, regular expression that the error message must match).

    Example:
        >>> class TestShift(OperatorContract):
        ...     name, operator = "shift", Shift
        ...     cases = ({}, {"step": 2})
        ...     illegal = (({"step": 0}, 16, "step must be a whole number"),)
    """

    name: ClassVar[str]
    operator: ClassVar[type[Any]]
    width: ClassVar[int] = 16
    cases: ClassVar[Sequence[Case]]
    illegal: ClassVar[Sequence[tuple[Case, int, str]]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each case, for each illegal setting, and for several map sizes and strides."""
        if "options" in metafunc.fixturenames:
            metafunc.parametrize("options", self.cases, ids=str)
        if "illegal_case" in metafunc.fixturenames:
            metafunc.parametrize("illegal_case", self.illegal, ids=lambda case: str(case[0]))
        if "stride" in metafunc.fixturenames:
            metafunc.parametrize("stride", (1, 2))
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", ((8, 5), (7, 4), (1, 3)), ids=lambda size: f"{size[0]}x{size[1]}")

    def made(self, options: Case) -> Operator:
        """Return the operator with these options.

        Args:
            options: option name -> value.

        Raises:
            ArchitectureError: an option is unknown or missing.
        """
        operator: Operator = from_options(self.name, self.operator, dict(options))
        return operator

    def convert(self, state: dict[str, Tensor], operator: Operator, canonical: Operator) -> dict[str, Tensor]:
        """Return the weights of the operator as its canonical form stores them. Override it if they differ.

        Args:
            state: the weights of the module of `operator`.
            operator: the operator.
            canonical: its canonical form.
        """
        return state

    def has_effect(self, options: Case, parameter: str) -> bool:
        """Return whether the output depends on this parameter. Override it if some options have idle parameters.

        Args:
            options: option name -> value.
            parameter: name of the parameter, or "the input".
        """
        return True

    def test_the_class_follows_the_contract(self) -> None:
        """It is a frozen dataclass with family, label, symbol and the four methods."""
        assert check_operator(self.name, self.operator) is self.operator

    def test_the_table_has_the_operator_under_its_name(self) -> None:
        """The name of the entry point is `name`; install the package again after a change of its entry points."""
        assert OPERATORS[self.name] is self.operator

    def test_every_option_has_a_case(self) -> None:
        """The cases set every option that the class declares."""
        assert {option for options in self.cases for option in options} == set(option_names(self.operator))

    def test_an_unknown_option_is_refused_with_the_known_ones(self) -> None:
        """A misspelt option is an error of the user."""
        with pytest.raises(ArchitectureError, match=rf"options of {self.name} are .*; got 'no_such_option'"):
            self.made({"no_such_option": 1})

    def test_an_illegal_option_raises_an_architecture_error(self, illegal_case: tuple[Case, int, str]) -> None:
        """`check` names the first fault."""
        options, width, message = illegal_case
        with pytest.raises(ArchitectureError, match=message):
            self.made(options).check(width)

    def test_the_same_operator_is_made_from_its_options(self, options: Case) -> None:
        """Options are plain values, so an architecture can be written as JSON and read back."""
        operator = self.made(options)
        operator.check(self.width)
        assert self.made(dict(options_of(operator))) == operator
        assert hash(self.made(options)) == hash(operator)

    def test_the_canonical_form_is_canonical_and_computes_the_same(self, options: Case) -> None:
        """`canonical` twice is `canonical` once; cost and output do not change."""
        operator = self.made(options)
        canonical = operator.canonical(self.width)
        canonical.check(self.width)
        assert canonical.canonical(self.width) == canonical
        assert canonical.cost(self.width, 6, 9, 1) == operator.cost(self.width, 6, 9, 1)
        torch.manual_seed(0)
        module, other = operator.build(self.width, 1).eval(), canonical.build(self.width, 1).eval()
        other.load_state_dict(self.convert(module.state_dict(), operator, canonical))
        x = torch.randn(2, self.width, 4, 6)
        torch.testing.assert_close(other(x), module(x), rtol=1e-5, atol=1e-5)

    def test_the_canonical_form_on_a_map_is_canonical_and_costs_no_more(self, options: Case) -> None:
        """With the size of the map, more options may have no effect."""
        operator, size = self.made(options), (3, 2)
        canonical = operator.canonical(self.width, size)
        canonical.check(self.width)
        assert canonical.canonical(self.width, size) == canonical
        before, after = (each.cost(self.width, *size, 1) for each in (operator, canonical))
        assert sum(layer.macs for layer in after) <= sum(layer.macs for layer in before)
        assert sum(layer.params for layer in after) <= sum(layer.params for layer in before)

    def test_the_cost_is_what_torch_counts_on_the_built_module(self, options: Case, stride: int) -> None:
        """Parameters and FLOPs agree exactly, for each layer."""
        operator = self.made(options)
        with torch.device("meta"):
            module = operator.build(self.width, stride)
        assert_cost(module, operator.cost(self.width, 7, 12, stride), (self.width, 7, 12))

    def test_the_output_has_the_map_of_a_strided_convolution(
        self, options: Case, stride: int, size: tuple[int, int]
    ) -> None:
        """(batch, width, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)), all finite."""
        y = self.made(options).build(self.width, stride)(torch.randn(2, self.width, *size))
        assert y.shape == (2, self.width, -(-size[0] // stride), -(-size[1] // stride))
        assert y.isfinite().all()

    def test_a_gradient_reaches_the_input_and_every_parameter(self, options: Case) -> None:
        """No parameter is without effect."""
        module = self.made(options).build(self.width, 2)
        x = torch.randn(2, self.width, 5, 6, requires_grad=True)
        module(x).square().sum().backward()
        for name, parameter in [("the input", x), *module.named_parameters()]:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0 or not self.has_effect(options, name), name

    def test_an_empty_batch_passes_through(self, options: Case) -> None:
        """The last batch of a data set may be empty on one of several machines."""
        module = self.made(options).build(self.width, 1).eval()
        assert module(torch.randn(0, self.width, 5, 3)).shape == (0, self.width, 5, 3)
