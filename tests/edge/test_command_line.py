"""A user's mistake is one line; everything else is a typed value."""

import signal
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator
from typing_extensions import Self

from seqvision_edge import command_line
from seqvision_edge import options as of
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
    ("arguments", "said"),
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
        (["--size"], "--size"),
        (["lonely"], "lonely"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], said: str) -> None:
    assert said in refusal(*arguments)


def test_help_shows_the_explanations_and_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    assert not stop.value.code
    shown = capsys.readouterr().out
    assert "How large." in shown
    assert "--json FILE" in shown
    assert "{None}" not in shown


def test_defaults_can_be_replaced() -> None:
    given = command_line.parse(Options, "do", ["--mode", "slow"], Options(size=20))
    assert (given.size, given.mode) == (20, "slow")


@pytest.mark.parametrize(
    ("error", "code"),
    [(SeqvisionError("no"), 2), (KeyboardInterrupt(), 130), (command_line.Terminated(), 143)],
)
def test_what_ends_a_command_gives_its_exit_code(error: BaseException, code: int) -> None:
    def main() -> int:
        raise error

    assert command_line.run(main) == code


def test_a_user_error_is_printed_to_stderr_alone(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> int:
        raise SeqvisionError("a.mp4: no such file")

    command_line.run(main)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "a.mp4: no such file\n")


def test_a_fault_of_the_program_is_not_hidden() -> None:
    def main() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(main)


def test_sigterm_ends_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        command_line.end_on_sigterm()
        with pytest.raises(command_line.Terminated):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
