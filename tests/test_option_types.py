"""Options of operators of other packages: they are read in their declared type, and a check that fails refuses them."""

import json
from pathlib import Path

import pytest
from support.plugins import installed

from hybrid_search import cli
from hybrid_search.errors import ArchitectureError, SpaceError
from hybrid_search.networks.architecture import Architecture, Stage
from hybrid_search.ops import OPERATORS
from hybrid_search.ops.operator import as_declared, declared_types
from hybrid_search.spaces.space import SearchSpace

OPERATOR = """
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Thing:
    family: ClassVar[str] = "other"
    label: ClassVar[str] = "shift"
    symbol: ClassVar[str] = "S"
    reach: int
    share: float = 0.5
    wrap: bool = False
    mode: str = "zero"

    def check(self, width):
        if self.reach < 1 or self.share > width:
            raise OverflowError(f"reach {self.reach}\\nof {width}")

    def canonical(self, width, size=None):
        return self

    def cost(self, width, rows, cols, stride):
        return []

    def build(self, width, stride):
        raise NotImplementedError
"""


@pytest.fixture
def _shift(tmp_path_factory, monkeypatch):
    with installed(tmp_path_factory.mktemp("plugin"), monkeypatch, OPERATORS, "shift", OPERATOR):
        yield


def space_of(**options):
    stages = [{"depth": 1, "width": 8, "operator": {"shift": options}}]
    return SearchSpace.from_dict({"name": "t", "stem": "conv3x3", "stages": stages})


@pytest.mark.usefixtures("_shift")
def test_options_are_read_in_the_type_of_their_default_or_annotation():
    assert declared_types(OPERATORS["shift"]) == {"reach": int, "share": float, "wrap": bool, "mode": str}
    written = space_of(reach=["1e0", 2.0], share="1e-1", wrap=["on", "no"], mode="no")
    (variant,) = written.form.stages[0].operator["shift"]
    assert variant == {"reach": (1, 2), "share": (0.1,), "wrap": (True, False), "mode": ("no",)}
    design = {"operator": "shift", "depth": 1, "width": 8, "reach": "2", "share": "0.25", "wrap": "yes", "mode": "on"}
    assert Stage.from_dict(design) == Stage("shift", 1, 8, 1, {"reach": 2, "share": 0.25, "wrap": True, "mode": "on"})


FAULTS = {
    "a text in the place of a number": ({"reach": "far"}, r"options of shift must be legal; got reach='far', "
                                        r"share=0\.5, wrap=False, mode='zero'\. Its check failed: "
                                        r"TypeError: '<' not supported"),
    "nothing": ({"reach": None}, r"got reach=nothing, .*Its check failed: TypeError"),
    "nothing that the check does not see": ({"reach": 1, "mode": None}, "mode must have a value; got nothing"),
    "an error of several lines": ({"reach": 0}, r"Its check failed: OverflowError: reach 0 of 8\."),
    "an option without default": ({"share": 1}, r"shift needs the option reach; got share\."),
    "a list in a list": ({"reach": [[1]]}, r"reach\[0\] must be a number, text, true or false; got \[1\]"),
}  # fmt: skip


@pytest.mark.usefixtures("_shift")
@pytest.mark.parametrize("name", FAULTS)
def test_an_option_that_the_check_cannot_take_is_refused_in_one_line(name):
    options, message = FAULTS[name]
    with pytest.raises(SpaceError, match=message) as caught:
        space_of(**options)
    assert str(caught.value).startswith("space: stages[0].operator.shift")
    assert str(caught.value).isprintable()


@pytest.mark.usefixtures("_shift")
def test_an_architecture_file_with_such_an_option_is_refused_in_one_line(capsys):
    stage = {"operator": "shift", "depth": 1, "width": 8, "reach": "far"}
    content = {"stem": {"kind": "conv3x3"}, "stages": [stage]}
    Path("mine.json").write_text(json.dumps(content), encoding="utf-8")
    assert cli.run(["cost", "mine.json"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("hybrid-search: mine.json: stages[0]: options of shift must be legal; got reach='far'")
    assert line.count("\n") == 1
    with pytest.raises(ArchitectureError, match="Its check failed") as caught:
        Architecture.from_dict(content)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    ("value", "declared", "read"),
    [
        ("yes", bool, True), ("OFF", bool, False), ("maybe", bool, "maybe"), (1, bool, 1), ("1k", int, 1000),
        (2.0, int, 2), (2.5, int, 2.5), ("2.5", int, 2.5), (1e300, int, 1e300), ("x", int, "x"), ("1e-3", float, 0.001),
        (1, float, 1), ("1", str, "1"), (True, int, True), ("yes", None, "yes"), (None, int, None), ("0x1F", int, 31),
    ],
)  # fmt: skip
def test_a_value_is_read_in_its_declared_type(value, declared, read):
    found = as_declared(value, declared)
    assert found == read
    assert type(found) is type(read)
