"""Outputs that fail while a camera runs: what is lost is counted, what is promised arrives."""

import json
import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from colour_model import picture
from faults.table import Row, keep
from faults.watched_run import watched_run
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from servers import web
from servers.broker import Broker, Listener, missing
from servers.rtsp import free_port

# A gesture and a pause: one event each second.
_PERIOD = 15


def gestures(number: int) -> NDArray[Any]:
    """Return the picture of a hand that comes and goes."""
    return picture("red" if number % _PERIOD < _PERIOD // 2 else "none")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A camera whose gesture comes once a second."""
    with web.WebServer({"/camera": web.mjpeg(gestures)}) as server:
        yield f"{server.url}/camera"


class Metrics:
    """What `--metrics` tells, added up."""

    def __init__(self, port: int) -> None:
        self.option = ("--metrics", f"127.0.0.1:{port}")
        self._url = f"http://127.0.0.1:{port}/metrics"

    def sum(self, name: str) -> float:
        """Return the sum of a metric over its labels; 0 before it is served."""
        try:
            with urllib.request.urlopen(self._url, timeout=5) as page:
                text = page.read().decode()
        except OSError:
            return 0.0
        samples = [sample for family in text_string_to_metric_families(text)
                   for sample in family.samples]  # fmt: skip
        return sum(sample.value for sample in samples if sample.name == name)


def events_of(heard: Listener) -> list[dict[str, Any]]:
    """Return the events that the listener got, of whatever source."""
    return [json.loads(text) for topic, text, _ in list(heard.got) if topic.endswith("/event")]


QUICK = ("--smoothing-frames", "1", "--minimum-seconds", "0.1", "--cooldown-seconds", "0")


def test_no_event_is_lost_while_the_broker_is_away(model: Path, url: str, tmp_path: Path) -> None:
    lacks = missing()
    if lacks:
        pytest.skip(lacks)
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    try:
        mqtt = ("--mqtt", broker.url)
        with watched_run(
            model, ("--source", url), tmp_path / "run.jsonl", *QUICK, *mqtt
        ) as run, Listener(broker) as heard:  # fmt: skip
            run.wait(lambda: events_of(heard))
            broker.kill()
            away = len(run.lines("event"))
            run.wait(lambda: len(run.lines("event")) >= away + 4)
            broker.start()
            run.wait(lambda: len(events_of(heard)) >= len(run.lines("event")) - 1, 40)
            expected = len(run.lines("event"))
            answers = run.lines("prediction")
            run.wait(lambda: len(events_of(heard)) >= expected, 40)
            run.stop()
        keys = [json.dumps(each, sort_keys=True) for each in events_of(heard)]
    finally:
        broker.kill()
    assert len(keys) >= expected
    gaps = [b["time"] - a["time"] for a, b in pairwise(answers)]
    assert max(gaps) < 2, "the broker's absence never stopped an answer"
    keep(Row(50, "MQTT broker killed, back after 4 events", "counted; sent when it is back",
             lost=f"0 of {expected} events"))  # fmt: skip


def test_a_webhook_that_is_away_gets_every_event_once_it_is_back(
    model: Path, url: str, tmp_path: Path
) -> None:
    got: dict[str, Any] = {}
    answers = {"code": 503}

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if answers["code"] < 300:
                got[self.headers["Idempotency-Key"]] = body
            self.send_response(answers["code"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hook = ("--webhook", f"http://127.0.0.1:{server.server_port}/events")
    log = tmp_path / "run.jsonl"
    with watched_run(model, ("--source", url), log, *QUICK, *hook) as run:
        run.wait(lambda: len(run.lines("event")) >= 3)
        answers["code"] = 200
        run.wait(lambda: len(got) >= 3, 60)
        expected = len(run.lines("event"))
        run.wait(lambda: len(got) >= expected, 60)
        run.stop()
    server.shutdown()
    assert (
        sorted(each["start"] for each in got.values())[:expected]
        == sorted(each["start"] for each in run.lines("event"))[:expected]
    )
    keep(Row(51, "webhook answers 503 for 3 events", "sent again with the same Idempotency-Key",
             lost=f"0 of {expected} events"))  # fmt: skip


def test_a_full_disk_stops_no_answer_and_its_lines_are_counted(
    model: Path, url: str, small_disk: Path, tmp_path: Path
) -> None:
    full = small_disk / "run.jsonl"
    (small_disk / "fill").write_bytes(bytes(48 * 1024))
    # How the run does is seen by its metrics, for its log is on the full disk.
    metrics = Metrics(free_port())
    with watched_run(model, ("--source", url), full, *QUICK, *metrics.option) as run:
        run.wait(lambda: metrics.sum("seqvision_sink_failed_total") > 3, 60)
        before = metrics.sum("seqvision_frames_total")
        run.wait(lambda: metrics.sum("seqvision_frames_total") > before + 20)
        lost = metrics.sum("seqvision_sink_failed_total")
        (small_disk / "fill").unlink()
        size = full.stat().st_size
        run.wait(lambda: full.stat().st_size > size)
        time.sleep(0.5)
        _, err = run.stop(signal.SIGTERM)
    lines = full.read_text().splitlines()
    assert all(json.loads(line) for line in lines), "the torn line is healed"
    assert lost > 0
    assert "lost (No space left on device)" in err
    keep(Row(52, "disk full under --json, then room again",
             "answers go on; the torn line is healed; the count is printed",
             lost="only the lines of that time"))  # fmt: skip
