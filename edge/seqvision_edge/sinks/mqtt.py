"""Publish events and states to an MQTT broker, also one that is not always reachable.

PREFIX/status          online or offline, retained; offline is the last will, if we vanish
PREFIX/SOURCE/event    each event, as JSON; of a region: PREFIX/SOURCE/REGION/event
PREFIX/SOURCE/state    the state of the source, as JSON, retained
"""

import json
import socket
import ssl
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Record, Step, message
from seqvision_edge.http_client import shut_down
from seqvision_edge.sanitize import deduplicate, topic_part
from seqvision_edge.sinks.webhook import reason, web_address
from seqvision_edge.tls import trusting

_PREFIX = "seqvision"
# A broker that is silent for twice as long counts as lost.
_KEEPALIVE_SECONDS = 5
_CONNECT_SECONDS = 3.0
_FIRST_WAIT, _LONGEST_WAIT = 1, 30
_GOODBYE_SECONDS = 0.3
_AT_LEAST_ONCE = 1
# Time limit for the broker to accept a client, and to confirm a message before reconnecting.  A
# message that stays unconfirmed over so many connections is given up, so that it does not block the
# others.  Connections lost to an outage do not count.
WELCOME_SECONDS, CONFIRM_SECONDS, TRIES = 10.0, 15.0, 8
# We subscribe to nothing, so a broker only sends confirmations: some bytes a message.
_MOST_BYTES, _BYTES_PER_SECOND, _PART = 1 << 16, 1 << 14, 4096
# Of messages that the client sends again.
_MOST_UNCONFIRMED = 100

MqttMessage = tuple[str, Record, bool]
"""A topic below the prefix, the payload, and whether the broker retains it."""


class _Client(Client):
    """A client that limits what it reads from a broker to the size of confirmations."""

    def __init__(self) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, f"seqvision-{uuid.uuid4().hex[:12]}")
        self.opened_at = monotonic()
        self.received = 0

    def _sock_recv(self, bufsize: int) -> bytes:
        # The library reads packets of up to 256 MB into memory, and has no limit of its own.
        data: bytes = super()._sock_recv(min(bufsize, _PART))
        self.received += len(data)
        if self.received > _MOST_BYTES + _BYTES_PER_SECOND * (monotonic() - self.opened_at):
            raise ConnectionAbortedError("the broker sends more than confirmations")
        return data


class Mqtt:
    """An outlet that publishes at least once; unconfirmed messages are sent again.

    One message is in flight at a time; the others wait in the bounded queue.
    """

    def __init__(
        self,
        url: str,
        sources: Sequence[str],
        views: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """Publish to `mqtt://[user:password@]host[:port][/prefix]`; `mqtts` uses TLS.

        `views` are the names of the regions of each source that has some.

        Raises:
            SinkError: not such a URL, or its prefix is not a valid start of a topic.
        """
        address = web_address("--mqtt", url, {"mqtt": 1883, "mqtts": 8883})
        self.name = f"--mqtt {address.shown}"
        self.trouble = ""
        self._address = address
        prefix = unquote(address.target.strip("/")) or _PREFIX
        if prefix != "/".join(map(topic_part, prefix.split("/"))) or "?" in prefix or "#" in url:
            raise SinkError(f"{self.name}: a prefix has no empty level and none of + # $ ?")
        self._prefix = prefix
        parts = deduplicate(map(topic_part, sources))
        self._topics = dict(zip(sources, parts, strict=True))
        self._views = {
            (source, view): part
            for source, names in views.items()
            for view, part in zip(names, deduplicate(map(topic_part, names)), strict=True)
        }
        self._left = threading.Event()
        self._news = threading.Condition()
        self._connected = False
        self._connections = 0
        self._confirmed: set[int] = set()
        self._kept: dict[str, str] = {}
        # What was published again after a reconnect, with its message id.
        self._republished: dict[str, tuple[str, int]] = {}
        self._republish_confirmed: set[int] = set()

    def open(self) -> None:
        """Start to connect; the broker may be reachable only later."""
        client = _Client()
        client.on_socket_open = self._on_socket_open
        client.max_queued_messages_set(_MOST_UNCONFIRMED)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        if self._address.user is not None:
            client.username_pw_set(self._address.user, self._address.password)
        if self._address.scheme == "mqtts":
            client.tls_set_context(trusting())
        client.will_set(f"{self._prefix}/status", "offline", _AT_LEAST_ONCE, retain=True)
        client.reconnect_delay_set(_FIRST_WAIT, _LONGEST_WAIT)
        client.connect_timeout = _CONNECT_SECONDS
        client.connect_async(self._address.host, self._address.port, _KEEPALIVE_SECONDS)
        self._client = client
        threading.Thread(target=self._run, name=f"connected to {self.name}", daemon=True).start()

    def pick(self, step: Step) -> Iterator[MqttMessage]:
        """Return the new states of the step's source, and its events to act on now."""
        topic = self._topics[step.source]
        for state in step.changed[-1:]:
            yield f"{topic}/state", message(step.source, state), True
        for event in step.fired:
            view = f"/{self._views[step.source, event.view]}" if event.view else ""
            yield f"{topic}{view}/event", message(step.source, event), False

    def send(self, message: MqttMessage) -> None:
        """Publish and wait for the confirmation.  Raises SinkError when the run is over."""
        topic, record, kept = message
        payload = json.dumps(record)
        self._wait(lambda: self._connected)
        self._confirmed.clear()
        sent = self._publish(topic, payload, kept)
        # The client resends it after a lost connection; publishing again would duplicate it.
        tries = 0
        while tries < TRIES:
            self._wait(lambda: self._connected or sent.mid in self._confirmed)
            before = self._connections
            if self._wait(lambda: sent.mid in self._confirmed, CONFIRM_SECONDS):
                break
            # Only a broker that has been connected all the time could have confirmed.
            if self._connected or self._connections > before:
                tries += 1
                self.trouble = "the broker confirms nothing"
                self._hang_up()
        else:
            raise SinkError(self.trouble)
        if kept:
            self._kept[topic] = payload

    def stop(self) -> None:
        """End the waiting."""
        self._left.set()
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """Publish offline, as the last will would, and disconnect."""
        if self._connected:
            sent = self._publish("status", "offline", kept=True)
            with self._news:
                self._news.wait_for(lambda: sent.mid in self._confirmed, _GOODBYE_SECONDS)
        self._client.disconnect()

    def _run(self) -> None:
        """Stay connected until the end, whatever the broker sends."""
        while True:
            try:
                self._client.loop_forever(retry_first_connection=True)
                return
            except Exception as error:
                # The library raises various exceptions on a malformed packet.
                self._set_state(False, f"the broker breaks the protocol ({type(error).__name__})")
                self._hang_up()
                if self._left.wait(_FIRST_WAIT):
                    return

    def _hang_up(self) -> None:
        line = self._client.socket()
        if isinstance(line, socket.socket):
            shut_down(line)

    def _on_socket_open(self, client: Client, _data: Any, line: Any) -> None:
        self._client.opened_at, self._client.received = monotonic(), 0

        def check() -> None:
            if not self._connected and client.socket() is line:
                self._set_state(False, "the broker does not answer")
                self._hang_up()

        welcome = threading.Timer(WELCOME_SECONDS, check)
        welcome.daemon = True
        welcome.start()

    def _publish(self, topic: str, payload: str, kept: bool) -> MQTTMessageInfo:
        return self._client.publish(f"{self._prefix}/{topic}", payload, _AT_LEAST_ONCE, kept)

    def _wait(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until the condition holds; return False if it does not in time.

        Raises:
            SinkError: the run is over.
        """
        with self._news:
            self._news.wait_for(lambda: condition() or self._left.is_set(), seconds)
            if not condition() and self._left.is_set():
                raise SinkError(self.trouble or "the broker did not confirm it")
            return condition()

    def _set_state(self, connected: bool, trouble: str) -> None:
        with self._news:
            self._connected, self.trouble = connected, trouble
            self._news.notify_all()

    def _on_connect(self, client: Client, _data: Any, _flags: Any, code: Any, *_: Any) -> None:
        if code.is_failure:
            self._set_state(False, f"the broker reports: {code}")
            return
        # A restarted broker may have lost the retained messages.
        for topic, payload in [("status", "online"), *self._kept.items()]:
            # What it did not confirm is sent again by the client.
            before = self._republished.get(topic)
            if before is None or before[0] != payload or before[1] in self._republish_confirmed:
                self._republished[topic] = payload, self._publish(topic, payload, kept=True).mid
        self._republish_confirmed.clear()
        self._connections += 1
        self._set_state(True, "")

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        # Called from the handler of the error.
        error = sys.exc_info()[1]
        is_tls = isinstance(error, ssl.SSLError)
        self._set_state(False, reason(error) if is_tls and error else "no broker answers")

    def _on_disconnect(self, *_: Any) -> None:
        self._set_state(False, self.trouble or "the broker is lost")

    def _on_publish(self, _client: Client, _data: Any, mid: int, *_: Any) -> None:
        with self._news:
            self._confirmed.add(mid)
            if any(mid == number for _, number in self._republished.values()):
                self._republish_confirmed.add(mid)
            self._news.notify_all()
