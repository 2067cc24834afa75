"""What every command shares: typed options → flags, and one clear line for a user's mistake."""

import contextlib
import difflib
import io
import itertools
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, TypeVar

import tyro
from pydantic import BaseModel, ValidationError

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.redaction import redact
from seqvision_edge.wording import first_problem

Options = TypeVar("Options", bound=BaseModel)
Error = TypeVar("Error", bound=BaseException)

USAGE = 2
INTERRUPTED = 130
TERMINATED = 143


def parse(
    options: type[Options], program: str, arguments: Sequence[str], default: Options | None = None
) -> Options:
    """Return the options that the arguments give; `default` replaces the class's own defaults.

    Raises:
        SeqvisionError: an unknown option, a bad value or a missing argument, said in one line.
        SystemExit: `--help` was asked for (code 0).
    """
    _refuse_unknown(options, program, arguments)
    said = io.StringIO()
    extra: Any = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said), _wide_terminal(arguments):
            return tyro.cli(
                options,
                prog=program,
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.DisallowNone),
                **extra,
            )
    except ValidationError as error:
        raise SeqvisionError(f"{program}: {_constraint(error)}") from None
    except SystemExit as stop:
        if not stop.code:
            raise
        broken = _cause(stop, ValidationError)
        message = _constraint(broken) if broken else _first_message(said.getvalue())
        raise SeqvisionError(f"{program}: {message}") from None


def run(main: Callable[[], int | None]) -> int:
    """Run a command and return its exit code.

    2 for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM where `end_on_sigterm` was called.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A label must not end a run because the terminal cannot write its letters.
            stream.reconfigure(errors="backslashreplace")
    try:
        return main() or 0
    except SeqvisionError as error:
        # Whatever a message repeats of what was given, no password is shown with it.
        print(redact(str(error)), file=sys.stderr)  # noqa: T201
        return USAGE
    except KeyboardInterrupt as stopped:
        if stopped.args:
            print(stopped, file=sys.stderr)  # noqa: T201
        return TERMINATED if isinstance(stopped, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) left: nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class Terminated(KeyboardInterrupt):
    """SIGTERM came: end as Ctrl-C does, with everything closed, but with its own exit code."""


def end_on_sigterm() -> None:
    """Make SIGTERM raise Terminated in the main thread, so that nothing is left half-written."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, terminate)


def option_names(options: type[BaseModel]) -> Iterator[str]:
    """Yield every flag of an options class, those of nested classes included."""
    for name, field in options.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_names(field.annotation)
        else:
            # A trailing underscore only keeps a field off a name that pydantic uses.
            flag = name.rstrip("_").replace("_", "-")
            yield f"--{flag}"
            if field.annotation is bool:
                yield f"--no-{flag}"


def _refuse_unknown(options: type[BaseModel], program: str, arguments: Sequence[str]) -> None:
    """Name the misspelt option before the parser stumbles over what follows it."""
    known = {*option_names(options), "--help"}
    for argument in arguments:
        if argument == "--":
            return
        if not argument.startswith("--"):
            continue
        name = argument.partition("=")[0].replace("_", "-")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"see: {program} --help"
            raise SeqvisionError(f"{program}: no option {name}; {hint}")


@contextlib.contextmanager
def _wide_terminal(arguments: Sequence[str]) -> Iterator[None]:
    """Keep an error in one line; help keeps the real width."""
    if {"-h", "--help"} & set(arguments):
        yield
        return
    before: Any = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "1000"
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _constraint(error: ValidationError) -> str:
    """Return what is wrong with the first bad value: `--enter 2.0: must be …`."""
    place, message, value = first_problem(error)
    fields = [part for part in place if isinstance(part, str)]
    if not fields:
        return message
    flag = "--" + fields[0].rstrip("_").replace("_", "-")
    given = f" {value}" if isinstance(value, str | int | float | os.PathLike) else ""
    return f"{flag}{given}: {message}"


def _cause(error: BaseException, kind: type[Error]) -> Error | None:
    """Return the error of a kind that led to `error`; the parser wraps those of pydantic."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kind):
        cause = cause.__cause__ or cause.__context__
    return cause


def _first_message(box: str) -> str:
    """Return the message of an error box: the lines after its title, up to the next rule.

    Where the terminal has no line drawing, the title has a rule of its own below it.
    """
    lines = [re.sub(r"[╭╮╰╯│─]+|-{8,}", "", line).strip() for line in box.splitlines()]
    body = itertools.dropwhile(lambda line: not line, lines[1:])
    message = itertools.takewhile(bool, body)
    return _plain(" ".join(message)) or "cannot read the options"


def _plain(message: str) -> str:
    """Say without the words of Python what the parser cannot make of a value."""
    found = re.fullmatch(r"Error parsing (?P<flag>\S+): (?P<reason>.+)", message)
    if found is None:
        return message
    for pattern, wanted in _MISTAKES.items():
        reason = re.fullmatch(pattern, found["reason"])
        if reason is not None:
            given, *kinds = reason.groups()
            value = re.sub(r"', '", " ", given)
            words = wanted.format(*(_kinds(text) for text in kinds))
            return f"{found['flag']} {value}: must be {words}"
    return message


def _kinds(metavar: str) -> str:
    """Return `FLOAT|{auto}` as `a number or auto`."""
    if metavar.startswith("{FLOAT "):
        return f"{metavar.count('FLOAT')} numbers"
    names = {"INT": "a whole number", "FLOAT": "a number", "STR": "a text"}
    parts = (names.get(part, part.strip("{}").replace(",", ", ")) for part in metavar.split("|"))
    return " or ".join(parts)


_MISTAKES = {
    r"invalid literal for int\(\) with base 10: '(.*)'": "a whole number",
    r"could not convert string to float: '(.*)'": "a number",
    r"no type matching (?=.+ could be instantiated from \['(.*)'\])(.+) could .*": "{}",
    r"Could not parse arguments \['(.*)'\] into .*": "as --help shows it",
}
