"""A fresh Python process for what must not depend on this one; it ends when this one is stopped."""

import subprocess
import sys
from typing import IO

from seqvision.console import erase_line

# How long a process may take to end after SIGTERM.
_PATIENCE = 3.0


def run_in_fresh_process(*arguments: str) -> tuple[int, str]:
    """Run `python ARGUMENTS` and return its exit code and what it printed on stdout."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C on the terminal is for this process alone, which then ends the other.
        start_new_session=True,
    ) as process:
        try:
            output: IO[str] | None = process.stdout
            assert output is not None
            printed = output.read()
            return process.wait(), printed
        except BaseException:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
            erase_line()  # what it may have left there
            raise
