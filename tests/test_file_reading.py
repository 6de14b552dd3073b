"""Files that people hand in: `space`, `run` and `cost` refuse a wrong one with the same line and exit code 2."""

import os
import socket
from pathlib import Path

import pytest

from hybrid_search import cli
from hybrid_search._internal.json_text import parse_json
from hybrid_search.errors import ArchitectureError, SpaceError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.references import reference
from hybrid_search.spaces.space import load_space

GOOD = (
    "about: caf\u00e9\nstem: {conv3x3: {width: 8}}\nstages:\n"
    "  - {depth: 1, width: 8, operator: {local_attention: {extent: 3, heads: 2}}}\n"
)
SETTINGS = "settings: {%s}\n" + GOOD

# content of a file -> part of the message
WRONG_SPACES = {
    "a key twice": (
        f"settings: {{epochs: 20}}\n{GOOD}settings: {{learning_rate: 0.01}}\n",
        "line 6: a key must be given once;",
    ),
    "an option twice": (
        GOOD.replace("heads: 2", "heads: 2, heads: 1"),
        "line 4: a key must be given once; got 'heads' twice.",
    ),
    "an operator twice": (
        GOOD.replace("operator: {", "operator: {conv: {}, conv: {kernel_size: 5}, "),
        "got 'conv' twice.",
    ),
    "nothing": (
        GOOD.replace("heads: 2", "heads: 2, position: "),
        "position must be one of none, absolute, relative; got nothing.",
    ),
    "no": (GOOD.replace("local_attention: {extent: 3, heads: 2}", "no"), "operator must be one of conv, .*; got 'no'."),
    "sexagesimal": (SETTINGS % "learning_rate: 1:30", "learning_rate must be a number from 0 to 100; got '1:30'."),
    "octal": (SETTINGS % "epochs: 010", "epochs must be a whole number from 1 up; got '010'. Use 10"),
    "a date": (SETTINGS % "epochs: 2024-01-01", "epochs must be a whole number from 1 up; got '2024-01-01'."),
    "infinite": (SETTINGS % "epochs: .inf", "epochs must be a whole number from 1 up; got inf."),
    "not a number": (SETTINGS % "ema: .nan", "ema must be a finite number from 0 to 1; got nan."),
    "a tag": (SETTINGS % "epochs: !!python/object/apply:os.system [ls]", "values must be plain; got the tag"),
    "a tab": (GOOD.replace("  - ", "\t- "), "at line 4: it has a tab. Use spaces."),
    "a list": ("- a\n", "must have keys such as stem and stages; .* is a list."),
    "empty": ("", "must have keys such as stem and stages; .* is empty."),
    "a comment": ("# nothing\n", "must have keys such as stem and stages; .* is empty."),
    "a scalar": ("conv\n", "must have keys such as stem and stages; .* is 'conv'."),
    "latin-1": (GOOD.encode("latin-1"), r"it is not UTF-8 text \(line 1, byte 0xe9\)."),
    "utf-16 without a mark": (
        GOOD.encode("utf-16-le"),
        "is not: it is not UTF-8 text|it has a NUL character in line 1.",
    ),
    "a NUL": (GOOD + "\0", "it has a NUL character in line 5."),
    "cut UTF-16": (GOOD.encode("utf-16")[:-1], "it is not UTF-16 text"),
    "a loop": (SETTINGS % "epochs: &x [*x]", "an alias .* must not stand inside its own anchor"),
}


def same_line(capsys, path, commands=("space", "run", "cost")):
    """Return the one line that every command prints for a file."""
    before = sorted(Path().rglob("*"))
    lines = set()
    for command in commands:
        assert cli.run([command, str(path)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        lines.add(printed.err)
    assert sorted(Path().rglob("*")) == before
    (line,) = lines
    assert line.count("\n") == 1
    return line


@pytest.mark.parametrize("name", WRONG_SPACES)
def test_a_wrong_space_file_has_one_message_on_every_command(capsys, name):
    content, message = WRONG_SPACES[name]
    Path("mine.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = same_line(capsys, "mine.yaml")
    with pytest.raises(SpaceError, match=message):
        load_space("mine.yaml")
    assert "mine.yaml" in line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_file_with_a_byte_order_mark_is_read_in_its_encoding(encoding):
    Path("mine.yaml").write_bytes(GOOD.encode(encoding))
    assert load_space("mine.yaml").about == "caf\u00e9"


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_a_file_with_other_line_ends_is_read(ending):
    Path("mine.yaml").write_bytes(GOOD.replace("\n", ending).encode())
    assert load_space("mine.yaml").size() == 1


def test_texts_that_look_like_other_values_are_texts():
    Path("mine.yaml").write_text("name: 2024-01-01\ndata: on\n" + GOOD.replace("caf\u00e9", "no"), encoding="utf-8")
    space = load_space("mine.yaml")
    assert (space.name, space.about, space.settings.data) == ("2024-01-01", "no", "on")


def make_huge(path):
    with open(path, "wb") as file:
        file.truncate(2**30)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)


@pytest.mark.parametrize("name", ["mine.yaml", "mine"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkdir, "it is a folder"),
        (os.mkfifo, "it is a pipe"),
        (lambda path: os.symlink("/dev/zero", path), "it is a device"),
        (make_huge, "it has 1,073,741,824 bytes"),
        (make_socket, "no such device or address|it is a socket"),
    ],
    ids=["folder", "pipe", "device", "huge", "socket"],
)
def test_what_is_no_ordinary_file_is_refused_without_reading_it(name, make, reason):
    make(name)
    with pytest.raises(SpaceError, match=f"a space must be a readable YAML file; {name} is not: .*{reason}"):
        load_space(name)


def test_a_link_to_itself_and_an_absent_file_are_refused(capsys):
    os.symlink("loop.yaml", "loop.yaml")
    with pytest.raises(SpaceError, match=r"loop\.yaml is not: too many levels of symbolic links"):
        load_space("loop.yaml")
    assert "mine.yaml is not: no such file." in same_line(capsys, "mine.yaml")
    with pytest.raises(SpaceError, match="its name has a NUL character"):
        load_space("a\0b.yaml")
    with pytest.raises(SpaceError, match="is not: file name too long"):
        load_space("a" * 300 + ".yaml")


def test_a_name_of_a_file_that_cannot_be_printed_is_one_line(capsys):
    path = "a\nb.yaml"
    Path(path).write_text("- a\n")
    assert "'a\\nb.yaml' is a list." in same_line(capsys, path)


def test_an_unknown_data_set_is_refused_by_every_command_that_needs_it(capsys):
    Path("mine.yaml").write_text(f"data: mnist\n{GOOD}", encoding="utf-8")
    assert ["data must be one of digits, ", "; got 'mnist'"][0] in same_line(capsys, "mine.yaml", ("space", "run"))


def test_a_space_is_no_design_of_one_network(capsys):
    Path("mine.yaml").write_text(GOOD, encoding="utf-8")
    line = same_line(capsys, "mine.yaml", ("cost",))
    assert "a design must be one network; mine.yaml is a search space of 1 designs. See: hybrid-search space" in line


STAGE = "stem: conv3x3\nstages:\n  - depth: 1\n    width: 8\n    operator: conv\n"
SLIPS = {
    "a list of names without brackets": (("conv\n", "conv, local_attention\n"), "Use [conv, local_attention]."),
    "a list of numbers without brackets": (("width: 8", "width: 8, 16"), "got '8, 16'. Use [8, 16]."),
    "no space after a colon": (
        ("- depth: 1\n    width: 8\n    operator: conv", "- depth:1"),
        "Put a space after the colon.",
    ),
    "no space in braces": (
        ("- depth: 1\n    width: 8\n    operator: conv", "- {depth:1, width: 8}"),
        "got 'depth:1'. Put a space after the colon.",
    ),
    "a no-break space": (
        ("    operator", "\u00a0   operator"),
        "It has the character U+00A0, which YAML does not take",
    ),
    "a tab after a value": (("width: 8", "width: 8\t"), "at line 4: it has a tab. Use spaces."),
    "an option beside its operator": (
        ("conv\n", "\n      conv:\n      kernel_size: 3\n"),
        "It is an option: write it below conv.",
    ),
    "operators as a list of mappings": (("conv\n", "[conv: {}]\n"), "Write it as a mapping of names, without a list."),
    "a setting among the keys": (("stem", "epochs: 3\nstem"), "got 'epochs'. Write it under settings: {epochs: ...}."),
    "almost a setting": (("stem", "epoch: 3\nstem"), "got 'epoch'. Did you mean 'epochs' under settings?"),
    "no such setting": (("stem", "classes: 3\nstem"), "got 'classes'. The number of classes comes from the data set."),
    "an option among the keys of a stage": (
        ("operator: conv", "operator: conv\n    heads: 2"),
        "Write it under operator: {",
    ),
    "the None of Python": (("conv\n", "{local_attention: {heads: 4, position: None}}\n"), "Did you mean 'none'?"),
    "typographic quotation marks": (("conv\n", "\u201cconv\u201d\n"), "Did you mean 'conv'?"),
    "a percentage": (("stem", "settings: {weight_decay: 5%}\nstem"), "got '5%'. Use 0.05."),
    "a unit": (("width: 8", "width: 8px"), "got '8px'. Possible forms: 1000, 1_000, 1e3, 1k."),
    "a mapping in the place of a list": (
        ("stages:\n  -", "stages:\n   "),
        "stages must be a list with at least one stage;",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_a_person_is_answered_with_what_to_write(slip):
    (wrong, right), hint = SLIPS[slip]
    Path("mine.yaml").write_text(STAGE.replace(wrong, right, 1), encoding="utf-8")
    with pytest.raises(SpaceError) as caught:
        load_space("mine.yaml")
    assert hint in str(caught.value)
    assert len(str(caught.value)) < 300


DESIGN = '{"stem": {"kind": "conv3x3"},\n "stages": [{"operator": "conv", "depth": 1, "width": 8}]}'
WRONG_DESIGNS = {
    "a key twice": (
        DESIGN.replace('"depth": 1', '"depth": 1, "depth": 2'),
        "mine.json, line 2: a key must be given once; got 'depth' twice.",
    ),
    "an escaped key twice": (
        DESIGN.replace('"depth": 1', '"depth": 1, "d\\u0065pth": 2'),
        "line 2: a key must be given once; got 'depth' twice.",
    ),
    "not a number": (DESIGN.replace("8", "NaN"), "mine.json: numbers must be finite; got NaN."),
    "minus infinity": (DESIGN.replace("8", "-Infinity"), "numbers must be finite; got -Infinity."),
    "too large": (DESIGN.replace("8", "1e999"), "mine.json: numbers must be finite; got 1e999."),
    "a long number": (DESIGN.replace("8", "8" * 5000), "numbers must have at most a few hundred digits; got more."),
    "null": (DESIGN.replace("8", "null"), "stages[0].width must be a whole number from 1 up; got nothing."),
    "a comma": (DESIGN.replace("8", "8,"), "a design must be a JSON file; mine.json is not, at line 2: "),
    "deep": ("[" * 100_000, "its lists and objects are nested too deeply."),
    "deep and closed": ("[" * 200 + "]" * 200, "lists and objects must be nested at most 100 deep; got more."),
    "empty": ("", "mine.json is not, at line 1: expecting value."),
    "a list": ("[]", 'an architecture must be {"stem": {...}, "stages": [...]}; got [].'),
    "a synonym": (
        DESIGN.replace('"width"', '"channels"'),
        "a stage needs operator, depth and width; got operator, depth, channels. Did you mean 'width'?",
    ),
    "an unknown key": (DESIGN.replace('"width"', '"kernel": 3, "width"'), "got 'kernel'. Did you mean 'kernel_size'?"),
    "a list of options": (
        DESIGN.replace('"width"', '"groups": [1], "width"'),
        "stages[0].groups must be a number, text, true or false; got [1].",
    ),
    "many blocks": (
        DESIGN.replace('"depth": 1', '"depth": 1e9'),
        "stages[0].depth must be a whole number from 1 to 1,000; got 1000000000.",
    ),
    "latin-1": (DESIGN.replace("conv3x3", "caf\u00e9").encode("latin-1"), "it is not UTF-8 text (line 1, byte 0xe9)."),
}


@pytest.mark.parametrize("name", WRONG_DESIGNS)
def test_a_wrong_architecture_file_is_one_line(capsys, name):
    content, message = WRONG_DESIGNS[name]
    Path("mine.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in same_line(capsys, "mine.json", ("cost",))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_architecture_file_with_a_byte_order_mark_is_read(capsys, encoding):
    Path("mine.json").write_bytes(DESIGN.encode(encoding))
    assert cli.run(["cost", "mine.json"]) == 0
    assert "total" in capsys.readouterr().out


def test_options_of_an_architecture_may_be_written_in_the_forms_of_a_file():
    plain = reference("sasa-26-full").to_dict()
    stages = [
        {**stage, "heads": str(float(stage["heads"])), "depth": float(stage["depth"])} for stage in plain["stages"]
    ]
    assert Architecture.from_dict({**plain, "stages": stages}) == reference("sasa-26-full")


def test_json_with_equal_keys_in_different_objects_is_read():
    text = '{"a": {"b": "a: {}", "c": [{"b": 1}, {"b": "\\"b\\": 2"}]}, "b": []}'
    content = parse_json(text, "law", "x.json", ArchitectureError)
    assert content == {"a": {"b": "a: {}", "c": [{"b": 1}, {"b": '"b": 2'}]}, "b": []}
