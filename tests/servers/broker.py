"""A real mosquitto of a test's own, and somebody who hears everything that it is told."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
USER, WATCHER, PASSWORD = "edge", "watcher", "s3/cr@t"


def missing() -> str | None:
    """Return what this machine lacks to run the broker; None when nothing."""
    return None if MOSQUITTO else "mosquitto is missing: tests/install.sh"


class Broker:
    """A mosquitto that takes one user; it can be killed, stopped and started again."""

    def __init__(self, folder: Path, tls: str = "") -> None:
        """Start in a folder; `tls` are lines of its settings that name a certificate."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        words = folder / "passwords"
        words.touch(mode=0o600)
        self.let_in(USER)
        self.let_in(WATCHER)
        user = "user root\n" if folder.owner() == "root" else ""
        (folder / "conf").write_text(
            f"listener {self.port} 127.0.0.1\npassword_file {words}\n{user}{tls}"
        )
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://{USER}:s3%2Fcr%40t@127.0.0.1:{self.port}/home/gestures"

    def let_in(self, user: str) -> None:
        self._passwords("-b", user, PASSWORD)

    def shut_out(self, user: str) -> None:
        self._passwords("-D", user)

    def _passwords(self, how: str, *arguments: str) -> None:
        command = ["mosquitto_passwd", how, str(self._folder / "passwords"), *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        assert MOSQUITTO is not None
        with (self._folder / "log").open("ab") as log:
            command = [MOSQUITTO, "-c", str(self._folder / "conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        _wait_for(self.answers)

    def answers(self) -> bool:
        with socket.socket() as line:
            return line.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)


class Listener:
    """What somebody who subscribed to everything gets; it connects again by itself."""

    def __init__(self, broker: Broker) -> None:
        self.got: list[tuple[str, str, bool]] = []
        self._ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.username_pw_set(WATCHER, PASSWORD)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = lambda _client, _data, message: self.got.append(
            (message.topic, message.payload.decode(), message.retain)
        )
        self.client.connect("127.0.0.1", broker.port)
        self.client.loop_start()
        assert self._ready.wait(20)

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def of(self, topic: str) -> list[str]:
        return [payload for name, payload, _ in self.got if name == topic]

    def events(self, topic: str = "home/gestures/camera 0/event") -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in self.of(topic)]


def _wait_for(done: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "the broker does not answer"
        time.sleep(0.02)
