"""Parse the arguments of a command into typed options, with one clear line for a user's mistake."""

import codecs
import io
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TextIO, TypeVar

from pydantic import BaseModel, ValidationError

from seqvision_edge.errors import SeqvisionError
from seqvision_edge.hints import did_you_mean, join_and, near_options
from seqvision_edge.interrupts import Interrupts, exit_code
from seqvision_edge.option_fields import Option, first_problem, flag_name, options_of
from seqvision_edge.renamed_options import OPTIONS, is_now, new_name
from seqvision_edge.sanitize import printable, redact

Kind = TypeVar("Kind", bound=BaseModel)
Programs = Mapping[str, type[BaseModel]]

USAGE = 2

HELP, VERSION = ("-h", "--help", "-?"), ("-V", "--version")
# Some editors and chats replace two hyphens with a long dash.
_LONG_DASHES = "–—−"
_NUMBER = re.compile(r"-\.?\d.*")
_YES_NO = ("true", "false", "yes", "no", "on", "off")


@dataclass(frozen=True)
class Given(Generic[Kind]):
    """The given options of a command, before their values are validated.

    Attributes:
        kind: the class of all options.
        program: the prefix of its messages, such as `seqvision train`.
        values: the given values: a text, several, or a bool, by the names of the fields.
    """

    kind: type[Kind]
    program: str
    values: Mapping[tuple[str, ...], Any] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of the given fields."""
        return {keys[-1] for keys in self.values}

    def get(self, name: str) -> str | None:
        """Return the value of an option of the outermost class, None if it was not given."""
        value = self.values.get((name,))
        return None if value is None else str(value)

    def build(self, default: Kind | None = None) -> Kind:
        """Return the options; `default` replaces the class's own defaults.

        Raises:
            SeqvisionError: a bad value or a missing argument.
        """
        values: dict[str, Any] = {} if default is None else default.model_dump()
        for keys, value in self.values.items():
            section = values
            for key in keys[:-1]:
                section = section.setdefault(key, {})
            section[keys[-1]] = value
        self._refuse_missing(values)
        try:
            return self.kind.model_validate(values)
        except ValidationError as error:
            raise SeqvisionError(f"{self.program}: {_constraint(error)}") from None

    def _refuse_missing(self, values: Mapping[str, Any]) -> None:
        missing = [
            option.metavar + "".join(f" or --{flag_name(name)}" for name in option.arg.unless)
            for option in options_of(self.kind)
            if option.required
            and values.get(option.keys[0]) is None
            and not any(values.get(name) for name in option.arg.unless)
        ]
        if missing:
            from seqvision_edge.help_text import usage

            words = f"{join_and(missing)} {'is' if len(missing) == 1 else 'are'} missing"
            raise SeqvisionError(f"{self.program}: {words}; {usage(self.kind, self.program)}")


def parse(
    options: type[Kind],
    program: str,
    arguments: Sequence[str],
    default: Kind | None = None,
    version: str = "",
) -> Kind:
    """Return the options given by the arguments; `default` replaces the class's own defaults.

    Raises:
        SeqvisionError: an unknown option, a bad value or a missing argument, in one line.
        SystemExit: for --help and --version (code 0).
    """
    return read_arguments(options, program, arguments, version).build(default)


def read_arguments(
    options: type[Kind],
    program: str,
    arguments: Sequence[str],
    version: str = "",
    programs: Callable[[], Programs] = dict,
) -> Given[Kind]:
    """Parse the arguments without validating the values.

    Args:
        options: the class of options.
        program: the prefix of messages.
        arguments: the arguments after the program's name.
        version: what `--version` prints.
        programs: all programs and commands with their options, to find which one has an option.

    Raises:
        SeqvisionError: an unknown option, one without its value, or an argument too many.
        SystemExit: for --help and --version (code 0).
    """
    _answer_questions(options, program, arguments, version)
    return Given(options, program, _Reading(options, program, arguments, programs).values())


def run_command(main: Callable[[], int | None]) -> int:
    """Run a command and return its exit code.

    2 for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM if `interrupts.end_on_sigterm` was
    called.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A label must not end a run because the terminal cannot encode its characters.
            stream.reconfigure(errors="backslashreplace")
    with Interrupts() as interrupts:
        try:
            return interrupts.call(main) or 0
        except SeqvisionError as error:
            # A message may repeat the user's input: hide passwords in it.
            # One line, whatever line breaks a name in it has.
            print_message(printable(redact(str(error))))
            return USAGE
        except UnicodeEncodeError as error:
            # Lists and option files are UTF-8, and name files; a locale may lack some characters.
            encoding = codecs.lookup(sys.getfilesystemencoding()).name
            if encoding == "utf-8" or codecs.lookup(error.encoding).name != encoding:
                raise
            print_message(
                f"{printable(redact(error.object))}: file names in this locale are {encoding}; "
                "choose one with UTF-8, or set PYTHONUTF8=1"
            )
            return USAGE
        except KeyboardInterrupt as stopped:
            if stopped.args:
                print_message(str(stopped))
            return exit_code(stopped)
        except BrokenPipeError:
            return 0
        finally:
            _flush_stdout()


def _flush_stdout() -> None:
    """Flush stdout; if its reader (head, less) has exited, drop the rest."""
    if sys.stdout is None or sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def folded(text: str) -> str:
    """Return parts such as `a · b · c`, wrapped between the parts if stderr is a terminal.

    A part that is longer than a line is not split.
    """
    if not sys.stderr.isatty():
        return text
    from rich.cells import cell_len

    columns = os.get_terminal_size(sys.stderr.fileno()).columns
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if cell_len(longer) < columns or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(f"  {part}")
    return "\n".join(lines)


def print_text(text: str, stream: TextIO | None = None, end: str = "\n") -> None:
    """Print a text of any origin at once, made safe; its line breaks and tabs stay.

    Args:
        text: the text.
        stream: the output; None: stdout.
        end: what follows it.
    """
    print(printable(text, "\n\t"), end=end, file=stream or sys.stdout, flush=True)


def print_message(text: str, stream: TextIO | None = None) -> None:
    """Print a message on stderr; on a terminal, wrapped between words.

    A command at its end that does not fit gets a line of its own, to be copied whole.
    """
    stream, text = stream or sys.stderr, printable(text, "\n")
    if stream is not None and stream.isatty():
        width = shutil.get_terminal_size().columns
        command = _COMMAND.search(text)
        if len(text) > width and command is not None:
            text = f"{_wrap(text[: command.start(1)].rstrip(), width)}\n  {command[1]}"
        else:
            text = _wrap(text, width)
    print(text, file=stream)


def _wrap(text: str, width: int) -> str:
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


_COMMAND = re.compile(r": ((?:seqvision|edge-run|edge-serve|torchrun|pip) [^;]*)$")


def edge_programs() -> Programs:
    """Return the programs of this package, with their options."""
    from seqvision_edge.cli import RunOptions
    from seqvision_edge.server.cli import ServeOptions

    return {"edge-run": RunOptions, "edge-serve": ServeOptions}


class _Reading:
    """One pass over the arguments."""

    def __init__(
        self,
        options: type[BaseModel],
        program: str,
        arguments: Sequence[str],
        programs: Callable[[], Programs],
    ) -> None:
        self._kind, self._program, self._programs = options, program, programs
        self._options = list(options_of(options))
        self._named = {option.name: option for option in self._options}
        self._left = list(arguments)
        self._values: dict[tuple[str, ...], Any] = {}

    def values(self) -> dict[tuple[str, ...], Any]:
        """Return the given values, by the names of the fields."""
        lone: list[str] = []
        positionals = [each for each in self._options if each.arg.positional]
        # If any number of arguments is one option, they keep their order with its flag.
        only = positionals[0] if len(positionals) == 1 and positionals[0].count is None else None
        while self._left:
            argument = self._left.pop(0)
            if argument == "--":
                lone += self._left
                break
            if argument[:1] in _LONG_DASHES and argument[:1]:
                self._refuse_unknown(argument)
            if _is_flag(argument):
                self._take(argument)
            elif only is not None:
                self._keep(only, [self._checked(only, argument, lone=True)])
            else:
                lone.append(argument)
        self._assign(lone)
        return self._values

    def _take(self, argument: str) -> None:
        """Parse an option and its values."""
        flag, equals, value = argument.partition("=")
        name = flag.removeprefix("--").replace("_", "-")
        option = self._named.get(name) if flag.startswith("--") else None
        switched = True
        if option is None and name.startswith("no-"):
            switched, option = False, self._named.get(name.removeprefix("no-"))
            if option is not None and option.count != 0:
                self._fail(
                    f"no option {flag}; {option.flag} takes a value ({option.metavar}): "
                    "leave it out, or give another one"
                )
        if option is None:
            self._refuse_unknown(flag)
        if option.count == 0:
            following = self._left[0] if self._left else ""
            if option.name == "json" and following == "-":
                self._left.pop(0)  # standard output, the default anyway
            if equals or following.lower() in _YES_NO:
                written = argument if equals else f"{flag} {following}"
                self._fail(f"{written}: takes no value; write {option.flag} or --no-{option.name}")
            self._keep(option, switched)
        else:
            self._keep(option, self._values_of(option, [value] if equals else None))

    def _values_of(self, option: Option, given: list[str] | None) -> Any:
        """Return the values of an option: those after it, or the one after its `=`."""
        most = 1 if option.arg.once else option.count
        values = given or []
        while given is None and self._left and (most is None or len(values) < most):
            if _is_flag(self._left[0]) or (values and not _goes_on(option, self._left[0])):
                break
            values.append(self._left.pop(0))
        if not values:
            following = f", not the option {self._left[0]}" if self._left else ""
            self._fail(f"{option.flag}: needs a value{following}: {option.flag} {option.metavar}")
        if option.count is not None and option.count > len(values):
            self._fail(
                f"{option.flag}: needs {option.count} values: {option.flag} {option.metavar}"
            )
        values = [self._checked(option, value) for value in values]
        return values[0] if option.count == 1 else values

    def _checked(self, option: Option, value: str, lone: bool = False) -> str:
        where = option.metavar if lone else option.flag
        if not value.strip() and not option.arg.blank:
            self._fail(f"{where}: the value is empty")
        if (option.kind is Path or option.arg.positional) and value.startswith("~"):
            # The shell does not expand it inside quotes or after a =.
            here = Path(value)
            value = value if here.exists() else os.path.expanduser(value)  # noqa: PTH111
        return value

    def _keep(self, option: Option, value: Any) -> None:
        before = self._values.get(option.keys)
        if option.count is None and before is not None:
            value = [*before, *value]
        elif before is not None and before != value:
            self._fail(f"{option.flag}: given twice, as {_shown(before)} and as {_shown(value)}")
        self._values[option.keys] = value

    def _assign(self, lone: list[str]) -> None:
        """Assign the arguments without a flag to the options that take them, in order."""
        positionals = [each for each in self._options if each.arg.positional]
        for option in positionals:
            if not lone:
                return
            if option.count is None:
                values = [self._checked(option, value, lone=True) for value in lone]
                self._keep(option, values)
                return
            if option.keys not in self._values:
                self._keep(option, self._checked(option, lone.pop(0), lone=True))
        if lone:
            self._refuse_more(lone[0], positionals)

    def _refuse_more(self, argument: str, positionals: Sequence[Option]) -> NoReturn:
        name, _, value = argument.partition("=")
        known = name.replace("_", "-").lower()
        if known in self._named:
            option = self._named[known]
            after = f" {value}" if value else f" {option.metavar}" if option.count else ""
            self._fail(f"{argument}: did you mean {option.flag}{after}?")
        takes = " ".join(option.metavar for option in positionals)
        several = f"it takes {takes} alone" if positionals else "it takes options only"
        greedy = next(
            (
                each.flag
                for each in self._options
                if each.count is None and not each.arg.positional and each.keys in self._values
            ),
            None,
        )
        hint = f"; {greedy} takes what follows it, so put it last" if greedy else ""
        self._fail(f"{argument}: one argument too many; {several}{hint}")

    def _refuse_unknown(self, flag: str) -> NoReturn:
        """Raise an error about an unknown option, with the one that is meant."""
        name = flag.lstrip("-" + _LONG_DASHES).replace("_", "-")
        new = new_name(name, self._named)
        if new is not None:
            self._fail(is_now(flag, f"--{new}"))
        known = list(self._named)
        known += [f"no-{one.name}" for one in self._options if one.count == 0]
        hints = [f"--{one}" for one in near_options(name, [*known, "help", "version"])]
        lower = name.casefold()
        exact = bool(hints) and lower in (hints[0][2:],)
        elsewhere = [] if exact else self._elsewhere(lower)
        later = OPTIONS.get(lower.removeprefix("no-"), "")
        moved = self._elsewhere(later) if later and not elsewhere else []
        if moved:
            self._fail(
                f"no option {flag} here; it is now --{later}, an option of {', '.join(moved)}"
            )
        begins = bool(hints) and hints[0].startswith(f"--{lower}")
        if elsewhere and not begins:
            self._fail(f"no option {flag} here; it is an option of {', '.join(elsewhere)}")
        hint = did_you_mean(hints) or f"see: {self._program} --help"
        dash = ""
        if not flag.startswith("--"):
            long = "" if flag.startswith("-") else ", not a long dash"
            dash = f"; options begin with two dashes{long}"
        self._fail(f"no option {flag}{dash}; {hint}")

    def _elsewhere(self, name: str) -> list[str]:
        """Return the other commands that have an option of this name."""
        plain = name.removeprefix("no-")
        return [
            program
            for program, options in self._programs().items()
            if program != self._program.removeprefix("seqvision ")
            and any(option.name in (name, plain) for option in options_of(options))
        ]

    def _fail(self, message: str) -> NoReturn:
        raise SeqvisionError(f"{self._program}: {message}")


def _answer_questions(
    options: type[BaseModel], program: str, arguments: Sequence[str], version: str
) -> None:
    """Print the help or the version if requested, and exit.

    Raises:
        SystemExit: it was requested.
    """
    before = list(arguments)
    if "--" in before:
        before = before[: before.index("--")]
    help_word = before == ["help"] and not Path("help").exists()
    if help_word or not set(HELP).isdisjoint(before):
        from seqvision_edge.help_text import help_text

        print_text(help_text(options, program))
        raise SystemExit(0)
    if version and not set(VERSION).isdisjoint(before):
        print_text(version)
        raise SystemExit(0)


def _goes_on(option: Option, value: str) -> bool:
    """Return whether a value after others belongs to the option, not to the arguments after it.

    `--threads 1 2 model.onnx`, `--swap left:right frames/`: the last one is no number, no pair.
    """
    if option.count is not None:
        return True
    if option.kind in (int, float):
        return value[:1].isdigit()
    is_pair = ":" in option.metavar and ":" in value
    is_path = not is_pair and (":" in option.metavar or option.closed) and Path(value).exists()
    return not is_path


def _is_flag(argument: str) -> bool:
    """Return whether it is an option: neither a value, nor a negative number, nor - alone."""
    return argument.startswith("-") and argument != "-" and not _NUMBER.fullmatch(argument)


def _constraint(error: ValidationError) -> str:
    """Return what is wrong with the first bad value: `--on-threshold 2.0: must be …`."""
    loc, message, value = first_problem(error)
    names = [part for part in loc if isinstance(part, str)]
    if not names:
        return message
    given = f" {value}" if isinstance(value, str | int | float | os.PathLike) else ""
    return f"--{flag_name(names[-1])}{given}: {message}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return (
        " ".join(map(str, value))
        if isinstance(value, Iterable) and not isinstance(value, str)
        else str(value)
    )
