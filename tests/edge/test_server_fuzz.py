"""Any input of a client gets a response or a close, and leaves the server healthy.

A share runs always; `SEQVISION_FUZZ=all` runs every seed.
"""

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from colour_model import model_bytes
from hostile_requests import handshake, hostile_request, hostile_socket
from served import Running, files, jpeg, serving, until

from seqvision_edge.server.limits import MIB, Limits
from seqvision_edge.server.recorder import Bounds, Recorder
from seqvision_edge.session import Session

ALL = os.environ.get("SEQVISION_FUZZ") == "all"
REQUESTS, SOCKETS = 20_000, 10_000
# What comes and goes in 30 minutes, ten a second.
VISITS = 18_000
SHARE = 50
AT_ONCE = 24
# Far more than any answer takes: what is silent for so long is silent for ever.
LONGEST = 60.0
LIMITS = Limits(
    head_seconds=1, stall_seconds=1, body_seconds=2, idle_seconds=1, clip_seconds=20, clips=AT_ONCE
)
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    recorder = Recorder(
        tmp_path_factory.mktemp("record") / "takes", Bounds(free_bytes=0, at_once=AT_ONCE)
    )
    session = Session(model_bytes(), "cpu")
    with serving(session, limits=LIMITS, recorder=recorder) as running:
        yield running


def memory() -> int:
    """Return the memory of this process in bytes, the server's included."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def is_idle(running: Running) -> bool:
    service = running.served.service
    return service.batcher.reserved == 0 and service._clips_now == 0 and not service.queues


def healthy(running: Running) -> None:
    """Check that the server responds, and that the requests left nothing behind."""
    until(lambda: is_idle(running), LONGEST)
    with running.client() as client:
        assert client.get("/healthz").status_code == 200
        for query in ("", "?timeline=true"):
            clip = files([jpeg("red")] * 6)
            answer = client.post(f"/v1/predict{query}", files=clip)
            assert answer.json()["predictions"][0]["label"] == "red"
        for gauge in ("seqvision_streams 0", "seqvision_batch_queue 0", "seqvision_clients 1"):
            until(lambda gauge=gauge: f"\n{gauge}" in client.get("/metrics").text)


async def send_query(port: int, pieces: list[bytes]) -> bytes:
    """Send pieces and return all that comes back until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    parts: list[bytes] = []
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.001)
        while part := await reader.read(1 << 16):
            parts.append(part)
        return b"".join(parts)
    except ConnectionError:
        return b"".join(parts)  # nothing, where an answer was lost
    finally:
        writer.close()


async def talk(port: int, opening: bytes, pieces: list[bytes]) -> bytes:
    """Open a WebSocket, send pieces, and return all that comes back until it is ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(opening)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer, answer
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.001)
        writer.write(CLOSE)
        parts = []
        while part := await reader.read(1 << 16):
            parts.append(part)
        return b"".join(parts)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def try_all(
    seeds: range, attempt: Callable[[int], Awaitable[bytes]], is_right: Callable[[bytes], bool]
) -> dict[int, str]:
    """Try every seed, many at once; return what went wrong with which, alone once more too.

    A client that a busy machine lets wait for longer than the server's limits is left by it.
    """
    wrong: dict[int, str] = {}

    async def one(seed: int, room: asyncio.Semaphore) -> None:
        async with room:
            try:
                answer = await asyncio.wait_for(attempt(seed), LONGEST)
            except asyncio.TimeoutError:
                wrong[seed] = "no answer and no end"
                return
            except asyncio.IncompleteReadError:
                wrong[seed] = "an end without an answer"
                return
            if not is_right(answer):
                wrong[seed] = repr(answer[:200])

    async def everyone() -> None:
        room = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(one(seed, room) for seed in seeds))

    async def again() -> None:
        left = list(wrong)
        wrong.clear()
        for seed in left:
            await one(seed, asyncio.Semaphore())

    asyncio.run(everyone())
    asyncio.run(again())
    return wrong


def is_answered(answer: bytes) -> bool:
    """Return whether there is a response, and none reports an internal error."""
    codes = re.findall(rb"(?:^|\r\n|[}>\n])HTTP/1\.1 (\d\d\d) ", answer)
    return bool(codes) and all(code not in (b"500", b"501", b"502") for code in codes)


@pytest.fixture
def unharmed(server: Running, caplog: pytest.LogCaptureFixture) -> Iterator[Running]:
    """The server; afterwards it must be healthy, with no traceback in its log and little memory."""
    caplog.set_level(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    healthy(server)
    before, open_before = memory(), descriptors()
    yield server
    healthy(server)
    bad = [
        record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR
    ]
    assert not bad, "\n".join(
        f"{record.getMessage()} {record.exc_text or record.exc_info}" for record in bad[:5]
    )
    until(lambda: descriptors() <= open_before + 4)
    assert memory() - before < 200 * MIB


@pytest.mark.fuzz
def test_every_request_is_answered(
    unharmed: Running, record_property: Callable[[str, object], None]
) -> None:
    step = 1 if ALL else SHARE
    record_property("tried", ("HTTP requests", len(range(0, REQUESTS, step))))
    wrong = try_all(
        range(0, REQUESTS, step),
        lambda seed: send_query(unharmed.port, hostile_request(seed)),
        is_answered,
    )
    assert not wrong, f"seed → what came: {dict(list(wrong.items())[:20])}"


@pytest.mark.fuzz
def test_every_web_socket_is_ended(
    unharmed: Running, record_property: Callable[[str, object], None]
) -> None:
    step = 1 if ALL else SHARE
    record_property("tried", ("WebSockets", len(range(0, SOCKETS, step))))
    wrong = try_all(
        range(0, SOCKETS, step),
        lambda seed: talk(unharmed.port, *hostile_socket(seed)),
        lambda answer: True,
    )
    assert not wrong, f"seed → what came: {dict(list(wrong.items())[:20])}"


POST = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
VISITORS = (
    b"",
    b"GET / HT",
    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 3,
    POST + b"multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
    b"--x\r\nContent-Disposition: form-data; name=f; filename=a\r\n\r\nabc",
    POST + b'application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ins',
    b"GET /v1/streams/STREAM/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    handshake("/v1/live"),
    handshake("/v1/live") + b"\x82\x8a\0\0\0\0\0\0",
    handshake("/v1/record"),
    handshake("/v1/live").replace(b"\r\n\r\n", b"\r\n"),
)


async def visit(port: int, data: bytes, number: int) -> bytes:
    """Connect, send something, wait for an answer or not, and leave: politely or not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        if number % 3 and data.endswith(b"\r\n\r\n"):
            await reader.read(1000)
        if number % 5 == 0:
            writer.transport.abort()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return b""


@pytest.mark.fuzz
def test_connecting_clients_leave_no_file_descriptor(
    unharmed: Running, record_property: Callable[[str, object], None]
) -> None:
    with unharmed.client() as client:
        stream = client.post("/v1/streams").json()["id"].encode()
        visitors = [data.replace(b"STREAM", stream) for data in VISITORS]

        def attempt(number: int) -> Awaitable[bytes]:
            return visit(unharmed.port, visitors[number % len(visitors)], number)

        count = VISITS if ALL else VISITS // SHARE
        record_property("tried", ("visits: connects and disconnects", count))
        assert not try_all(range(count), attempt, lambda answer: True)
