"""The terminals that other tests run programs on."""

import sys
import time
from pathlib import Path

import pytest
from terminals import Terminal


def test_terminal_shows_what_a_person_would_see() -> None:
    program = (
        "import sys\n"
        "for n in range(30): print('line', n)\n"
        "print(sys.stdout.isatty(), end='\\r'); print('\\x1b[31mred\\x1b[0m')\n"
        "print('got', input()); print(__import__('os').get_terminal_size(), flush=True); input()"
    )
    with Terminal([sys.executable, "-c", program], 60, 10) as terminal:
        terminal.wait_for("red")
        terminal.press("abc\r")
        terminal.wait_for(r"columns=60, lines=10")
        assert terminal.lines[:2] == ["line 0", "line 1"]
        assert "rede" in terminal.screen, "a carriage return overwrites the line"
        assert len(terminal.screen) == 10
        assert "got abc" in terminal.text
        assert terminal.processes() == [terminal.pid]
        terminal.interrupt()
        assert terminal.wait_exit() in (1, 130, -2)
        assert terminal.left_behind() == []


def test_terminal_fails_with_its_screen_when_the_program_ends_too_soon() -> None:
    with Terminal(["echo", "only this"]) as terminal:
        with pytest.raises(AssertionError, match="only this"):
            terminal.wait_for("never printed")
        assert terminal.wait_exit() == 0


def test_ctrl_c_costs_nothing_of_what_was_printed_before_it(tmp_path: Path) -> None:
    """The system would drop unread output, here because the test blocks the reader.

    4096 bytes are safe: those that have come to the other end.
    """
    program = (
        "import sys, time\n"
        "print('first', flush=True); input()\n"
        "print('second', flush=True); time.sleep(0.3)\n"
        "print('x' * 8000 + ' the end', flush=True)\n"
        "open(sys.argv[1], 'w').close()\n"
        "time.sleep(60)"
    )
    printed = tmp_path / "printed"
    with Terminal([sys.executable, "-c", program, printed]) as terminal:
        terminal.wait_for("first")
        with terminal._lock:
            terminal.press("\r")
            end = time.monotonic() + 60
            while not printed.exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            terminal.interrupt()
            time.sleep(0.1)  # the signal and the flush come at once
        terminal.wait_for("the end")
