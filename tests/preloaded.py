"""Commands in processes of their own that need not import torch: they are forked from one that has.

A command that trains spends seconds of a processor on the imports of torch and lightning, and a
twentieth of that on the training of a test.  Here one process of the test run has imported what is
not ours; each command is a fork of it with its own session, terminal, folder and environment, and
imports seqvision as ever.  What a start from nothing shows ("loading torch") others test.

Commands of the edge package are forked from another one, without torch.
"""

import array
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# Not onnxruntime: its import starts a thread, which a fork has not, and waits for it at the end.
MODULES = {
    "training": (
        "lightning.pytorch", "torchvision.models", "torch._dynamo", "torch.export",
        "torch.utils.tensorboard", "scipy.stats", "matplotlib.pyplot", "pydantic", "optuna",
        "sqlalchemy", "onnx", "onnxscript", "yaml", "rich.live",
    ),
    "edge": (
        "asyncio", "multiprocessing.spawn", "multiprocessing.shared_memory", "concurrent.futures",
        "cv2", "av", "pydantic", "yaml", "rich.live", "prometheus_client", "paho.mqtt.client",
        "fastapi", "fastapi.openapi.utils", "python_multipart", "starlette.middleware.gzip",
        "uvicorn", "uvicorn.protocols.http.h11_impl", "anyio._backends._asyncio",
        "uvicorn.protocols.websockets.websockets_sansio_impl",
    ),
}  # fmt: skip
# That of the test run, whatever a test changes in it.
_ENVIRONMENT = dict(os.environ)
SEQVISION = "import sys\nfrom seqvision.__main__ import run\nsys.exit(run())"
_PROVING = f"""
import json
import seqvision_export.export as export
import seqvision_export.verify.verify as verify
def prove(options, name):
    return json.loads(json.dumps(verify.prove(options, name)))
export.verify_in_subprocess = verify.verify_in_subprocess = prove
{SEQVISION}
"""


class Preloaded:
    """Run Python code as `python -c` does, with `argv` as its `sys.argv`.

    Args:
        argv: the words of the command, its name first.
        code: what runs; it gets a name space of its own.
        files: its standard input, output and errors, as descriptors.
        on_terminal: whether its standard input becomes the terminal of its session.
        kind: what has been imported, of `MODULES`.

    Attributes:
        pid: of the process, which is its session's first.
        status: its exit code, -n after signal n; None while it runs.
    """

    def __init__(
        self, argv: Sequence[str], code: str, cwd: str | Path, env: Mapping[str, str],
        files: tuple[int, int, int], on_terminal: bool = False, kind: str = "training",
    ) -> None:  # fmt: skip
        self.status: int | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(_server(kind))
        asked = {"argv": list(argv), "code": code, "cwd": str(cwd), "env": dict(env),
                 "on_terminal": on_terminal}  # fmt: skip
        socket.send_fds(self._socket, [json.dumps(asked).encode() + b"\n"], files)
        self._lines = self._socket.makefile()
        self.pid = int(self._lines.readline())

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        if self.status is None and self.has_ended(0):
            self.status = int(self._lines.readline())
            self._lines.close()
            self._socket.close()
        return self.status

    def has_ended(self, timeout: float | None = None) -> bool:
        """Wait for the process to end, for ever or so many seconds; return whether it has."""
        if self.status is not None:
            return True
        waiting = select.poll()  # select() takes no descriptor above 1023
        waiting.register(self._socket, select.POLLIN)
        return bool(waiting.poll(None if timeout is None else 1000 * timeout))

    def wait(self, timeout: float) -> int:
        """Return the exit code; end the process and fail if it has none in time."""
        if not self.has_ended(timeout):
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"still running after {timeout:g} s")
        status = self.poll()
        assert status is not None
        return status


class Command(Preloaded):
    """`seqvision …`, with what a `subprocess.Popen` offers whose outputs are texts.

    Its standard output goes to a file, its standard errors to a pipe that is read as they come.  As
    a context manager, end it afterwards.
    """

    def __init__(
        self, command: Sequence[str | Path], cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None, typed: str = "", code: str = SEQVISION,
    ) -> None:  # fmt: skip
        words = [str(word) for word in command]
        with tempfile.TemporaryFile("w+") as given:
            given.write(typed)
            given.seek(0)
            self._out = tempfile.TemporaryFile("w+")  # noqa: SIM115
            read, write = os.pipe()
            files = (given.fileno(), self._out.fileno(), write)
            variables = dict(os.environ if env is None else env)
            super().__init__(words, code, Path.cwd() if cwd is None else cwd, variables, files)
        os.close(write)
        self.stderr = os.fdopen(read)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait(30)
        self.stderr.close()
        self._out.close()

    @property
    def returncode(self) -> int | None:
        return self.status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Return what it has printed, and what is left to read of its errors, when it has ended."""
        ends = threading.Timer(timeout, self.kill)
        ends.start()
        errors = self.stderr.read()
        ends.cancel()
        self.wait(timeout)
        self._out.seek(0)
        return self._out.read(), errors


def edge_code(
    command: Sequence[str | Path], env: Mapping[str, str]
) -> tuple[list[str], str] | None:
    """Return `sys.argv` and the code of `python -c CODE …` or `python -m MODULE …`.

    None where only a start from nothing will do: of another program, or where variables change the
    interpreter or its libraries, such as that which preloads the emulated camera.
    """
    python, option, program, *rest = [*map(str, command), "", ""]
    arguments = rest[:-2] if rest else []
    names = {*env, *_ENVIRONMENT}
    changed = {name for name in names if env.get(name) != _ENVIRONMENT.get(name)}
    if python != sys.executable or option not in ("-c", "-m") or os.name != "posix":
        return None
    if "SEQVISION_TEST_RUN" not in os.environ:  # no test run: a program that uses the terminals
        return None
    if any(name.startswith(("LD_", "LC_", "LANG", "PYTHON", "TZ")) for name in changed):
        return None
    if option == "-c":
        return ["-c", *arguments], program
    code = f"import runpy\nrunpy.run_module({program!r}, run_name='__main__', alter_sys=True)"
    return [program, *arguments], code


class EdgeCommand(subprocess.Popen[Any]):
    """`subprocess.Popen` of a command of the edge package; forked where `edge_code` allows it.

    It has a session of its own.  Of what `Popen` takes: `cwd`, `env`, the three files and texts.
    """

    _forked: Preloaded | None = None

    def _execute_child(self, args: Any, *rest: Any) -> None:
        cwd, env = rest[4], os.environ if rest[5] is None else rest[5]
        from_pipe, _, _, to_output, _, to_errors = rest[9:15]
        forked = edge_code(args, env)
        if forked is None:
            return super()._execute_child(args, *rest)  # type: ignore[misc]
        ends = (from_pipe, to_output, to_errors)
        files = tuple(ours if end == -1 else end for ours, end in enumerate(ends))
        self._forked = Preloaded(*forked, cwd or Path.cwd(), env, files, kind="edge")
        self.pid = self._forked.pid
        self._child_created = True
        self._close_pipe_fds(*rest[9:15])  # type: ignore[attr-defined]
        return None

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if self._forked is None:
            return super()._internal_poll(*given, **more)  # type: ignore[misc]
        if self.returncode is None:
            self.returncode = self._forked.poll()
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self._forked is None:
            return super()._wait(timeout)  # type: ignore[misc]
        if not self._forked.has_ended(timeout):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._internal_poll()


def run_edge(
    command: Sequence[str | Path], typed: str | bytes | None = None, timeout: float = 300,
    **more: Any,
) -> subprocess.CompletedProcess[Any]:  # fmt: skip
    """Run an `EdgeCommand` to its end and capture its outputs, as `subprocess.run` would."""
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    pipes["stdin"] = subprocess.DEVNULL if typed is None else subprocess.PIPE
    with EdgeCommand(command, **pipes, **more) as process:
        try:
            out, errors = process.communicate(typed, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess([*command], process.returncode, out, errors)


def seqvision_code(words: Sequence[str]) -> str:
    """Return the code of `seqvision …`.

    An export proves its file in its own process: a fresh one imports torch for seconds.  That is
    tested with commands that start from nothing.
    """
    return _PROVING if "export" in words[:2] else SEQVISION


def run(
    command: Sequence[str | Path], cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None, typed: str = "", code: str = SEQVISION,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a `Command` to its end, as `subprocess.run` would run it."""
    with Command(command, cwd, env, typed, code) as process:
        out, errors = process.communicate(timeout)
        status = process.wait(timeout)
    return subprocess.CompletedProcess([*command], status, out, errors)


def _server(kind: str) -> str:
    """Return the path of the socket of the process that forks; start it if nobody has."""
    folder = Path(os.environ["SEQVISION_TEST_RUN"])
    path, log_file = folder / f"preloaded-{kind}.socket", folder / f"preloaded-{kind}.log"
    with (folder / f"preloaded-{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            command = [sys.executable, __file__, str(path), kind]
            with log_file.open("w") as log:
                starting = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, env=_ENVIRONMENT | {"OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            while not path.exists():
                assert starting.poll() is None, log_file.read_text()
                time.sleep(0.05)
    return str(path)


def _serve(path: Path, kind: str) -> dict[str, Any]:
    """Fork whenever it is asked for; return, in the forked process, what was asked.

    Ends itself when the folder of the test run is removed, or its first process is no more.
    """
    import gc
    import importlib

    if kind == "training":
        from seqvision import compat

        assert compat.torchvision  # imported as seqvision does it, before lightning is
    for name in MODULES[kind]:
        importlib.import_module(name)
    for name in [each for each in sys.modules if each.partition(".")[0].startswith("seqvision")]:
        del sys.modules[name]
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lack the other threads"
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy every page
    # Whoever started the tests may have told them to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen(64)
    Path(f"{path}.new").rename(path)
    children: dict[int, socket.socket] = {}
    tests = Path("/proc", os.environ["SEQVISION_TEST_PID"])
    while path.exists() and tests.exists():
        ready = select.select([listening, woken], [], [], 1.0)[0]
        if woken in ready:
            woken.recv(4096)
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                _answer(children.pop(pid), os.waitstatus_to_exitcode(status), last=True)
        if listening in ready:
            client, _ = listening.accept()
            asked, files = _asked(client)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for each in (listening, woken, wake, client, *children.values()):
                    each.close()
                return asked | {"files": files}
            for file in files:
                os.close(file)
            children[pid] = client
            _answer(client, pid)
    sys.exit()


def _asked(client: socket.socket) -> tuple[dict[str, Any], list[int]]:
    text, ancillary, _, _ = client.recvmsg(1 << 20, socket.CMSG_SPACE(3 * 4))
    files = array.array("i")
    for _, _, data in ancillary:
        files.frombytes(data)
    while not text.endswith(b"\n"):
        text += client.recv(1 << 20)
    return json.loads(text), list(files)


def _answer(client: socket.socket, number: int, last: bool = False) -> None:
    with contextlib.suppress(OSError):  # its test has ended
        client.sendall(b"%d\n" % number)
    if last:
        client.close()


def _become(asked: dict[str, Any]) -> None:
    """Make this process what a start of Python would have made of it."""
    os.setsid()
    for target, file in enumerate(asked["files"]):
        os.dup2(file, target)
        os.close(file)
    if asked["on_terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    tempfile.tempdir = None  # another one than before, perhaps
    sys.argv = asked["argv"]
    sys.path[0] = ""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8")  # noqa: SIM115
    buffering = 1 if os.isatty(1) else -1
    sys.stdout = sys.__stdout__ = open(1, "w", buffering, encoding="utf-8")  # noqa: SIM115
    errors = open(2, "w", 1, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = errors


if __name__ == "__main__":
    _asked_of_us = _serve(Path(sys.argv[1]), sys.argv[2])
    _become(_asked_of_us)
    _this = sys.modules["__main__"]  # its functions may still be needed
    sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(_asked_of_us["code"], "<string>", "exec"), vars(sys.modules["__main__"]))
