"""A program that a signal interrupts at one exact step of its main thread, not at one of the clock.

A step is the begin or end of a function, so the same number is about the same point on a machine of
any speed.  The signal goes to all processes of the program, as Ctrl-C on a terminal does.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from preloaded import Command, EdgeCommand

_COUNTED = """
import atexit, os, signal, sys, threading
_interrupt_at, _signals, _number = eval(os.environ["SEQVISION_INTERRUPT"])
_steps = 0
def _profile(frame, event, argument):
    global _steps
    _steps += 1
    if _steps == _interrupt_at:
        for _ in range(_signals):
            os.killpg(0, _number)
def _report():
    sys.setprofile(None)
    with open(os.environ["SEQVISION_STEPS"], "w") as file:
        file.write(str(_steps))
atexit.register(_report)
sys.setprofile(_profile)
"""
# What a clean end does not print.
TORN = ("Traceback", "Exception ignored", "Warning:", "Error:", "leaked")


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: its exit code.
        printed: on stdout and stderr.
        steps: of its main thread until then.
    """

    code: int
    printed: str
    steps: int


def run(
    program: str,
    arguments: Sequence[str | Path],
    folder: Path,
    at: int = 0,
    number: int = signal.SIGINT,
    signals: int = 1,
    before: str = "",
    preloaded: bool = False,
) -> Ended:
    """Run a program in a folder, and interrupt it at a step; 0: let it end.

    Args:
        program: Python code that runs it with `sys.argv`.
        arguments: of its command line.
        folder: where it runs.
        at: the step.
        number: the signal.
        signals: how many of it come, one directly after the other.
        before: Python code that runs first and is not interrupted, such as imports.
        preloaded: whether it is forked from a process that has imported torch.
    """
    counted = folder.with_name(f"{folder.name}.steps")
    env = os.environ | {
        "SEQVISION_INTERRUPT": repr((at, signals, int(number))), "SEQVISION_STEPS": str(counted)
    }  # fmt: skip
    code = f"{before}\n{_COUNTED}\n{program}"
    words = [str(each) for each in arguments]
    if preloaded:
        with Command(["program", *words], folder, env, code=code) as process:
            out, err = process.communicate(120)
            group, status = process.pid, process.returncode
    else:
        with EdgeCommand(
            [sys.executable, "-c", code, *words], cwd=folder, env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as started:  # fmt: skip
            out, err = started.communicate(timeout=120)
            group, status = started.pid, started.returncode
    assert status is not None
    assert not left_behind(group), f"processes left\n{out}{err}"
    steps = int(counted.read_text()) if counted.exists() else 0
    counted.unlink(missing_ok=True)
    return Ended(status, out + err, steps)


def check_clean(ended: Ended, folder: Path, number: int = signal.SIGINT, usual: int = 0) -> None:
    """Fail where the end of an interrupted program is not a clean one.

    Args:
        ended: how it ended.
        folder: where it ran.
        number: the signal.  It ends a program that imports still, without its own code.
        usual: its exit code where nothing interrupts it.
    """
    assert not [word for word in TORN if word in ended.printed], ended.printed
    assert ended.code in (usual, 128 + number, -number), ended.printed
    half = [path for path in folder.rglob("*.unfinished*") if path.is_file()]
    assert half == [], ended.printed


def left_behind(group: int, seconds: float = 30.0) -> bool:
    """Return whether processes of a group still run some time after its first one has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return True


def moments(seed: int, steps: int, count: int) -> list[int]:
    """Return steps to interrupt at, half of them in the last third, where files are closed."""
    generator = random.Random(seed)
    last = steps * 2 // 3
    return [generator.randrange(last if number % 2 else 1, steps) for number in range(count)]
