"""An `edge-run` of its own process, watched from outside: what it says, when, and what it costs."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preloaded import EdgeCommand

Line = dict[str, Any]

EDGE_RUN = [sys.executable, "-m", "seqvision_edge"]
_LOOK = 0.02


class WatchedRun:
    """A running `edge-run`, and the JSON lines that it has written so far."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def lines(self, kind: str, source: str | None = None) -> list[Line]:
        """Return the records of a kind, of one source or of all."""
        if not self.log.exists():
            return []
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
        records = [json.loads(line) for line in whole]
        return [
            line
            for line in records
            if line["type"] == kind and (source is None or line["source"] == source)
        ]

    def states(self, source: str | None = None) -> list[str]:
        """Return the states that a source went through."""
        return [line["state"] for line in self.lines("source", source)]

    def wait(self, done: Callable[[], Any], seconds: float = 30.0) -> float:
        """Wait until something is so; return the monotonic time when it was seen."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.process.poll() is not None or time.monotonic() > deadline:
                out, err = self.end()
                raise AssertionError((self.states(), self.process.returncode, out, err))
            time.sleep(_LOOK)
        return time.monotonic()

    def wait_for_state(self, state: str, after: int = 0, source: str | None = None) -> float:
        """Wait for a state among those after the first `after`; return when it was seen."""
        return self.wait(lambda: state in self.states(source)[after:])

    def wait_for_answers(self, count: int, source: str | None = None) -> float:
        """Wait for so many more answers."""
        before = len(self.lines("prediction", source))
        return self.wait(lambda: len(self.lines("prediction", source)) >= before + count)

    def children(self) -> list[int]:
        """Return the process ids of its capture processes."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                if f"\nPPid:\t{self.process.pid}\n" in status.read_text():
                    command = status.with_name("cmdline").read_bytes()
                    # Python's own resource tracker is a child too.
                    if b"spawn_main" in command:
                        found.append(int(status.parent.name))
        return found

    def memory(self) -> float:
        """Return the megabytes that it has in memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def stop(self, number: int = signal.SIGINT) -> tuple[float, str]:
        """Signal it; return how many seconds it took to end, and its stderr."""
        began = time.monotonic()
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=120)
        return time.monotonic() - began, err

    def end(self) -> tuple[str, str]:
        """End it whatever it does; return stdout and stderr."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.communicate()


@contextmanager
def watched_run(
    model: Path,
    sources: Sequence[str],
    log: Path,
    *options: str | Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[WatchedRun]:
    """Run `edge-run` on the sources, given as its own words, in the background."""
    words = ["--model", model, *sources, "--json", log, "--no-window", *options]
    process = EdgeCommand(
        [*EDGE_RUN, *map(str, words)],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = WatchedRun(process, log)
    try:
        yield run
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
