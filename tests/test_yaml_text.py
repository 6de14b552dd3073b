"""YAML as people write it: the values that they mean, or one line with the number of the line."""

import math

import pytest
import yaml

from hybrid_search.errors import SpaceError
from hybrid_search.spaces.shipped import shipped_spaces
from hybrid_search.spaces.yaml_text import parse_yaml

VALUES = {
    "no": "no", "Yes": "Yes", "on": "on", "off": "off", "true": True, "False": False, "~": None, "": None, "null": None,
    "1": 1, "-1": -1, "1_000": 1000, "0x1F": 31, "0o17": 15, "1.5": 1.5, "1e-3": 0.001, "1E-3": 0.001, "1e3": 1000.0,
    ".5": 0.5, "010": "010", "1:30": "1:30", "2024-01-01": "2024-01-01", "40M": "40M", "'1'": "1", '"yes"': "yes",
    ".inf": math.inf, "-.inf": -math.inf, "!!str 3": "3", "[1, no]": [1, "no"], "{b: 1}": {"b": 1}, "=": "=",
    "12e03": 12000.0, "1.": 1.0, "0": 0, "0.0": 0.0, "+1": 1,
}  # fmt: skip


def parsed(text):
    return parse_yaml(text, "a space must be YAML", "mine.yaml")


@pytest.mark.parametrize("text", VALUES)
def test_a_scalar_has_the_value_that_people_mean(text):
    value = parsed(f"a: {text}").values["a"]
    assert value == VALUES[text]
    assert type(value) is type(VALUES[text])


@pytest.mark.parametrize("path", shipped_spaces().values(), ids=lambda path: path.stem)
def test_a_shipped_space_has_the_values_of_pyyaml(path):
    text = path.read_text(encoding="utf-8")
    assert repr(parsed(text).values) == repr(yaml.safe_load(text))


TWICE = [
    ("a: 1\nb: 2\na: 3\n", 3, "a"),
    ("a: 1\n'a': 2\n", 2, "a"),
    ("\"a\": 1\n'a': 2\n", 2, "a"),
    ("{a: 1, a: 2}", 1, "a"),
    ("x:\n  - y: {z: 1,\n       z: 2}\n", 3, "z"),
    ("a: &m {b: 1}\nc:\n  <<: *m\n  <<: *m\n", 4, "<<"),
    ("a: {<<: {b: 1, b: 2}}", 1, "b"),
    ("? a\n? a\n", 2, "a"),
    ("&k a: 1\n*k : 2\n", 2, "a"),
]


@pytest.mark.parametrize(("text", "line", "key"), TWICE, ids=range(len(TWICE)))
def test_a_key_given_twice_is_refused_with_its_line(text, line, key):
    if key == "a" and text.startswith("&k"):
        line = 1  # the key is an alias: its text stands at the anchor
    with pytest.raises(SpaceError) as caught:
        parsed(text)
    assert str(caught.value) == f"mine.yaml, line {line}: a key must be given once; got {key!r} twice."


def test_a_merge_gives_the_keys_that_the_mapping_does_not_have():
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\na: {<<: *b, y: 9}\nc: {<<: [*b, *m]}\n"
    values = parsed(text).values
    assert values["a"] == {"x": 1, "y": 9}
    assert values["c"] == {"x": 1, "y": 2, "z": 4} == yaml.safe_load(text)["c"]


REFUSED = [
    ("a: &x [*x]", "line 1: an alias .* must not stand inside its own anchor"),
    ("a: &x {b: *x}", "line 1: an alias .* must not stand inside its own anchor"),
    ("a: *x", "at line 1: an alias .* needs an anchor"),
    ("a: !!python/object:os.system x", "values must be plain; got the tag '!!python/object:os.system'. Remove the tag"),
    ("a: !!python/object/apply:os.system [ls]", "values must be plain; got the tag '!!python/object/apply:os.system'"),
    ("a: !!binary aGk=", "values must be plain; got the tag '!!binary'"),
    ("a: !!set {x}", "values must be plain; got the tag '!!set'"),
    ("a: !mine b", "values must be plain; got the tag '!mine'"),
    ("1: 2", "line 1: keys must be text; got 1"),
    ("~: 2", "line 1: keys must be text; got nothing"),
    ("true: 2", "line 1: keys must be text; got True"),
    ("? [a]\n: 2", "line 1: keys must be text; got a list or mapping"),
    ("a: {<<: 3}", "a merge .* must name a mapping or a list of mappings"),
    ("a:\n\t- b", "at line 2: it has a tab. Use spaces"),
    ("---\na: 1\n---\nb: 1", "at line 3: a file must hold one document; remove the line ---"),
    ("a: b: c", "at line 1: a colon stands where no key can be"),
    ("a: [1", "a comma or a closing bracket is missing"),
    ("a: 'x", "a quotation mark is not closed"),
    ('a: "\\q"', "a backslash in double quotes must begin an escape"),
    ('a: "\\UFFFFFFFF"', "an escape in it is no character"),
    ("a\nb: 1", "at line 2: a colon stands where no key can be|a key needs a colon and a space after it"),
    ("a: {b: 1\nc: 2", "at line 2: a comma or a closing bracket is missing"),
    ("a: 1\n b: 2", "at line 2: a colon stands where no key can be"),
    ("a: 1\n- b", "at line 2: the line does not belong to the block above; check its indentation"),
    ("a: &b &c 1", "at line 1: "),
    ("a: @x", "a character stands where no value can begin"),
    ("a: \x07", r"at line 1: it has the character U\+0007"),
    ("\n\nb: \x07\n", r"at line 3: it has the character U\+0007"),
    (
        f"a: &x {'[' * 30}{']' * 30}\nb: {'[' * 30}*x{']' * 30}",
        "line 1: lists and mappings must be nested at most 50 deep",
    ),
    ("[" * 5000, "nested at most 50 deep; got more"),
    ("[" * 60 + "]" * 60, "nested at most 50 deep; got more"),
    ("[" + "1," * 21_000 + "1]", "at most 20,000 values; got more"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_file_of_plain_values_cannot_have_is_refused_in_one_line(text, message):
    with pytest.raises(SpaceError, match=message) as caught:
        parsed(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("%YAML 3.0\n---\na: 1", "found incompatible YAML document (version 1.* is required)"),
        ("a: |9x\n  b", "expected chomping or indentation indicators, but found 'x'"),
        (f"a: !{'e' * 100}!x y", f"found undefined tag handle '!{'e' * 71}"),
    ],
    ids=range(3),
)
def test_another_reason_of_the_parser_is_shown_as_it_is(text, reason):
    with pytest.raises(SpaceError) as caught:
        parsed(text)
    assert f"{caught.value}".partition(": ")[2] == f"{reason}."


def test_an_explosion_of_aliases_is_refused_before_it_is_built():
    layers = "".join(f"{c}: &{c} [{', '.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
    with pytest.raises(SpaceError, match="at most 20,000 values with its aliases; got more"):
        parsed(f"a: &a [x, x, x, x, x, x, x, x, x, x]\n{layers}")


def test_every_value_has_its_line():
    content = parsed("a:\n  - b: 1\n    c:\n      - 2\n      - 3\n")
    assert content.line(("a", 0, "c", 1)) == 5
    assert content.line(("a", 0, "c", 1, "deeper")) == 5
    assert content.line(("a", 0, "absent")) == 2
    assert content.line(()) == 1
