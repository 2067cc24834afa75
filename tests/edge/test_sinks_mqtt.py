"""Events and states through a real mosquitto: with a password, killed, stopped, restarted."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pace import quiet_seconds
from served import has_ipv6
from servers.broker import USER, Broker, Listener, missing
from servers.hostile import HostileServer, relays
from steps import EVENT, SOURCE, changed, events, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.sinks.mqtt import Mqtt
from seqvision_edge.sinks.outlet import CLOSE_SECONDS, Queued
from seqvision_edge.types import Event, SourceState

pytestmark = [pytest.mark.skipif(missing() is not None, reason=missing() or "")]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    yield broker
    broker.signal(signal.SIGCONT)
    broker.kill()


def publishing(url: str, *sources: str) -> Queued[Any]:
    return Queued(Mqtt(url, sources or (SOURCE,)), 1000)


def test_events_and_states_are_published_and_states_are_kept(broker: Broker) -> None:
    with Listener(broker) as listener, publishing(broker.url) as sink:
        sink.write(changed(SourceState("live", since=1.0)))
        sink.write(make_step(events=(EVENT,)))
        wait_for(listener.events)
        wait_for(lambda: sink.counts.sent == 2)
        assert listener.of("home/gestures/status") == ["online"]
        (event,) = listener.events()
        assert {**EVENT.to_json(), "source": "camera 0"}.items() <= event.items()
        with Listener(broker) as late:
            wait_for(lambda: len(late.got) == 2)
            assert all(kept for _, _, kept in late.got)
            state = json.loads(late.of("home/gestures/camera 0/state")[0])
            assert state["state"] == "live"
    with Listener(broker) as later:
        wait_for(lambda: later.of("home/gestures/status") == ["offline"])


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_broker_under_an_address_of_ipv6_gets_the_events(broker: Broker) -> None:
    with (
        Listener(broker) as listener,
        HostileServer(relays(broker.port), host="::1") as relay,
        publishing(broker.url.replace(f"127.0.0.1:{broker.port}", f"[::1]:{relay.port}")) as sink,
    ):
        sink.write(make_step(events=(EVENT,)))
        wait_for(listener.events)


@pytest.mark.parametrize(
    "label", ["*", "#", "+", "/", "$SYS/x", "a/#", "\x1b[2J", "<img src=x>", "../x", "é 左"]
)
def test_any_label_is_data_and_never_a_topic(broker: Broker, label: str) -> None:
    with Listener(broker) as listener, publishing(broker.url) as sink:
        sink.write(make_step(events=(Event(label, 0, 1, 0.5, 0.9, 1),)))
        wait_for(lambda: sink.counts.sent == 1)
        wait_for(listener.events)
    assert listener.events()[0]["label"] == label


def test_sources_of_any_name_have_a_topic_of_their_own(broker: Broker) -> None:
    names = "rtsp://cam/1", "a/#", "a__", "$SYS+", "*", "#", "+", "/"
    with Listener(broker) as listener, publishing(broker.url, *names) as sink:
        for name in names:
            sink.write(make_step(source=name, events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == len(names))
        wait_for(lambda: len(listener.got) == 1 + len(names))
    topics = [topic for topic, _, _ in listener.got if topic.endswith("/event")]
    parts = ["rtsp:__cam_1", "a__", "a__-2", "_SYS_", "*", "_", "_-2", "_-3"]
    assert topics == [f"home/gestures/{part}/event" for part in parts]
    reported = [payload for topic, payload, _ in listener.got if topic.endswith("/event")]
    assert [json.loads(payload)["source"] for payload in reported] == list(names)


@pytest.mark.timed
def test_thirty_events_while_the_broker_is_killed_all_arrive_once(broker: Broker) -> None:
    with publishing(broker.url) as sink:
        sink.write(changed(SourceState("live")))
        wait_for(lambda: sink.counts.sent == 1)
        broker.kill()
        wait_for(lambda: sink.trouble)
        began = time.monotonic()
        for step in events(30):
            sink.write(step)
        assert quiet_seconds(began) < 1
        # Somebody must listen before the events come: until then the broker refuses their sender.
        broker.shut_out(USER)
        broker.start()
        with Listener(broker) as listener:
            broker.let_in(USER)
            broker.signal(signal.SIGHUP)
            wait_for(lambda: len(listener.events()) >= 30)
            wait_for(lambda: sink.counts.sent == 31)
            # A broker that was started anew has forgotten it.
            wait_for(lambda: listener.of("home/gestures/camera 0/state"))
    assert [event["start"] for event in listener.events()] == list(range(30))
    assert sink.counts.lost == 0


def test_a_broker_that_is_down_at_the_start_comes_later(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    broker.kill()
    try:
        with publishing(broker.url) as sink:
            sink.write(make_step(events=(EVENT,)))
            wait_for(lambda: sink.trouble == "no broker answers")
            broker.start()
            wait_for(lambda: sink.counts.sent == 1)
    finally:
        broker.kill()
    assert sink.counts.lost == 0


@pytest.mark.timed
def test_a_broker_that_stands_still_is_waited_for_and_loses_nothing(broker: Broker) -> None:
    with Listener(broker) as listener, publishing(broker.url) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.counts.sent == 1)
        broker.signal(signal.SIGSTOP)
        began = time.monotonic()
        for step in events(30):
            sink.write(step)
        assert quiet_seconds(began) < 1
        assert sink.counts.waiting == 30
        broker.signal(signal.SIGCONT)
        wait_for(lambda: sink.counts.sent == 31)
        wait_for(lambda: len(listener.events()) == 31)
    starts = [event["start"] for event in listener.events()]
    assert starts == [1.0, *map(float, range(30))]


@pytest.mark.timed
def test_a_broker_that_stands_still_does_not_hold_up_the_end(broker: Broker) -> None:
    sink = publishing(broker.url).__enter__()
    sink.write(make_step(events=(EVENT,)))
    wait_for(lambda: sink.counts.sent == 1)
    broker.signal(signal.SIGSTOP)
    for step in events(3):
        sink.write(step)
    began = time.monotonic()
    sink.__exit__(None, None, None)
    assert quiet_seconds(began) < CLOSE_SECONDS + 0.5
    assert sink.counts.lost == 3


def test_the_broker_publishes_offline_after_a_kill(broker: Broker, run_python: Any) -> None:
    code = """
import os, sys, time
sys.path[:0] = [sys.argv[1]]
from steps import EVENT, make_step
from seqvision_edge.sinks.mqtt import Mqtt
from seqvision_edge.sinks.outlet import Queued
sink = Queued(Mqtt(sys.argv[2], ["camera 0"]), 9).__enter__()
sink.write(make_step(events=(EVENT,)))
until = time.monotonic() + 120
while not sink.counts.sent and time.monotonic() < until:
    time.sleep(0.01)
os._exit(9)
"""
    with Listener(broker) as listener:
        assert run_python(code, Path(__file__).parent, broker.url).returncode == 9
        wait_for(lambda: listener.of("home/gestures/status") == ["online", "offline"])


def test_a_wrong_password_is_reported_and_the_run_continues(broker: Broker) -> None:
    with publishing(broker.url.replace("s3%2F", "wrong")) as sink:
        sink.write(make_step(events=(EVENT,)))
        wait_for(lambda: sink.trouble == "the broker reports: Not authorized")
        name = sink.name
    assert sink.counts.lost == 1
    assert name == f"--mqtt mqtt://127.0.0.1:{broker.port}"


@pytest.mark.parametrize(
    ("url", "output"),
    [
        ("http://host", "not a URL"),
        ("mqtt://", "not a URL"),
        ("mqtt://me:s3cret@host:x/", "not a URL"),
        ("mqtt://me:s3cret@host/a/+/b", "a prefix has no"),
        ("mqtt://host/a#b", "a prefix has no"),
        ("mqtt://host/$SYS", "a prefix has no"),
        ("mqtt://host/a//b", "a prefix has no"),
    ],
)
def test_an_invalid_url_is_one_error_line_without_secrets(url: str, output: str) -> None:
    with pytest.raises(SinkError, match=output) as refused:
        Mqtt(url, [SOURCE])
    assert "s3cret" not in str(refused.value)
