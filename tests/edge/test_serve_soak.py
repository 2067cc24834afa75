"""Clients connect and disconnect for half an hour: descriptors and memory stay constant.

A few seconds of it run always, 30 minutes by `SEQVISION_FUZZ=all`; `SEQVISION_SOAK_MINUTES` sets
another time.
"""

import asyncio
import contextlib
import itertools
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from served import files, jpeg, until
from steps import wait_for
from test_server_fuzz import VISITORS, visit

pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks for descriptors in /proc"),
]
ALL = os.environ.get("SEQVISION_FUZZ") == "all"
MINUTES = float(os.environ.get("SEQVISION_SOAK_MINUTES", "30" if ALL else "0.05"))
A_SECOND, AT_ONCE = 10, 8
SAMPLES = 60
MEGABYTE = 1 << 20


def whole_clip(address: str) -> bytes:
    """Return a request for an answer about six pictures."""
    url = f"http://{address}/v1/predict"
    headers = {"Connection": "close"}
    request = httpx.Request("POST", url, files=files([jpeg("red")] * 6), headers=headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST /v1/predict HTTP/1.1\r\n{head}\r\n".encode() + request.read()


async def answered(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = await reader.read()
        # So many at once may be more than are decoded at once.
        assert b'"red"' in answer or answer.startswith(b"HTTP/1.1 429 "), answer
    finally:
        writer.close()


async def soak(address: str, pid: int) -> tuple[int, list[int], list[int]]:
    """Return how many came, and descriptors and bytes of memory over the time."""
    port = int(address.rpartition(":")[2])
    clip = whole_clip(address)
    # The children that decode have started then.
    for _ in range(3):
        await asyncio.gather(*(answered(port, clip) for _ in range(AT_ONCE)))
    begun = time.monotonic()
    room = asyncio.Semaphore(AT_ONCE)
    opened, memory, wrong = [], [], []
    number, running = 0, set()

    async def one(number: int) -> None:
        try:
            if number % (len(VISITORS) + 1) == len(VISITORS):
                await asyncio.wait_for(answered(port, clip), 60)
            else:
                data = VISITORS[number % (len(VISITORS) + 1)]
                await asyncio.wait_for(visit(port, data, number), 60)
        except (asyncio.TimeoutError, AssertionError) as error:
            wrong.append(f"visit {number}: {error or 'no answer and no end'}")
        finally:
            room.release()

    for number in itertools.count(1):
        passed = time.monotonic() - begun
        if passed > 60 * MINUTES:
            break
        if passed >= len(opened) * 60 * MINUTES / SAMPLES:
            opened.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
            memory.append(resident(pid))
        await room.acquire()
        task = asyncio.create_task(one(number))
        running.add(task)
        task.add_done_callback(running.discard)
        await asyncio.sleep(max(0.0, begun + number / A_SECOND - time.monotonic()))
    await asyncio.gather(*running)
    assert wrong == []
    return number, opened, memory


def resident(pid: int) -> int:
    """Return the memory of a process and of the children that decode for it, in bytes."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        pids += map(int, children.read_text().split())
    pages = 0
    for each in pids:
        try:
            pages += int(Path(f"/proc/{each}/statm").read_text().split()[1])
        except FileNotFoundError:  # it has just ended
            continue
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def serving(model: Path, log: Path) -> Iterator[tuple[int, str]]:
    """Give a server's process and address.  Its log is a file: a pipe that is not read fills up."""
    command = [sys.executable, "-m", "seqvision_edge.server", str(model), "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file)
    try:
        found = wait_for(lambda: re.search(r"http://(\S+?:\d+)/", log.read_text()), 120)
        yield process.pid, found[1]
    finally:
        process.kill()
        process.wait()


def test_clients_that_come_and_go_for_half_an_hour_leave_nothing(
    model: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    log = tmp_path / "log"
    with serving(model, log) as (pid, address):
        assert httpx.get(f"http://{address}/healthz", timeout=60).status_code == 200
        folder = Path(f"/proc/{pid}/fd")
        before = len(list(folder.iterdir()))
        count, opened, memory = asyncio.run(soak(address, pid))
        # A child that decodes uploads stays, with a few of its own.
        until(lambda: len(list(folder.iterdir())) <= before + AT_ONCE, 120)
        after = len(list(folder.iterdir()))
        assert httpx.get(f"http://{address}/healthz", timeout=60).status_code == 200
    assert "Traceback" not in log.read_text()
    tenth = max(1, len(memory) // 10)
    early, late = memory[tenth : 3 * tenth] or memory[:1], memory[-2 * tenth :]
    grown = statistics.median(late) - statistics.median(early)
    print(f"{count} visits in {MINUTES:g} minutes; descriptors {before} before, at most "
          f"{max(opened)}, {after} after; memory {statistics.median(early) / MEGABYTE:.0f} MB, "
          f"{grown / MEGABYTE:+.1f} MB")  # fmt: skip
    # In seconds another child that decodes may have started, of some 90 MB.
    assert grown < (64 if MINUTES >= 10 else 256) * MEGABYTE
    record_property("tried", ("visits of a soak", count))
