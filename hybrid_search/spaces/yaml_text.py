"""YAML text as plain values, with the line of each value in the text.

PyYAML parses the text. Its values are those of YAML 1.2: `no` and `on` are texts, `1:30` and `2024-01-01` too, `1e-3`
is a number. A key given twice, an alias of itself, an explosion of aliases and tags of Python are refused.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from hybrid_search._internal.number_text import read_number
from hybrid_search.errors import SpaceError, shown

MOST_VALUES = 20_000  # after aliases are replaced
DEEPEST = 50  # levels of lists and mappings

Path = tuple[str | int, ...]  # keys and indices from the top of the file to a value
TAG = "tag:yaml.org,2002:"
PLAIN = "plain"  # the tag of a scalar without quotes and without a tag
NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d+)?|[-+]?0[xob][0-9a-fA-F_]+", re.ASCII)
FRACTION = re.compile(r"^[-+]?[\d._]*(?:\.|[eE])")  # the number is a float; hexadecimal numbers begin with 0x
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
NOTHING = ("", "~", "null", "Null", "NULL")

# Part of PyYAML's message -> the same in the words of this project.
REASONS = {
    "mapping values are not allowed here": "a colon stands where no key can be",
    "cannot start any token": "a character stands where no value can begin",
    "could not find expected ':'": "a key needs a colon and a space after it",
    "expected <block end>": "the line does not belong to the block above; check its indentation",
    "expected ',' or": "a comma or a closing bracket is missing",
    "found undefined alias": "an alias (*name) needs an anchor (&name) above it",
    "found duplicate anchor": "an anchor (&name) must have a name of its own",
    "expected a single document": "a file must hold one document; remove the line ---",
    "unexpected end of stream": "a quotation mark is not closed",
    "found unknown escape": "a backslash in double quotes must begin an escape; use single quotes",
}


@dataclass
class YamlContent:
    """The values of a YAML text, and the line of each of them (path -> line, from 1)."""

    values: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int | None:
        """Return the line of a value, or of the nearest one that contains it; None if the text has none.

        Args:
            path: keys and indices from the top of the file.
        """
        for end in range(len(path), -1, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return None


class _TooLarge(Exception):
    """More nodes than a file may have, or a deeper nesting; it stops the parser early."""


class _Loader(yaml.SafeLoader):
    """PyYAML's parser as far as nodes, with a limit of their number and of their nesting."""

    nodes = 0
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MOST_VALUES:
            raise _TooLarge(f"a file must have at most {MOST_VALUES:,} values")
        if self.depth > DEEPEST + 1:
            raise _TooLarge(f"lists and mappings must be nested at most {DEEPEST} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        return PLAIN if kind is yaml.ScalarNode and implicit[0] else super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]


def parse_yaml(text: str, law: str, source: str) -> YamlContent:
    """Return the values of a YAML text.

    Args:
        text: the text.
        law: what is required, the first words of a message: "a space must be YAML".
        source: name of the file, for messages.

    Raises:
        SpaceError: the text is not YAML, or has something that a file of plain values cannot have. The message is one
            line with the line of the fault.

    Example:
        >>> parse_yaml("depth: [1, 2]", "a space must be YAML", "mine.yaml").values
        {'depth': [1, 2]}
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        raise SpaceError(f"{law}; {source} is not, at line {line}: it has the character U+{code:04X}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        if "'\\t'" in str(error.problem):
            raise SpaceError(f"{law}; {source} is not, at line {line}: it has a tab. Use spaces.") from None
        raise SpaceError(f"{law}; {source} is not, at line {line}: {_reason(error)}.") from None
    except yaml.YAMLError:
        raise SpaceError(f"{law}; {source} is not.") from None
    except _TooLarge as limit:
        raise SpaceError(f"{source}: {limit}; got more.") from None
    except (ValueError, OverflowError):  # an escape such as \UFFFFFFFF
        raise SpaceError(f"{law}; {source} is not: an escape in it is no character.") from None
    finally:
        if loader is not None:
            loader.dispose()
    return _Reader(source).content(node)


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join(f"{error.context or ''} {error.problem or ''}".split())
    reason = str(error.problem or error.context or "it cannot be parsed")
    return next((words for part, words in REASONS.items() if part in problem), " ".join(reason.split())[:100])


class _Reader:
    """Turn the nodes of one text into plain values."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._lines: dict[Path, int] = {}
        self._open: set[int] = set()  # nodes that contain the current one
        self._values = 0

    def content(self, node: yaml.Node | None) -> YamlContent:
        """Return the values of the top node."""
        return YamlContent(None if node is None else self._value(node, ()), self._lines)

    def _fault(self, node: yaml.Node, law: str) -> SpaceError:
        return SpaceError(f"{self._source}, line {node.start_mark.line + 1}: {law}.")

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        self._values += 1
        if self._values > MOST_VALUES:
            raise self._fault(node, f"a file must have at most {MOST_VALUES:,} values with its aliases; got more")
        if len(path) > DEEPEST:
            raise self._fault(node, f"lists and mappings must be nested at most {DEEPEST} deep; got more")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._fault(node, "an alias (*name) must not stand inside its own anchor (&name)")
        if node.tag not in (f"{TAG}seq", f"{TAG}map"):
            raise self._fault(node, f"values must be plain; got the tag {_tag(node)}. Remove the tag")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(each, (*path, index)) for index, each in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                what = "a list or mapping" if not isinstance(key_node, yaml.ScalarNode) else shown(key)
                raise self._fault(key_node, f"keys must be text; got {what}")
            if key in seen:
                raise self._fault(key_node, f"a key must be given once; got {shown(key)} twice")
            seen.add(key)
            if key == "<<" and key_node.tag == PLAIN:
                merged = self._merged(value_node, path)
                continue
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = self._value(value_node, (*path, key))
        return {**merged, **found}

    def _merged(self, node: Any, path: Path) -> dict[str, Any]:
        """Return the keys of a merge (`<<: *base`); the first of several mappings is used for a key of both."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        merged: dict[str, Any] = {}
        for source in reversed(sources):
            if not isinstance(source, yaml.MappingNode):
                raise self._fault(node, "a merge (<<) must name a mapping or a list of mappings")
            merged |= self._value(source, path)
        return merged

    def _scalar(self, node: Any) -> Any:
        """Return the value of a scalar. A quoted one, or one with the tag !!str, is a text."""
        text = node.value
        if node.tag == f"{TAG}str":
            return text
        if node.tag != PLAIN:
            raise self._fault(node, f"values must be plain; got the tag {_tag(node)}. Remove the tag")
        if text in NOTHING:
            return None
        if text in TRUE or text in FALSE:
            return text in TRUE
        if NOT_FINITE.fullmatch(text):
            return float(text.replace(".", ""))
        if not NUMBER.fullmatch(text):
            return text
        number = read_number(text)
        if number is None:
            return text  # such as 010, which no number accepts
        return float(number) if FRACTION.search(text) else number


def _tag(node: yaml.Node) -> str:
    return shown(str(node.tag).replace(TAG, "!!"))
