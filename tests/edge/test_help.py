"""The help of the two programs, and its rules, which the help of seqvision follows too."""

import re

import pytest

from seqvision_edge.cli import RunOptions
from seqvision_edge.help_text import help_text
from seqvision_edge.option_fields import Options, options_of
from seqvision_edge.server.cli import ServeOptions

PROGRAMS: list[tuple[str, type[Options]]] = [
    ("edge-run", RunOptions),
    ("edge-serve", ServeOptions),
]


def check_options(kind: type[Options]) -> None:
    """Check that each option has a sentence, a group and a placeholder."""
    for option in options_of(kind):
        assert len(option.text) > 8, f"{option.flag}: say what it does, below the field"
        assert option.text.endswith("."), option.flag
        assert option.arg.positional or option.group in kind.headings or not kind.headings, (
            f"{option.flag}: the group {option.group!r} is none of {kind.headings}"
        )
        if option.count != 0:
            assert option.metavar, option.flag
            assert option.metavar not in ("TEXT", "NUMBER", "PATH"), (
                f"{option.flag}: name its value"
            )
        if option.default is True:
            assert option.arg.off, f"{option.flag}: say what --no-{option.name} does"


def check_help(kind: type[Options], program: str, columns: int) -> None:
    """Check the layout of a help of this width."""
    text = help_text(kind, program)
    lines = text.splitlines()
    assert lines[0].startswith(f"usage: {program}")
    assert text.index("Examples:") < text.index("\n  --"), "examples come before options"
    assert 2 <= len(kind.examples) <= 5
    assert all(f"  {example}" in lines for example in kind.examples)
    for line in lines:
        example = line[2:] in kind.examples
        assert len(line) <= (max(columns, 80) if example else columns), line
        assert line == line.rstrip(), "no blanks at the end"
    assert not re.search(r"\x1b|[{}]|\b(None|True|False|FLOAT|INT|STR|pydantic)\b|\(fixed\)", text)
    for option in options_of(kind):
        shown = option.metavar if option.arg.positional else option.name
        assert shown in text, option.flag
    assert not re.search(r"\(default:$", text, re.MULTILINE), "a default begins on its line"


@pytest.mark.parametrize(("program", "kind"), PROGRAMS, ids=[name for name, _ in PROGRAMS])
def test_every_option_has_a_sentence_a_group_and_a_placeholder(
    program: str, kind: type[Options]
) -> None:
    check_options(kind)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(("program", "kind"), PROGRAMS, ids=[name for name, _ in PROGRAMS])
def test_the_help_fits_the_terminal(
    program: str, kind: type[Options], columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    check_help(kind, program, columns)
