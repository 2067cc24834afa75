"""The service files and the container use options that exist."""

import re
import shlex
from pathlib import Path

from seqvision_edge import command_line
from seqvision_edge.cli import GAVE_UP, PARTIAL, PROGRAM, RunOptions

DEPLOY = Path(__file__).parents[2] / "edge" / "deploy"


def test_the_service_runs_a_command_that_there_is() -> None:
    unit = (DEPLOY / "seqvision.service").read_text()
    (line,) = re.findall("^ExecStart=(.+)$", unit, re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert Path(program).name == PROGRAM
    options = command_line.parse(RunOptions, PROGRAM, arguments)
    assert options.outputs.json_ == Path("events.jsonl")
    (kept,) = re.findall("^RestartPreventExitStatus=(.+)$", unit, re.MULTILINE)
    assert kept.split() == [str(command_line.USAGE), str(GAVE_UP)]
    assert str(PARTIAL) not in kept


def test_the_container_runs_a_command_that_there_is_and_not_as_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text()
    words = [
        re.findall(f"^{key} \\[(.+)\\]$", lines, re.MULTILINE)[0] for key in ("ENTRYPOINT", "CMD")
    ]
    program, *arguments = [word.strip(' "') for group in words for word in group.split(",")]
    assert program == PROGRAM
    assert command_line.parse(RunOptions, PROGRAM, arguments).camera == ("0",)
    assert lines.index("\nUSER ") < lines.index("\nENTRYPOINT")
    assert not re.search(r"\b(gcc|g\+\+|build-essential)\b", lines)


def test_docker_gets_exactly_what_the_container_copies() -> None:
    copied = re.findall(r"^COPY (\S+) ", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    rules = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert rules[0] == "*"
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied)
    assert all((DEPLOY.parents[1] / name).exists() for name in copied)
