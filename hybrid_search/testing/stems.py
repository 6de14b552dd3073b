"""The contract of a stem as a class of tests."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch

from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.stems import STEMS
from hybrid_search.networks.stems.stem import Stem, check_stem
from hybrid_search.ops.operator import Value, from_options, option_names, options_of
from hybrid_search.testing.counting import assert_cost

Case = Mapping[str, Value]  # option name -> value


class StemContract:
    """The tests that every stem must pass. Inherit from it in a test module.

    The package of the stem must be installed, so that its entry point is found.

    Attributes:
        stem: its class.
        cases: options that are legal; every option must be in one of them.
        illegal: (options, regular expression that the error message must match).
        sizes: (rows, cols) of images that the stem accepts.

    Example:
        >>> class TestPatches(StemContract):
        ...     stem = Patches
        ...     cases = ({}, {"width": 8})
        ...     illegal = (({"width": 0}, "width must be a whole number"),)
    """

    stem: ClassVar[type[Any]]
    cases: ClassVar[Sequence[Case]]
    illegal: ClassVar[Sequence[tuple[Case, str]]]
    sizes: ClassVar[Sequence[tuple[int, int]]] = ((16, 24), (12, 20))

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test once for each case, for each illegal setting, and for each image size."""
        if "options" in metafunc.fixturenames:
            metafunc.parametrize("options", self.cases, ids=str)
        if "illegal_case" in metafunc.fixturenames:
            metafunc.parametrize("illegal_case", self.illegal, ids=lambda case: str(case[0]))
        if "size" in metafunc.fixturenames:
            metafunc.parametrize("size", self.sizes, ids=lambda size: f"{size[0]}x{size[1]}")

    def made(self, options: Case) -> Stem:
        """Return the stem with these options.

        Args:
            options: option name -> value.

        Raises:
            ArchitectureError: an option is unknown or missing.
        """
        stem: Stem = from_options(f"stem {self.stem.kind}", self.stem, dict(options))
        return stem

    def test_the_class_follows_the_contract(self) -> None:
        """It is a frozen dataclass with kind, family, label, width, stride and the four methods."""
        assert check_stem(self.stem.kind, self.stem) is self.stem

    def test_the_table_has_the_stem_under_its_kind(self) -> None:
        """The name of the entry point is `kind`; install the package again after a change of its entry points."""
        assert STEMS[self.stem.kind] is self.stem

    def test_every_option_has_a_case(self) -> None:
        """The cases set every option that the class declares."""
        assert {option for options in self.cases for option in options} == set(option_names(self.stem))

    def test_an_unknown_option_is_refused_with_the_known_ones(self) -> None:
        """A misspelt option is an error of the user."""
        with pytest.raises(ArchitectureError, match=rf"options of stem {self.stem.kind} are .*; got 'no_such_option'"):
            self.made({"no_such_option": 1})

    def test_an_illegal_option_raises_an_architecture_error(self, illegal_case: tuple[Case, str]) -> None:
        """`check` names the first fault."""
        options, message = illegal_case
        with pytest.raises(ArchitectureError, match=message):
            self.made(options).check()

    def test_the_canonical_form_is_canonical_and_the_stem_reads_as_one_line(self, options: Case) -> None:
        """`canonical` twice is `canonical` once; options are plain values."""
        stem = self.made(options)
        stem.check()
        canonical = stem.canonical()
        assert canonical.canonical() == canonical
        assert str(stem).startswith(stem.kind)
        assert "\n" not in str(stem)
        assert self.made(dict(options_of(stem))) == stem

    def test_the_cost_is_what_torch_counts_on_the_built_module(self, options: Case, size: tuple[int, int]) -> None:
        """Parameters and FLOPs agree exactly, for each layer."""
        stem = self.made(options).canonical()
        with torch.device("meta"):
            module = stem.build(3)
        assert_cost(module, stem.cost(3, *size), (3, *size))

    def test_the_output_has_the_width_and_the_stride_of_the_stem(self, options: Case, size: tuple[int, int]) -> None:
        """(batch, channels, rows, cols) -> (batch, width, ceil(rows / stride), ceil(cols / stride)), all finite."""
        stem = self.made(options)
        y = stem.build(1)(torch.randn(2, 1, *size))
        assert y.shape == (2, stem.width, -(-size[0] // stem.stride), -(-size[1] // stem.stride))
        assert y.isfinite().all()

    def test_a_gradient_reaches_every_parameter(self, options: Case) -> None:
        """No parameter is without effect."""
        torch.manual_seed(0)
        module = self.made(options).canonical().build(3)
        module(torch.randn(2, 3, *self.sizes[0])).square().sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
