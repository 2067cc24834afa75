"""`edge-run --web` as a process of its own, on the sources of a test."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preloaded import EdgeCommand


@dataclass(frozen=True)
class Run:
    """A run with a page."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def records(self) -> list[dict[str, Any]]:
        """Return the whole lines that the run has written."""
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def edge_run(model: Path, log: Path, *options: str) -> Iterator[Run]:
    """Run on a source; give its page and its JSON lines."""
    command = [sys.executable, "-m", "seqvision_edge", "--model", str(model), "--no-window",
               "--web", "127.0.0.1:0", "--json", str(log), *options]  # fmt: skip
    with EdgeCommand(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            output = ""
            while not (found := re.search(r"http://127\S+/$", output.strip())):
                line = process.stderr.readline()
                assert line, f"edge-run has ended: {output}"
                output += line
            yield Run(process, found.group(), log)
        finally:
            process.terminate()
            process.communicate(timeout=20)
