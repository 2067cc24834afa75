"""The help of a command: examples first, then its options in groups, as wide as the terminal."""

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from seqvision_edge.option_fields import Option, options_of

# Longer lines of prose are hard to read, however wide the terminal is.
_NARROWEST, _WIDEST = 40, 100
_COLUMN = 25
_SHORT = 30
_GLUE = "\N{NO-BREAK SPACE}"


def help_text(options: type[BaseModel], program: str) -> str:
    """Return the help of a command with these options."""
    width = min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST)
    table = list(options_of(options))
    lines = [*_wrapped(usage_line(options, program), width, "  "), ""]
    for paragraph in _paragraphs(options):
        lines += [*_wrapped(paragraph, width), ""]
    examples: Sequence[str] = getattr(options, "examples", ())
    if examples:
        lines += ["Examples:", *(f"  {example}" for example in examples), ""]
    for heading, members in _groups(options, table):
        lines.append(f"{heading}:")
        for option in members:
            lines += _rows(_spelling(option), _sentence(option), width)
        lines.append("")
    lines += ["Help:", *_rows("-h, --help", "Show this help.", width)]
    if "seqvision" not in program:
        lines += _rows("-V, --version", "Print the version.", width)
    if any(option.count == 0 for option in table):
        closing = "A switch --x is turned off with --no-x, also where a --config turns it on."
        if any(option.keys == ("config",) for option in table):
            lines += ["", *_wrapped(closing, width)]
    return "\n".join(lines)


def usage(options: type[BaseModel], program: str) -> str:
    """Return the usage of a command in one line, with an example."""
    examples: Sequence[str] = getattr(options, "examples", ())
    example = f", such as: {examples[0].partition('  #')[0].strip()}" if examples else ""
    return f"{usage_line(options, program)}{example}"


def usage_line(options: type[BaseModel], program: str) -> str:
    """Return `usage: program MODEL [DATA] [OPTIONS]`."""
    words = []
    for option in options_of(options):
        if option.arg.positional:
            more = "…" if option.count is None and not option.metavar.endswith("…") else ""
            word = option.metavar + more
            words.append(word if option.required else f"[{word}]")
    return " ".join(("usage:", program, *words, "[OPTIONS]"))


def default_in_words(option: Option) -> str:
    """Return the default as shown in the help, empty if there is nothing to show."""
    if option.arg.default:
        return option.arg.default
    value: Any = option.default
    if value is None or value is PydanticUndefined or value == () or isinstance(value, bool):
        return ""
    if value == "auto":
        return "automatic"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _groups(
    options: type[BaseModel], table: Sequence[Option]
) -> Iterator[tuple[str, list[Option]]]:
    """Yield the headings and their options, arguments first."""
    arguments = [option for option in table if option.arg.positional]
    if arguments:
        yield "Arguments", arguments
    rest = [option for option in table if not option.arg.positional]
    named: Sequence[str] = getattr(options, "headings", ())
    found = dict.fromkeys(option.group for option in rest)
    for heading in dict.fromkeys((*named, *found)):
        members = [one for one in rest if one.group == heading]
        if members:
            yield heading, members


def _spelling(option: Option) -> str:
    if option.arg.positional:
        several = option.count is None and not option.metavar.endswith("…")
        return f"{option.metavar}…" if several else option.metavar
    if option.count == 0:
        # The form that changes the default.
        return f"--no-{option.name}" if option.default is True else option.flag
    several = option.count is None and not option.arg.once and not option.metavar.endswith("…")
    return f"{option.flag} {option.metavar}{'…' if several else ''}"


def _sentence(option: Option) -> str:
    """Return an option's text in the help: its sentence, its choices, its default."""
    text = option.arg.off if option.default is True else option.text
    # Two words beside numbers are in the text of the option.
    listed = option.closed or len(option.choices) > 2
    if listed and option.arg.metavar and option.arg.metavar not in option.choices:
        text += f" {'One of' if option.closed else 'Names'}: {', '.join(option.choices)}."
    if option.arg.once:
        text += " May be repeated."
    default = default_in_words(option)
    if not default:
        return text
    # A short default is not split over lines.
    shown = f"(default:{_GLUE}{default})"
    return f"{text} {shown.replace(' ', _GLUE) if len(shown) < _SHORT else shown}"


def _rows(left: str, text: str, width: int) -> list[str]:
    """Return the lines of one option: its spelling, and to the right its text."""
    column = min(_COLUMN, width // 3 + 2)
    wrapped = textwrap.wrap(text, width - column, break_long_words=False, break_on_hyphens=False)
    right = [line.replace(_GLUE, " ") for line in wrapped]
    if len(left) + 3 > column:
        head = textwrap.wrap(left, width, initial_indent="  ", subsequent_indent="      ")
        return [*head, *(" " * column + line for line in right)]
    first, *rest = right or [""]
    return [f"  {left:{column - 2}}{first}", *(" " * column + line for line in rest)]


def _paragraphs(options: type[BaseModel]) -> Iterator[str]:
    text = textwrap.dedent("    " + (options.__doc__ or "").strip())
    for paragraph in text.split("\n\n"):
        yield " ".join(paragraph.split())


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
