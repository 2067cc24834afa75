"""Parse YAML as plain data: the one loader for every YAML file of a user.

YAML can name Python types, refer to itself, repeat itself a billion times and read `no` as a bool.
Only JSON's types are read here: texts, numbers, true, false, null, lists and mappings with unique
names.  Scalars follow the core schema of YAML 1.2.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml

from seqvision_edge.files import read_at_most

MAX_BYTES: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_DIGITS: Final = 40
MAX_NAME: Final = 200
MAX_VALUES: Final = 50_000

_Parser: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS: Final = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS: Final = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(Exception):
    """The file is not plain YAML; the message has the line, and never its content."""


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file as plain data; an empty one is None.

    Raises:
        YamlError: it cannot be read, is too large, or is not plain data.
    """
    try:
        content = read_at_most(path, MAX_BYTES)
    except OSError as error:
        raise YamlError(f"cannot be read ({error.strerror})") from None
    if content is None:
        raise YamlError(f"larger than {MAX_BYTES >> 20} MB")
    return parse_yaml(content)


def parse_yaml(content: bytes | str) -> Any:
    """Return YAML as plain data; see `read_yaml`.

    Raises:
        YamlError: it is not plain data.
    """
    try:
        _check(content)
        return yaml.load(content, _PlainLoader)
    except YamlError:
        raise
    except yaml.MarkedYAMLError as error:
        raise _at(error.problem_mark, error.problem or "not YAML") from None
    except yaml.YAMLError as error:  # of the reader: a character, or bytes that are no text
        raise YamlError(f"not text ({getattr(error, 'reason', 'damaged')})") from None
    except (ValueError, RecursionError):
        raise YamlError("a value in it cannot be read") from None


def dump_yaml(content: Any) -> str:
    """Return plain data as YAML that `read_yaml` and YAML 1.1 parsers read back unchanged."""
    return yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True)


def _check(content: bytes | str) -> None:
    """Refuse input that expands to more than its size, before creating any of it."""
    depth = values = documents = 0
    for event in yaml.parse(content, _Parser):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _at(event.start_mark, "references (& and *) are not read")
        if getattr(event, "tag", None):
            raise _at(event.start_mark, "types (!) are not read")
        documents += isinstance(event, yaml.DocumentStartEvent)
        values += isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        depth += isinstance(event, _STARTS)
        depth -= isinstance(event, _ENDS)
        if depth > MAX_DEPTH:
            raise _at(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
        if values > MAX_VALUES:
            raise _at(event.start_mark, f"more than {MAX_VALUES} values")
        if documents > 1:
            raise _at(event.start_mark, "a second document begins (---)")


def _at(mark: Any, problem: str) -> YamlError:
    return YamlError(f"line {mark.line + 1}: {problem}" if mark else problem)


class _PlainLoader(_Parser):  # type: ignore[misc]
    """Values of YAML 1.2's core schema, with unique names in each mapping."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key.start_mark, "a name must be one word or text")
            if len(key.value) > MAX_NAME:
                raise _at(key.start_mark, f"a name of more than {MAX_NAME} characters")
            if key.value in seen:
                raise _at(key.start_mark, "this name is there twice")
            seen.add(key.value)
            # A name is a text: `1:` and `true:` are the names 1 and true.
            key.tag = "tag:yaml.org,2002:str"
        return dict(super().construct_mapping(node, deep))

    def construct_yaml_int(self, node: Any) -> int:
        text = node.value
        if len(text) > MAX_DIGITS:
            raise _at(node.start_mark, f"a number of more than {MAX_DIGITS} digits")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)


class _PlainDumper(yaml.SafeDumper):
    """No references; a text that either version of YAML reads as something else is quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    for _class in (_PlainLoader, _PlainDumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first
        )
