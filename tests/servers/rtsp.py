"""The RTSP server of `rtsp_server.py`, started, stalled and killed by a test."""

import signal
import socket
import subprocess
from pathlib import Path

from typing_extensions import Self

PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("rtsp_server.py")
_NEEDS = "import gi; gi.require_version('GstRtspServer', '1.0')"


def missing() -> str | None:
    """Return what this machine lacks to run the server; None when nothing."""
    if (
        PYTHON.exists()
        and not subprocess.run([PYTHON, "-c", _NEEDS], capture_output=True).returncode
    ):
        return None
    return "the RTSP server needs the packages of tests/install.sh"


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RtspServer:
    """A server in a process of its own; it keeps its port when it is started again."""

    def __init__(self, what: str | Path = "clock", account: str = "") -> None:
        """Describe it: `what` is `clock` or an mp4 file; `account` is `user:password`."""
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [PYTHON, SERVER, str(self.port), str(what), account]

    @property
    def url(self) -> str:
        """The stream, without user and password."""
        return f"rtsp://127.0.0.1:{self.port}/cam"

    def start(self) -> None:
        """Start it and wait until clients can come."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"READY\n"

    def stall(self) -> None:
        """Keep its connections open and send nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a stall."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; its connections are reset."""
        if self.process is not None and self.process.stdout is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
