"""Serve Prometheus /metrics, and /healthz."""

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, socket
from threading import Lock
from time import monotonic
from typing import Any

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from typing_extensions import Self

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import CONNECTING, Step
from seqvision_edge.http_client import shut_down, time_limit
from seqvision_edge.overlay import SHOWN
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.sources.factory import Source
from seqvision_edge.types import STATES

# A source whose newest frame is older is not live, whatever its state.
HEALTHY_SECONDS = 5.0
# Time limit of a request; beyond this number of open requests the oldest is ended.
_REQUEST_SECONDS = 5.0
MOST_REQUESTS = 64
_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_LOST = ("stalled", "disconnected")


class PrometheusSink:
    """A sink that counts steps and serves the counts as Prometheus metrics."""

    def __init__(
        self,
        address: tuple[str, int],
        sources: Sequence[Source],
        queues: Sequence[Queued[Any]],
        regions: bool = False,
    ) -> None:
        """Listen at `address`; `queues` are the outputs whose losses are counted.

        With `regions`, events and predictions have the label `view`: the name of the region.
        """
        self._address = address
        self._queues = queues
        self._sources = {source.name: _SourceCounts(source) for source in sources}
        self._registry = CollectorRegistry(auto_describe=False)
        self._regions = regions
        labels = ["source", "view"] if regions else ["source"]
        more: Any = {"labelnames": labels, "registry": self._registry, "buckets": _BUCKETS}
        self._age = Histogram(
            "seqvision_frame_age_seconds", "Age of a live frame at its prediction.", **more
        )
        self._infer = Histogram(
            "seqvision_inference_seconds", "Time from a frame to its prediction.", **more
        )
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    @property
    def port(self) -> int:
        """The port; with port 0 the real one is known once the sink is open."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        host, port = self._address
        try:
            self._server = _Server(self, host, port)
        except OSError as error:
            wrong = f"cannot be opened ({error.strerror})"
            raise SinkError(f"--metrics {host}:{port}: {wrong}") from None
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True
        ).start()
        return self

    def write(self, step: Step) -> None:
        """Count the step."""
        self._sources[step.source].take(step)
        for part in step.parts:
            answer = part.prediction
            if part.answered and answer is not None:
                labels = (part.source, part.view) if self._regions else (part.source,)
                self._infer.labels(*labels).observe(answer.latency_ms / 1000)
                if answer.age_ms is not None:
                    self._age.labels(*labels).observe(answer.age_ms / 1000)

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether any source is live, by the age of its newest frame, and the details."""
        now = monotonic()
        sources = {
            name: {"state": seen.state.state, "frame_age_seconds": seen.age(now)}
            for name, seen in self._sources.items()
        }
        return any(seen.is_live(now) for seen in self._sources.values()), {"sources": sources}

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the text of /metrics and its content type, in the newest format of `accept`."""
        encode, content_type = exposition.choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called by the registry."""
        yield from _source_metrics(self._sources, self._regions)
        yield from _sink_metrics(self._queues)


class _SourceCounts:
    """The counts of one source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.state = CONNECTING
        self.used = self.dropped = self.reconnects = self.nonfinite = 0
        self.events: dict[tuple[str, str], int] = {}
        self._index = -1
        self._arrived: float | None = None
        self._stalled = 0.0
        self._lost_at: float | None = None

    def take(self, step: Step) -> None:
        for state in step.changed:
            self.reconnects += state.state == "connecting" and self._arrived is not None
        self.state, self.nonfinite = step.state, step.nonfinite
        now = monotonic()
        if step.state.state in _LOST and self._lost_at is None:
            self._lost_at = now
        if step.frame is not None:
            self._stalled, self._lost_at = self.stalled(now), None
            self._arrived = now
            self.used += not step.frame.repeated
            if self.source.live:
                self.dropped += max(0, step.frame.index - self._index - 1)
            self._index = step.frame.index
        for event in step.events:
            key = event.view, event.label
            self.events[key] = self.events.get(key, 0) + 1

    def stalled(self, now: float) -> float:
        """Seconds without frames so far."""
        return self._stalled + (now - self._lost_at if self._lost_at is not None else 0.0)

    def age(self, now: float) -> float | None:
        """Seconds since the newest frame; None before the first."""
        return None if self._arrived is None else round(now - self._arrived, 3)

    def is_live(self, now: float) -> bool:
        age = self.age(now)
        return self.state.state in SHOWN and age is not None and age < HEALTHY_SECONDS


def _source_metrics(sources: dict[str, _SourceCounts], regions: bool) -> Iterator[Metric]:
    now = monotonic()
    frames = CounterMetricFamily(
        "seqvision_frames", "Frames by outcome.", labels=["source", "outcome"]
    )
    labels = ["source", "view", "label"] if regions else ["source", "label"]
    events = CounterMetricFamily("seqvision_events", "Events reported.", labels=labels)
    state = GaugeMetricFamily(
        "seqvision_source_state", "1 for the state of a source.", labels=["source", "state"]
    )
    reconnects = CounterMetricFamily(
        "seqvision_reconnects", "Reconnect attempts.", labels=["source"]
    )
    stalled = CounterMetricFamily(
        "seqvision_stalled_seconds", "Seconds without frames.", labels=["source"]
    )
    nonfinite = CounterMetricFamily(
        "seqvision_nonfinite_predictions",
        "Predictions discarded because they were not finite.",
        labels=["source"],
    )
    for name, seen in sources.items():
        frames.add_metric([name, "used"], seen.used)
        frames.add_metric([name, "dropped"], seen.dropped)
        frames.add_metric([name, "corrupt"], seen.source.damaged)
        # A copy: the run continues while the metrics are collected.
        for (view, label), count in list(seen.events.items()):
            events.add_metric([name, view, label] if regions else [name, label], count)
        for each in STATES:
            state.add_metric([name, each], float(seen.state.state == each))
        reconnects.add_metric([name], seen.reconnects)
        stalled.add_metric([name], seen.stalled(now))
        nonfinite.add_metric([name], seen.nonfinite)
    yield from (frames, events, state, reconnects, stalled, nonfinite)


def _sink_metrics(queues: Sequence[Queued[Any]]) -> Iterator[Metric]:
    sent = CounterMetricFamily("seqvision_sink_sent", "Records sent.", labels=["sink"])
    dropped = CounterMetricFamily(
        "seqvision_sink_dropped", "Records lost because the output was too slow.", labels=["sink"]
    )
    failed = CounterMetricFamily(
        "seqvision_sink_failed", "Records lost because the output failed.", labels=["sink"]
    )
    waiting = GaugeMetricFamily(
        "seqvision_sink_queue", "Records waiting to be sent.", labels=["sink"]
    )
    for queue in queues:
        counts = queue.counts
        sent.add_metric([queue.name], counts.sent)
        dropped.add_metric([queue.name], counts.dropped)
        failed.add_metric([queue.name], counts.failed)
        waiting.add_metric([queue.name], counts.waiting)
    yield from (sent, dropped, failed, waiting)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 2 * MOST_REQUESTS

    def __init__(self, metrics: PrometheusSink, host: str, port: int) -> None:
        self.metrics = metrics
        self.is_private = ip_address(host).is_loopback
        self.address_family = AF_INET6 if ":" in host else AF_INET
        self._open: dict[socket, None] = {}
        self._changing = Lock()
        super().__init__((host, port), _Handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Handle a request within its time limit; end the oldest one if too many are open."""
        with self._changing:
            oldest = next(iter(self._open)) if len(self._open) >= MOST_REQUESTS else None
            if oldest is not None:
                del self._open[oldest]
            self._open[request] = None
        shut_down(oldest)
        try:
            with time_limit(_REQUEST_SECONDS, lambda: request):
                super().process_request_thread(request, client_address)
        finally:
            with self._changing:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing when a client disconnects early."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_SECONDS

    def do_GET(self) -> None:
        metrics = self.server.metrics
        if self.server.is_private and not _names_loopback(self.headers.get("Host", "")):
            # A web page that reaches this machine by a host name of its own (DNS rebinding).
            self._answer(403, b"Host header not allowed; use the IP address\n", "text/plain")
        elif self.path.partition("?")[0] == "/metrics":
            self._answer(200, *metrics.text(self.headers.get("Accept", "")))
        elif self.path == "/healthz":
            healthy, sources = metrics.health()
            body = json.dumps({"status": "ok" if healthy else "no source is live", **sources})
            self._answer(200 if healthy else 503, f"{body}\n".encode(), "application/json")
        else:
            self._answer(404, b"/metrics or /healthz\n", "text/plain")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the terminal is for events."""


def _names_loopback(host: str) -> bool:
    """Return whether a Host header names this machine by its loopback address or `localhost`."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
