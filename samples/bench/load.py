"""A server under load: clips as JSON, clips as JPEG files, JPEG streams over WebSockets.

What is fair: the server and what it is compared with have one core, the same; the clients have the
other one, because elsewhere they would be machines of their own.  *Bare* is the model's session
alone, *decode + model* decodes the same JPEGs too; both put as many streams in one call of the
model as there are clients, and do nothing else: no network, no events.  Both and the server take
turns, and the shares are those of a turn.  *Processor* is what the server uses for one frame or
clip against decode + model: other tenants of the machine disturb it less than the rates.  On a
machine with one core the clients take theirs from the server.  A client that is refused comes back
half a second later.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench.models import exported
from bench.timing import processor_seconds

ENCODER = "mobilenet_v2"
WAYS = ("json", "jpeg", "websocket")
CLIENTS = (1, 8, 32)
GOAL = ("websocket", 8, 0.80)
FPS = 30.0
_ROUNDS, _SECONDS, _ALONE_SECONDS = 3, 3.0, 1.5
_UNITS = {"json": "clips", "jpeg": "clips", "websocket": "frames"}
# Its columns are unreadable with fewer letters.
_WIDTH = 150


class Server(NamedTuple):
    """A server that runs."""

    pid: int
    port: int


def load(folder: Path) -> dict[str, dict[str, float]]:
    """Load a server in all modes with all numbers of clients; print and return the figures."""
    model = exported(folder, ENCODER, fps=FPS, int8=False)["fp32"]
    table = Table("way", "clients", "per second", "p50, ms", "p95", "p99", "/ bare session",
                  "/ decode + model", "processor", "refused", "goal",
                  title=f"load, {ENCODER} of 16 frames of 112×112, JPEGs of 640×480, one core",
                  title_justify="left")  # fmt: skip
    found = {}
    with _alone(model) as alone, _server(model) as server:
        for way in WAYS:
            for clients in CLIENTS:
                found[f"{way}, {clients}"] = _measure(way, clients, server, alone)
                table.add_row(way, str(clients), *_cells(way, clients, found[f"{way}, {clients}"]))
    Console(width=_WIDTH).print(table)
    return found


def _measure(
    way: str, clients: int, server: Server, alone: "subprocess.Popen[str]"
) -> dict[str, float]:
    """Let server and parts work in turns; the shares are those of each round."""
    rounds = []
    for _ in range(_ROUNDS):
        whole, least, bare, _ = _request_alone(alone, way, clients)
        before = processor_seconds(server.pid)
        given = {
            "way": way,
            "port": server.port,
            "clients": clients,
            "seconds": _SECONDS,
            "fps": FPS,
        }
        command = [sys.executable, "-m", "bench.clients"]
        done = subprocess.run(command, input=json.dumps(given) + "\n", stdout=subprocess.PIPE,
                              text=True, check=True, preexec_fn=_on(1))  # fmt: skip
        measured = json.loads(done.stdout)
        used = 1000 * (processor_seconds(server.pid) - before) / measured.pop("all")
        measured["processor / decode + model"] = used / least
        measured["/ bare session"] = measured["per second"] / bare
        measured["/ decode + model"] = measured["per second"] / whole
        rounds.append(measured)
    return {name: median(each[name] for each in rounds) for name in rounds[0]}


@contextlib.contextmanager
def _server(model: Path) -> Iterator[Server]:
    """Run `edge-serve` on the first core."""
    command = [sys.executable, "-m", "seqvision_edge.server", str(model), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_on(0)) as server:
        assert server.stderr is not None
        output = ""
        while not (match := re.search(r"http://\S+:(\d+)/", output)):
            line = server.stderr.readline()
            if not line:
                raise RuntimeError(f"edge-serve has ended: {output}")
            output += line
        try:
            yield Server(server.pid, int(match[1]))
        finally:
            server.terminate()


@contextlib.contextmanager
def _alone(model: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run the parts on the server's core; they work only on request."""
    command = [sys.executable, "-m", "bench.alone", str(model)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          preexec_fn=_on(0)) as process:  # fmt: skip
        _line(process)
        try:
            yield process
        finally:
            process.kill()


def _request_alone(process: "subprocess.Popen[str]", way: str, clients: int) -> list[float]:
    """Return what `bench.alone` prints."""
    assert process.stdin is not None
    process.stdin.write(f"{way} {clients} {_ALONE_SECONDS}\n")
    process.stdin.flush()
    return [float(each) for each in _line(process).split()]


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("what the server is compared with has ended")
    return line


def _on(index: int) -> Callable[[], None] | None:
    """Return what keeps a new process on one core, where the system can and there are two."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None
    return lambda: os.sched_setaffinity(0, {cores[index]})


def _cells(way: str, clients: int, found: dict[str, float]) -> list[str]:
    goal = ""
    if (way, clients) == GOAL[:2]:
        reached = found["/ decode + model"] >= GOAL[2]
        goal = f"/ decode + model ≥ {GOAL[2]}: {'reached' if reached else 'not reached'}"
    return [
        f"{found['per second']:.1f} {_UNITS[way]}",
        *(f"{found[name]:.0f}" for name in ("p50, ms", "p95, ms", "p99, ms")),
        f"{found['/ bare session']:.2f}",
        f"{found['/ decode + model']:.2f}",
        f"× {found['processor / decode + model']:.2f}",
        f"{found['refused']:.0%}",
        goal,
    ]
