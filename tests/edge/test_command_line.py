"""A user's mistake is one line; everything else is a typed value."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator
from typing_extensions import Self

from seqvision_edge import command_line, interrupts
from seqvision_edge import option_fields as of
from seqvision_edge.errors import SeqvisionError


class Nested(of.Options):
    depth: Annotated[int, Field(ge=1)] = 2
    """How deep."""


class Options(of.Options):
    """Do something."""

    size: Annotated[int, Field(ge=4)] = 8
    """How large."""
    mode: Literal["fast", "slow"] = "fast"
    smoothing_frames: int | None = None
    window: bool = True
    json_: Annotated[Path | None, of.Arg("FILE")] = None
    rate: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    span: tuple[float, float] = (0.0, 1.0)
    nested: Nested = Nested()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size == 13:
            raise ValueError("13 brings bad luck")
        return self


def parse(*arguments: str) -> Options:
    return command_line.parse(Options, "do", arguments)


def refusal(*arguments: str) -> str:
    with pytest.raises(SeqvisionError) as error:
        parse(*arguments)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("do: ")
    return message


def test_every_field_is_an_option() -> None:
    given = parse("--size", "9", "--no-window", "--depth=3", "--smoothing_frames", "4")
    assert (given.size, given.window, given.nested.depth, given.smoothing_frames) == (
        9,
        False,
        3,
        4,
    )


def test_a_trailing_underscore_is_no_part_of_the_option() -> None:
    assert parse("--json", "x.json").json_ == Path("x.json")


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--siz", "9"], "no option --siz; did you mean --size?"),
        (["--zzzzz"], "no option --zzzzz; see: do --help"),
        (["--size", "3"], "--size 3: must be at least 4"),
        (["--depth", "0"], "--depth 0: must be at least 1"),
        (["--depth", "deep"], "--depth deep: must be a whole number"),
        (["--rate", "fast"], "--rate fast: must be a number, or auto"),
        (["--rate", "-1"], "--rate -1: must be above 0, or auto"),
        (["--rate", "aut"], "--rate aut: no such choice; did you mean auto?"),
        (["--span", "a", "2"], "--span a: must be a number"),
        (["--size", "13"], "13 brings bad luck"),
        (["--size", "many"], "--size"),
        (["--mode", "medium"], "--mode medium: must be fast or slow"),
        (["--mode", "Slow"], "--mode Slow: no such choice; did you mean slow?"),
        (["--size"], "--size: needs a value: --size N"),
        (["--size", "--mode", "fast"], "--size: needs a value, not the option --mode"),
        (["--size="], "--size: the value is empty"),
        (["--json", " "], "--json: the value is empty"),
        (["--span", "1"], "--span: needs 2 values"),
        (["--smooth", "4"], "no option --smooth; did you mean --smoothing-frames?"),
        (["--frames", "4"], "no option --frames; did you mean --smoothing-frames?"),
        (["--s", "4"], "did you mean --size, --smoothing-frames or --span?"),
        (["--Size", "9"], "no option --Size; did you mean --size?"),
        (["--imgsz", "9"], "no option --imgsz; did you mean --size?"),
        (["-s", "9"], "no option -s; options begin with two dashes; did you mean --size, "),
        (["-size", "9"], "options begin with two dashes; did you mean --size?"),
        (["—size", "9"], "options begin with two dashes, not a long dash; did you mean --size?"),
        (["--no-size"], "no option --no-size; --size takes a value (N): leave it out"),
        (["--no-windw"], "no option --no-windw; did you mean --no-window?"),
        (["--window=yes"], "--window=yes: takes no value; write --window or --no-window"),
        (["--window", "false"], "--window false: takes no value; write --window or --no-window"),
        (["--size", "8", "--size", "9"], "--size: given twice, as 8 and as 9"),
        (["--window", "--no-window"], "--window: given twice, as on and as off"),
        (["lonely"], "lonely: one argument too many; it takes options only"),
        (["size=9"], "size=9: did you mean --size 9?"),
        (["size", "9"], "size: did you mean --size N?"),
    ],
)
def test_a_mistake_is_one_error_line(arguments: list[str], output: str) -> None:
    assert output in refusal(*arguments)


def test_help_shows_the_docstrings_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert "How large." in shown
    assert "--json FILE" in shown
    assert "{None}" not in shown


class Clips(of.Options):
    """Do something with clips."""

    examples = ("do model.pt a.mp4",)

    model: Annotated[Path, of.Arg("MODEL", positional=True)]
    """The model."""
    clips: Annotated[tuple[str, ...], of.Arg("CLIP", positional=True)]
    """The clips."""
    sources: Annotated[tuple[str, ...], of.Arg("SOURCE", once=True)] = ()
    """More."""
    pairs: Annotated[tuple[str, ...], of.Arg("A:B")] = ()
    """Pairs."""


def test_arguments_and_options_stand_in_any_order() -> None:
    given = command_line.parse(
        Clips, "do", ["--sources", "x", "m.pt", "a", "--sources=y", "b", "--pairs", "1:2", "3:4"]
    )
    assert (given.model, given.clips, given.sources) == (Path("m.pt"), ("a", "b"), ("x", "y"))
    assert given.pairs == ("1:2", "3:4")


def test_an_argument_can_be_given_by_its_name_and_after_a_double_dash() -> None:
    given = command_line.parse(Clips, "do", ["--model", "m.pt", "--", "-a", "--b"])
    assert (given.model, given.clips) == (Path("m.pt"), ("-a", "--b"))


def test_a_missing_argument_shows_the_usage_with_an_example() -> None:
    with pytest.raises(SeqvisionError) as error:
        command_line.parse(Clips, "do", [])
    assert str(error.value) == (
        "do: MODEL and CLIP are missing; usage: do MODEL CLIP… [OPTIONS], such as: "
        "do model.pt a.mp4"
    )


def test_a_tilde_in_quotes_or_after_an_equals_sign_is_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse("--json=~/x.json").json_ == tmp_path / "x.json"


def test_an_option_of_another_program_is_named() -> None:
    def read(program: str, *arguments: str) -> str:
        programs = {"do": Options, "make": Clips, "look": Clips}
        with pytest.raises(SeqvisionError) as error:
            command_line.read_arguments(Options, program, arguments, programs=lambda: programs)
        return str(error.value)

    assert read("do", "--pairs", "a:b") == (
        "do: no option --pairs here; it is an option of make, look"
    )
    assert "did you mean --size?" in read("do", "--siz", "3")


def test_defaults_can_be_replaced() -> None:
    given = command_line.parse(Options, "do", ["--mode", "slow"], Options(size=20))
    assert (given.size, given.mode) == (20, "slow")


@pytest.mark.parametrize(
    ("error", "code"),
    [(SeqvisionError("no"), 2), (KeyboardInterrupt(), 130), (interrupts.Terminated(), 143)],
)
def test_the_exit_code_depends_on_the_exception(error: BaseException, code: int) -> None:
    def main() -> int:
        raise error

    assert command_line.run_command(main) == code


def test_a_user_error_is_printed_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise SeqvisionError("a.mp4: no such file")

    command_line.run_command(main)
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "a.mp4: no such file\n")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode elsewhere")
@pytest.mark.parametrize(
    ("task", "code", "last_line"),
    [
        (
            "Path('\\u6f22.csv').stat()",
            2,
            r"\u6f22.csv: file names in this locale are ascii; "
            "choose one with UTF-8, or set PYTHONUTF8=1",
        ),
        (
            "'\\u6f22'.encode('latin-1')",
            1,
            r"UnicodeEncodeError: 'latin-1' codec can't encode character '\u6f22' in position 0: "
            "ordinal not in range(256)",
        ),
    ],
    ids=["a name that this locale has not", "a fault"],
)
def test_a_file_name_outside_the_locale_is_one_error_line(
    task: str, code: int, last_line: str
) -> None:
    program = f"""
import sys
from pathlib import Path
from seqvision_edge import command_line, interrupts
sys.exit(command_line.run_command(lambda: {task}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code
    *before, last = done.stderr.splitlines()
    assert last == last_line
    assert (before == []) == (code == 2)


def test_a_fault_of_the_program_is_not_hidden() -> None:
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run_command(main)


def test_sigterm_ends_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        interrupts.end_on_sigterm()
        with pytest.raises(interrupts.Terminated):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
