"""Metrics and health, requested as a monitoring system does."""

import contextlib
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from steps import END, EVENT, Gate, changed, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks import metrics as metrics_module
from seqvision_edge.sinks.factory import listen_address
from seqvision_edge.sinks.metrics import PrometheusSink
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.types import Event, SourceState


@dataclass
class FakeSource:
    name: str
    live: bool = True
    damaged: int = 0


def serving(*names: str, queues: Sequence[Queued[Any]] = (), live: bool = True) -> PrometheusSink:
    sources: Any = [FakeSource(name, live, damaged=3) for name in names or ("camera 0",)]
    return PrometheusSink(("127.0.0.1", 0), sources, queues)


def get(sink: PrometheusSink, path: str, host: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{sink.port}{path}")
    if host:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(sink: PrometheusSink) -> dict[tuple[str, tuple[str, ...]], float]:
    """Return each value by its name and the values of its labels, the source's first."""
    status, text = get(sink, "/metrics")
    assert status == 200
    return {
        (
            sample.name,
            tuple(sample.labels[key] for key in sorted(sample.labels, key=["source", "le"].count))[
                ::-1
            ],
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_frames_answers_and_events_are_counted() -> None:
    with serving() as sink:
        sink.write(make_step(0, live=True))
        sink.write(make_step(4, live=True, answered=False))
        sink.write(make_step(5, live=True, events=(EVENT, EVENT)))
        sink.write(replace(END, nonfinite=7))
        reported = samples(sink)
    assert reported["seqvision_nonfinite_predictions_total", ("camera 0",)] == 7
    assert reported["seqvision_frames_total", ("camera 0", "used")] == 3
    assert reported["seqvision_frames_total", ("camera 0", "dropped")] == 3
    assert reported["seqvision_frames_total", ("camera 0", "corrupt")] == 3
    assert reported["seqvision_events_total", ("camera 0", "red")] == 2
    assert reported["seqvision_inference_seconds_count", ("camera 0",)] == 2
    assert reported["seqvision_frame_age_seconds_sum", ("camera 0",)] == pytest.approx(0.08)
    assert reported["seqvision_source_state", ("camera 0", "live")] == 1
    assert reported["seqvision_source_state", ("camera 0", "stalled")] == 0


def test_a_lost_source_counts_its_reconnects_and_its_seconds() -> None:
    with serving() as sink:
        sink.write(changed(SourceState("connecting", attempt=1)))
        sink.write(make_step(0, live=True))
        assert samples(sink)["seqvision_reconnects_total", ("camera 0",)] == 0
        sink.write(changed(SourceState("stalled")))
        sink.write(changed(SourceState("connecting", attempt=1)))
        name = "seqvision_stalled_seconds_total", ("camera 0",)
        wait_for(lambda: samples(sink)[name] > 0.1)
        sink.write(make_step(1, live=True))
        reported = samples(sink)
        assert reported["seqvision_reconnects_total", ("camera 0",)] == 1
        assert samples(sink)[name] == reported[name]


def test_lost_records_are_counted() -> None:
    gate = Gate(is_open=True)
    gate.fails = lambda item: item == 2
    with Queued(gate, 9) as queue, serving(queues=[queue]) as sink:
        for index in range(5):
            queue.write(make_step(index))
        wait_for(lambda: not queue.counts.waiting)
        reported = samples(sink)
    assert reported["seqvision_sink_sent_total", ("gate",)] == 4
    assert reported["seqvision_sink_failed_total", ("gate",)] == 1
    assert reported["seqvision_sink_dropped_total", ("gate",)] == 0
    assert reported["seqvision_sink_queue", ("gate",)] == 0


@pytest.mark.parametrize("name", ["a/#", "\x1b[2J", "<img>", '"} 1\nx{a="', "back\\slash"])
def test_any_name_and_label_is_escaped(name: str) -> None:
    with serving(name) as sink:
        sink.write(make_step(source=name, events=(Event(name, 0, 1, 0.5, 0.9, 1),)))
        assert samples(sink)["seqvision_events_total", (name, name)] == 1


def test_health_follows_the_newest_frame_of_the_best_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving("one", "two") as sink:
        status, text = get(sink, "/healthz")
        assert (status, json.loads(text)["sources"]["one"]["state"]) == (503, "connecting")
        sink.write(make_step(0, source="one", live=True))
        status, text = get(sink, "/healthz")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        sink.write(changed(SourceState("stalled"), source="one"))
        assert get(sink, "/healthz")[0] == 503
        sink.write(make_step(0, source="two", live=True))
        assert get(sink, "/healthz")[0] == 200
        # It is not reported as lost, and yet no frame comes.
        monkeypatch.setattr(metrics_module, "HEALTHY_SECONDS", 0.2)
        wait_for(lambda: get(sink, "/healthz")[0] == 503)
        assert json.loads(get(sink, "/healthz")[1])["sources"]["two"]["state"] == "live"


def test_other_paths_and_other_names_of_this_machine_are_refused() -> None:
    with serving() as sink:
        assert get(sink, "/")[0] == 404
        assert get(sink, "/metrics", host="evil.example")[0] == 403
        assert get(sink, "/metrics", host="localhost:9100")[0] == 200
        assert get(sink, "/metrics", host="[::1]")[0] == 200


def test_a_silent_client_blocks_no_other() -> None:
    with serving() as sink, socket.create_connection(("127.0.0.1", sink.port)):
        assert get(sink, "/metrics")[0] == 200


def test_a_port_in_use_is_one_line() -> None:
    with serving() as sink:
        other: Any = PrometheusSink(("127.0.0.1", sink.port), [], [])
        with pytest.raises(SinkError, match=r"--metrics 127.0.0.1:\d+: cannot be opened .*in use"):
            other.__enter__()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("localhost:9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_only_a_named_address_is_reachable_by_others(text: str, address: tuple[str, int]) -> None:
    assert listen_address("--metrics", text, 9100) == address


@pytest.mark.parametrize("text", ["", "x", "host:9100", "127.0.0.1:", "127.0.0.1:70000", "1:-2"])
def test_an_invalid_address_is_one_error_line(text: str) -> None:
    with pytest.raises(SinkError, match="give ADDRESS:PORT"):
        listen_address("--metrics", text, 9100)


def test_slow_and_silent_clients_lock_out_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "_REQUEST_SECONDS", 0.5)
    with serving() as sink, contextlib.ExitStack() as opened:
        lines = [
            opened.enter_context(socket.create_connection(("127.0.0.1", sink.port), 20))
            for _ in range(3 * metrics_module.MOST_REQUESTS)
        ]
        assert get(sink, "/metrics")[0] == 200

        def drip() -> bool:
            """Send one more byte of a head; whether the server has closed the connection."""
            try:
                lines[-1].sendall(b"G")
            except OSError:
                return True
            return False

        # A limit for each reading would begin anew with each byte.
        wait_for(drip)
        for line in lines[:-1]:
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""
        wait_for(lambda: not sink._server._open)
