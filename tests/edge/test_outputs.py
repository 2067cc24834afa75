"""All outputs at once, as `edge-run` creates them from its options."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from colour_model import write_video
from pace import quiet_seconds
from preloaded import EdgeCommand
from test_cli import EDGE_RUN, edge_run, refusal
from test_sinks_webhook import Hook

from seqvision_edge import cli


def test_a_run_writes_to_all_outputs(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hook = Hook(0)
    server = hook.serve()
    monkeypatch.setenv("HOOK", hook.url)
    write = "import os, sys; open(sys.argv[1], 'a').write(os.environ['SEQVISION_LABEL'] + ' ')"
    command = shlex.join([sys.executable, "-c", write, str(tmp_path / "told")])
    outputs = (
        *("--json", tmp_path / "run.jsonl", "--save", tmp_path / "seen.mp4"),
        *("--clips", tmp_path / "clips", "--clip-before", "0.3", "--clip-after", "0.2"),
        *("--webhook", "env:HOOK", "--webhook-states", "--metrics", "127.0.0.1:0"),
        *("--on-event", f"red={command}", "--on-event", "blue=true"),
    )
    code, out, err = edge_run(capsys, "--model", model, "--source", video, *outputs)
    server.shutdown()
    server.server_close()
    assert (code, err[-1]) == (0, "100 frames · 50 answers · " + err[-1].split(" · ", 2)[-1])
    assert [line.split("\t")[2] for line in out.splitlines()] == ["red", "blue"]
    posted = [body.get("label", body.get("state")) for _, _, body in hook.posts]
    assert posted == ["warming_up", "live", "red", "blue", "ended"]
    assert (tmp_path / "told").read_text() == "red "
    rows = (tmp_path / "clips" / "clips.csv").read_text().splitlines()
    assert [row.rpartition(",")[2] for row in rows] == ["label", "red", "blue"]
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    (source,) = lines[0]["sources"]
    assert (source["live"], source["fps"]) == (False, 20.0)
    assert source["name"].endswith("colours.mp4")
    assert {line["source"] for line in lines[1:]} == {source["name"]}
    assert (tmp_path / "seen.mp4").stat().st_size > 1000


@pytest.mark.parametrize(
    ("option", "output"),
    [
        (["--webhook", "ftp://x"], "--webhook: not a URL"),
        (["--webhook", "env:NOT_SET"], "environment variable NOT_SET is not set"),
        (["--mqtt", "mqtt://host/a+"], "--mqtt mqtt://host: a prefix"),
        (["--metrics", "nonsense"], "--metrics nonsense: give ADDRESS:PORT"),
        (["--metrics", "192.0.2.1:9100"], "--metrics 192.0.2.1:9100: cannot be opened"),
        (["--on-event", "purple=true"], "the labels are"),
        (["--clips", "none/x"], "--clips none/x: cannot be written"),
        (["--clip-before", "-1"], "--clip-before -1"),
    ],
)
def test_an_invalid_output_is_reported_before_the_run(
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    output: str,
) -> None:
    code, out, err = edge_run(capsys, "--model", model, "--source", video, *option)
    assert (code, out) == (2, "")
    assert output in err[-1]
    assert not any("frames" in line and "fps" not in line for line in err[:-1])


def test_clips_are_never_put_among_the_pictures_that_are_read(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    line = refusal(capsys, "--model", model, "--source", folder, "--clips", folder)
    assert "that is an input file" in line


@pytest.mark.timed
def test_a_dead_webhook_and_broker_do_not_delay_a_run(
    tmp_path: Path, model: Path, no_display: None
) -> None:
    long = write_video(tmp_path / "long.mp4", [("none", 1.0), ("red", 1.0)] * 100)
    command = [sys.executable, "-c", EDGE_RUN, "--model", str(model), "--source", str(long)]
    outputs = ["--webhook", "http://me:s3cret@127.0.0.1:9/x", "--mqtt", "mqtt://127.0.0.1:9"]
    log = tmp_path / "run.jsonl"
    process = EdgeCommand(
        [*command, *outputs, "--json", str(log)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count('"event"') > 5):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert quiet_seconds(began) < 2.5
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "s3cret" not in err + out + log.read_text()
    events = out.count("\n")
    assert f"edge-run: --webhook http://127.0.0.1:9: 0 sent, {events} lost" in err
    assert "edge-run: --mqtt mqtt://127.0.0.1:9: 0 sent," in err


def test_json_lines_that_were_lost_make_the_run_a_partial_one(
    small_disk: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (small_disk / "filler").write_bytes(b"x" * 60_000)
    where = small_disk / "run.jsonl"
    code, out, err = edge_run(capsys, "--model", model, "--source", video, "--json", where)
    assert code == cli.PARTIAL
    assert len(out.splitlines()) == 2
    assert "lost (No space left on device)" in err[-1]
    lines: list[dict[str, Any]] = list(map(json.loads, where.read_text().splitlines()))
    assert lines[0]["type"] == "run"
