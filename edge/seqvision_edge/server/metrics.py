"""Prometheus counters of the server, for `GET /metrics`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH", "WEBSOCKET"})
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class ServerMetrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "seqvision_requests",
            "Requests by status code",
            ["route", "method", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "seqvision_request_seconds", "Duration of a request", ["route"], registry=self._registry
        )
        self._calls = Histogram(
            "seqvision_batch_size",
            "Streams and clips per model call",
            buckets=_SIZES,
            registry=self._registry,
        )
        self._frames = Counter(
            "seqvision_frames",
            "Frames of streams by outcome: used, dropped, corrupt",
            ["outcome"],
            registry=self._registry,
        )

    def request(self, route: str, method: str, code: int, seconds: float) -> None:
        """Count a request; `route` is the pattern of its path, never the client's own text."""
        method = method if method in _METHODS else "other"
        self._requests.labels(route, method, str(code)).inc()
        self._seconds.labels(route).observe(seconds)

    def call(self, size: int) -> None:
        """Count a call of the model."""
        self._calls.observe(size)

    def frames(self, outcome: str, count: int = 1) -> None:
        """Count frames of streams."""
        self._frames.labels(outcome).inc(count)

    def gauge(self, name: str, about: str, value: Callable[[], float]) -> None:
        """Register a gauge whose value is computed on each scrape."""
        Gauge(name, about, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)
