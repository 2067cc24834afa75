"""`edge-serve` as a process of its own, which a test may stop or kill."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preloaded import EdgeCommand

EDGE = Path(__file__).parents[2] / "edge"


@dataclass(frozen=True)
class Serving:
    """A server that runs."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def kill(self) -> None:
        """End it as a crash would: at once, without a word to anybody."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def edge_serve(model: Path, *options: str, cache: Path, port: int = 0) -> Iterator[Serving]:
    """Run `edge-serve`; `cache` is where it looks for onnxruntime-web."""
    command = [sys.executable, "-m", "seqvision_edge.server", str(model), "--port", str(port)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with EdgeCommand(
        [*command, *options], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            output = ""
            while not (found := re.search(r"http://\S+", output)):
                line = process.stderr.readline()
                assert line, f"edge-serve has ended: {output}"
                output += line
            yield Serving(process, found.group())
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.kill()
