"""JSON lines: complete, in order, readable while the run continues, also on a full disk."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from colour_model import LABELS
from steps import END, EVENT, SMOOTHED, changed, make_step, wait_for

from seqvision_edge.errors import SinkError
from seqvision_edge.frame import Step
from seqvision_edge.sinks import jsonl
from seqvision_edge.sinks.jsonl import JsonLines
from seqvision_edge.sinks.outlet import Queued
from seqvision_edge.types import SourceState


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def json_lines(path: Path, **about: Any) -> Queued[Any]:
    return Queued(JsonLines(path, about), 9999, waits=True)


def put(outlet: JsonLines, step: Step) -> None:
    for record in outlet.pick(step):
        outlet.send(record)


def test_json_lines_are_the_run_then_predictions_events_states(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with json_lines(path, model="m.onnx", labels=list(LABELS)) as sink:
        sink.write(make_step(0))
        sink.write(make_step(1, answered=False))
        sink.write(make_step(2, events=(EVENT,)))
        sink.write(changed(SourceState("stalled", "timeout", "no frames for 3 s", 7.12345, 1)))
        sink.write(END)
    assert [line["type"] for line in lines(path)] == [
        "run",
        "prediction",
        "prediction",
        "event",
        "source",
    ]
    assert lines(path)[0] == {"type": "run", "model": "m.onnx", "labels": list(LABELS)}
    assert lines(path)[1] == {
        "type": "prediction",
        "source": "camera 0",
        "time": 0.0,
        "frame": 0,
        "label": "red",
        "probability": 0.75,
        "probabilities": SMOOTHED,
        "window_full": True,
        "latency_ms": 1.5,
    }
    assert lines(path)[3] == {
        "type": "event",
        "source": "camera 0",
        "label": "red",
        "start": 1.0,
        "end": 2.25,
        "peak": 1.5,
        "confidence": 0.93,
        "reported_at": 2.3,
    }
    assert lines(path)[4] == {
        "type": "source",
        "source": "camera 0",
        "state": "stalled",
        "reason": "timeout",
        "message": "no frames for 3 s",
        "since": 7.123,
        "attempt": 1,
    }


def test_json_lines_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    with json_lines(path) as sink:
        for index in range(5):
            sink.write(make_step(index))
            wait_for(lambda count=index + 2: len(lines(path)) == count)


def test_a_second_run_is_appended_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    for _ in range(2):
        with json_lines(path) as sink:
            sink.write(make_step())
    assert [line["type"] for line in lines(path)] == ["run", "prediction", "run", "prediction"]


def test_a_json_file_in_no_folder_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"--json .*cannot be written"):
        json_lines(tmp_path / "none" / "run.jsonl").__enter__()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_a_disk_that_is_full_at_the_start_is_one_line() -> None:
    with pytest.raises(SinkError, match="No space left"):
        json_lines(Path("/dev/full")).__enter__()


@pytest.mark.parametrize(
    "torn", ['{"type": "prediction", "la', "\0\0\0\0\0", '{"a": "' + "x" * 200000]
)
def test_an_incomplete_last_line_is_cut_by_the_next_run(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"type": "run"}\n{"type": "prediction"}\n' + torn)
    with json_lines(path) as sink:
        sink.write(make_step())
    assert [line["type"] for line in lines(path)] == ["run", "prediction", "run", "prediction"]


@pytest.mark.parametrize("last", ['{"type": "whole"}', "a text of somebody else's", "[1, 2]"])
def test_a_complete_last_line_without_line_break_is_kept(tmp_path: Path, last: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(last)
    with json_lines(path):
        pass
    assert path.read_text().splitlines() == [last, '{"type": "run"}']


def test_a_full_disk_loses_whole_lines_then_continues(
    small_disk: Path,
) -> None:
    path = small_disk / "run.jsonl"
    filler = small_disk / "filler"
    outlet = JsonLines(path, {})
    outlet.open()
    filler.write_bytes(b"x" * 45_000)
    good = lost = 0
    while lost < 10:
        try:
            put(outlet, make_step(good + lost))
        except SinkError:
            lost += 1
        else:
            good += 1
        # Nothing of a line that had no room stays.
        assert path.read_bytes().endswith(b"\n")
    assert good > 10
    filler.unlink()
    put(outlet, make_step(999))
    outlet.close()
    kinds = [line["type"] for line in lines(path)]
    assert (kinds[0], kinds.count("prediction")) == ("run", good + 1)
    # A line that tells of losses may still have room where an answer has none.
    assert sum(line["lines"] for line in lines(path) if line["type"] == "lost") == 10
    assert kinds[-2:] == ["lost", "prediction"]
    assert lines(path)[-1]["frame"] == 999


def test_a_pipe_can_take_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE, text=True)
    with json_lines(path) as sink:
        sink.write(make_step())
    out, _ = reader.communicate(timeout=120)
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["run", "prediction"]


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX's")
def test_a_pipe_without_a_reader_is_one_error_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "READER_SECONDS", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SinkError, match=r"a pipe that nothing reads; start its reader first"):
        json_lines(pipe).__enter__()
