"""What every command shares: typed options → flags, and one clear line for a user's mistake."""

import contextlib
import difflib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import tyro
from pydantic import BaseModel, ValidationError

from seqvision_edge.errors import SeqvisionError

Options = TypeVar("Options", bound=BaseModel)

USAGE = 2
INTERRUPTED = 130


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
    extra = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said), _wide_terminal(arguments):
            return tyro.cli(
                tyro.conf.OmitArgPrefixes[options],  # type: ignore[valid-type]
                prog=program,
                args=list(arguments),
                **extra,
            )
    except ValidationError as error:
        first = error.errors()[0]
        flag = "--" + str(first["loc"][-1]).replace("_", "-") if first["loc"] else "options"
        message = first["msg"].removeprefix("Value error, ")
        raise SeqvisionError(f"{program}: {flag}: {message}") from None
    except SystemExit as stop:
        if not stop.code:
            raise
        raise SeqvisionError(f"{program}: {_first_message(said.getvalue())}") from None


def run(main: Callable[[], int | None]) -> int:
    """Run a command and return its exit code: 2 for a user's mistake, 130 for Ctrl-C."""
    try:
        return main() or 0
    except SeqvisionError as error:
        print(error, file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) left: nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def option_names(options: type[BaseModel]) -> Iterator[str]:
    """Yield every flag of an options class, those of nested classes included."""
    for name, field in options.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_names(field.annotation)
        else:
            flag = name.replace("_", "-")
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


def _first_message(box: str) -> str:
    """Return the message of an error box: the lines between its title and its first rule."""
    lines = [re.sub(r"[╭╮╰╯│─]+|-{8,}", "", line).strip() for line in box.splitlines()]
    body = lines[1:]
    end = body.index("") if "" in body else len(body)
    return " ".join(body[:end]) or "cannot read the options"
