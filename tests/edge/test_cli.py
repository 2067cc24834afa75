"""`edge-run` as a user runs it: in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from colour_model import LAG, card_data, make_card, model_bytes, picture, write_video
from pace import quiet_seconds
from preloaded import EdgeCommand, run_edge

from seqvision_edge import __version__, cli
from seqvision_edge.cli import RunOptions
from seqvision_edge.command_line import parse
from seqvision_edge.csv_cells import dict_reader
from seqvision_edge.decision_options import decision_of
from seqvision_edge.opencv import cv2
from seqvision_edge.sources import v4l2

EDGE_RUN = "import sys; from seqvision_edge.entry_points import edge_run; sys.exit(edge_run())"
WITHOUT_TRAINING = f"""
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "seqvision", "seqvision_export", "onnx"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
{EDGE_RUN}
"""


def edge_run(
    capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str, list[str]]:
    """Run in this process; return the exit code, stdout and the lines of stderr."""
    code = cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err.splitlines()


def forked(code: str, *arguments: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, forked from one that has what it imports."""
    return run_edge([sys.executable, "-c", code, *arguments], text=True, cwd=cwd)


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line of a user's mistake."""
    code, out, err = edge_run(capsys, *arguments)
    assert (code, out, len(err)) == (2, "", 1)
    return err[0]


def test_a_device_without_torch_runs_a_video_end_to_end(
    tmp_path: Path, model: Path, video: Path, no_display: None, run_python: Callable[..., Any]
) -> None:
    truth = tmp_path / "truth.json"
    true = [{"label": "red", "start": 1, "end": 2.2}, {"label": "blue", "start": 3.2, "end": 4.2}]
    truth.write_text(json.dumps({"events": true}))
    arguments = ["--source", video, "--json", "run.jsonl", "--save", "out.mp4", "--truth", truth]
    done = run_python(WITHOUT_TRAINING, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    events = [line.split("\t") for line in done.stdout.splitlines()]
    assert [event[2] for event in events] == ["red", "blue"]
    assert "100 frames · 50 answers" in done.stderr
    assert "truth: F1 1.000" in done.stderr
    assert "order 1.000, 0 false per hour, 0 false while nothing happened" in done.stderr

    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    kinds = [line["type"] for line in lines]
    assert (kinds[0], kinds.count("prediction"), kinds.count("event")) == ("run", 50, 2)
    assert lines[0]["labels"] == ["red", "green", "blue", "none"]
    saved = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert saved.get(cv2.CAP_PROP_FRAME_COUNT) == 100
    assert saved.get(cv2.CAP_PROP_FPS) == 20


def test_the_module_is_the_command(model: Path) -> None:
    command = [sys.executable, "-m", "seqvision_edge", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"edge-run {__version__}\n"


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
@pytest.mark.parametrize(
    ("program", "imported"),
    [
        ("seqvision_edge", "pydantic"),
        ("seqvision_edge.server", "pydantic"),
        ("seqvision", "pydantic"),
    ],
)
def test_ctrl_c_while_a_program_imports_is_silent(program: str, imported: str) -> None:
    if program == "seqvision":
        pytest.importorskip("seqvision")
    code = (
        "import os, runpy, signal, sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {imported!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"runpy.run_module({program!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_help_needs_neither_opencv_nor_onnxruntime(run_python: Callable[..., Any]) -> None:
    blocked = "import sys; sys.modules.update(cv2=None, onnxruntime=None);" + EDGE_RUN
    done = run_python(blocked, "--help")
    assert done.returncode == 0, done.stderr
    assert "--source" in done.stdout
    assert "Exit codes: 0 done, 1 the model failed or hung, 2 wrong use" in done.stdout


def test_a_missing_source_lists_the_source_options(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys)
    for way in ("--camera 0", "--source clip.mp4", "--sources cameras.yaml"):
        assert way in line


def test_several_sources_are_read_in_one_run_under_names_of_their_own(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.yaml").write_text(f"kitchen: {video.name}\n")
    given = ["--source", video.name, "--sources", "list.yaml", "--source", video.name]
    code, out, err = edge_run(capsys, "--model", model, *given)
    assert code == 0
    assert f"on {video.name}, {video.name}-2, kitchen · " in err[0]
    assert sorted(line.split("\t")[2] for line in out.splitlines()) == ["blue"] * 3 + ["red"] * 3
    assert "300 frames · 150 answers" in err[-1]


def test_an_unreadable_source_among_several_is_one_error_line(
    model: Path, video: Path, no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--source", video, "--source", "none.mp4"]
    assert refusal(capsys, "--model", model, *given) == "none.mp4: no such file or folder"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its cameras")
def test_the_cameras_of_the_machine_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = edge_run(capsys, "--list-cameras")
    assert (code, out, err) == (0, "", ["edge-run: no camera found"]) or out.startswith(
        "/dev/video"
    )
    found = [v4l2.CameraDevice("/dev/video0", "HD Webcam", "uvcvideo", "busy")]
    monkeypatch.setattr(v4l2, "describe_cameras", lambda: found)
    listed = "/dev/video0\tbusy\tHD Webcam\tuvcvideo\n"
    assert edge_run(capsys, "--list-cameras") == (0, listed, [])


def test_a_missing_model_is_reported_before_a_missing_source(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.onnx"
    assert "none.onnx" in refusal(capsys, "--model", missing, "--source", "none.mp4")
    assert "none.mp4" in refusal(capsys, "--model", model, "--source", "none.mp4")


def test_a_model_of_a_newer_version_is_one_error_line(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx = pytest.importorskip("onnx")
    future = onnx.load_from_string(model_bytes())
    future.metadata_props[0].value = json.dumps(card_data(spec=99))
    path = tmp_path / "future.onnx"
    path.write_bytes(future.SerializeToString())
    line = refusal(capsys, "--model", path, "--source", video)
    assert "spec 99" in line
    assert "git pull && pip install -U ./edge" in line


def test_a_text_file_named_as_a_video_is_one_error_line(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("shopping list\n" * 20)
    assert "notes.mp4" in refusal(capsys, "--model", model, "--source", path)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        (["--off-threshold", "0.9"], "--off-threshold 0.9 is above --on-threshold 0.6"),
        (["--early", "0.5"], "--early 0.5 is below --on-threshold 0.6"),
        (["--early", "soon"], "--early"),
        (["--smoothing", "median"], "--smoothing median: no such choice; did you mean mean?"),
        (["--min-confidence", "2"], "--min-confidence 2"),
        (["--tolerance", "-1"], "--tolerance -1"),
        (["--on-threshold", "1.5"], "--on-threshold 1.5"),
        (["--smoothing-frames", "0"], "--smoothing-frames 0"),
        (["--camera", "-1"], "--camera -1"),
        (["--truth", "none.json"], "--truth none.json"),
        (["--sorce", "x"], "did you mean --source?"),
    ],
)
def test_a_wrong_value_is_one_error_line_with_the_option(
    model: Path,
    video: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    output: str,
) -> None:
    assert output in refusal(capsys, "--model", model, "--source", video, *arguments)


@pytest.mark.parametrize("option", ["--json", "--save"])
def test_an_unwritable_output_is_reported_before_the_run_starts(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    where = tmp_path / "none" / "out.mp4"
    code, out, err = edge_run(capsys, "--model", model, "--source", video, option, where)
    assert (code, out) == (2, "")
    assert re.match(
        f"{re.escape(f'{option} {where}')}: (cannot be written|there is no folder)", err[-1]
    )
    assert not any("frames" in line for line in err[1:])


def test_decision_settings_of_the_card_can_be_replaced(
    model: Path, video: Path, no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = "--minimum-seconds", "60"
    code, out, err = edge_run(capsys, "--model", model, "--source", video, *longer)
    assert (code, out) == (0, "")
    assert "0 events" in err[-3]
    assert re.fullmatch(r"no event: \w+ reached \d+%, but not for 60 s .*", err[-1])
    surer = "--on-threshold", "1", "--smoothing-frames", "50"
    code, out, err = edge_run(capsys, "--model", model, "--source", video, *surer)
    assert (code, out) == (0, "")
    assert re.fullmatch(r"no event: the most probable was \w+ with \d+%, .* 100% .*", err[-1])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], {}),
        (
            ["--smoothing", "exponential", "--smoothing-frames", "5", "--min-confidence", "0.3"],
            {"smoothing": "exponential", "smoothing_frames": 5, "min_confidence": 0.3},
        ),
        (["--smoothing", "none", "--early", "0.9"], {"smoothing": "none", "early": 0.9}),
        (
            ["--on-threshold", "0.7", "--off-threshold", "0.2", "--cooldown-seconds", "2"],
            {"on_threshold": 0.7, "off_threshold": 0.2, "cooldown_seconds": 2.0},
        ),
    ],
)
def test_decision_settings_come_from_the_options_or_the_card(
    given: list[str], expected: dict[str, Any]
) -> None:
    card = make_card()
    options = parse(RunOptions, "edge-run", ["--camera", "0", *given])
    assert decision_of(options.decision, card, "edge-run") == card.decision.model_copy(
        update=expected
    )


def test_early_firing_of_the_card_can_be_switched_off() -> None:
    card = make_card(decision={**card_data()["decision"], "early": 0.9})
    options = parse(RunOptions, "edge-run", ["--camera", "0", "--early", "off"])
    assert decision_of(options.decision, card, "edge-run").early is None


def test_early_firing_reports_the_same_events_sooner(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reported: dict[str, list[dict[str, Any]]] = {}
    for name, early in (("late", []), ("soon", ["--early", "0.8"])):
        log = tmp_path / f"{name}.jsonl"
        code, _, _ = edge_run(capsys, "--model", model, "--source", video, "--json", log, *early)
        assert code == 0
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        reported[name] = [row for row in rows if row["type"] == "event"]
    assert [event["label"] for event in reported["soon"]] == ["red", "blue"]
    for late, soon in zip(reported["late"], reported["soon"], strict=True):
        assert soon["label"] == late["label"]
        assert soon["end"] == late["end"] == pytest.approx(late["reported_at"] - LAG)
        assert soon["reported_at"] < late["reported_at"] - 0.3


def test_truth_requires_a_single_source(
    tmp_path: Path, model: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", model, "--source", video, "--source", video, "--truth", tmp_path / "t.json"]
    assert "works with one source only" in refusal(capsys, *given)


def test_a_score_prints_delay_order_and_false_events(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = tmp_path / "truth.json"
    true = [{"label": "red", "start": 1, "end": 2.2}, {"label": "none", "start": 2.2, "end": 3.2}]
    truth.write_text(json.dumps({"events": true}))
    given = ["--model", model, "--source", video, "--truth", truth, "--tolerance", "0.1"]
    code, _, err = edge_run(capsys, *given)
    assert code == 0
    assert err[-2].endswith("(1 right, 0 missed, 1 false)")
    # One false event in a video whose last frame is at 4.95 s.
    assert err[-1].endswith("order 0.000, 727 false per hour, 1 false while nothing happened")


def test_a_folder_of_images_is_read_at_the_given_rate(
    tmp_path: Path, model: Path, no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(20):
        cv2.imwrite(str(folder / f"{index}.png"), picture("red"))
    rate = "--image-fps", "20"
    code, out, err = edge_run(capsys, "--model", model, "--source", folder, *rate)
    assert code == 0
    assert "20 frames · 10 answers" in err[1]
    assert out.split("\t")[2] == "red"


def test_a_clip_shorter_than_the_window_prints_its_prediction(
    tmp_path: Path, model: Path, no_display: None, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_video(tmp_path / "clip.mp4", [("green", 0.4)])
    code, out, err = edge_run(capsys, "--model", model, "--source", clip)
    assert code == 0
    (line,) = out.splitlines()
    assert line.split("\t")[2] == "green"
    assert err[-1].startswith("last answer: green")
    assert "shorter than the model's window: it fills 67%" in err[-1]


def test_a_damaged_file_is_run_to_its_damage_with_exit_code_3(
    tmp_path: Path,
    model: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("frames")
    folder.mkdir()
    for index in range(20):
        cv2.imwrite(str(folder / f"{index}.png"), picture("red"))
    (folder / "7.png").write_bytes(b"torn")
    code, _, err = edge_run(capsys, "--model", model, "--source", folder)
    assert code == 3
    assert err[-1] == "edge-run: frames: decoded 19 of 20 images"


@pytest.mark.timed
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_whole_files(
    tmp_path: Path, model: Path, no_display: None, number: int, code: int
) -> None:
    long = write_video(tmp_path / "long.mp4", [("none", 1.0), ("red", 200.0)])
    outputs = ["--json", str(tmp_path / "run.jsonl"), "--save", str(tmp_path / "out.mp4")]
    command = [sys.executable, "-c", EDGE_RUN, "--model", str(model), "--source", str(long)]
    process = EdgeCommand(
        [*command, *outputs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    log = tmp_path / "run.jsonl"
    while not (log.exists() and log.read_text().count("\n") > 20):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert quiet_seconds(began) < 2
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert out.split("\t")[2] == "red"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[-1]["type"] == "event"
    saved = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert saved.get(cv2.CAP_PROP_FRAME_COUNT) > 20
    assert {path.name for path in tmp_path.iterdir()} == {
        "long.mp4", "model.onnx", "out.mp4", "run.jsonl",
    }  # fmt: skip


def test_a_reader_that_leaves_early_is_no_error(model: Path, video: Path, no_display: None) -> None:
    command = [sys.executable, "-c", EDGE_RUN, "--model", str(model), "--source", str(video)]
    with EdgeCommand(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 0, err
    assert b"Traceback" not in err
    assert b"Exception" not in err


def test_still_images_are_printed_one_line_per_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {"kind": "rows", "steps": 6, "longer": "crop"}
    model, log = tmp_path / "rows.onnx", tmp_path / "log.jsonl"
    model.write_bytes(model_bytes(make_card(sequence=rows)))
    for name in ("red", "blue"):
        assert cv2.imwrite(str(tmp_path / f"{name}.png"), picture(name, (16, 96)))
    source = tmp_path / "red.png"
    code, out, err = edge_run(capsys, "--model", model, "--source", source, "--json", log)
    assert (code, out.split("\t")[:2]) == (0, ["red.png", "red"])
    assert "rows, at most 6 steps" in err[0]
    assert err[-1].startswith("1 picture")
    kinds = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["type"] for line in kinds] == ["run", "source", "prediction", "source"]
    assert kinds[2]["image"] == "red.png"
    code, out, _ = edge_run(capsys, "--model", model, "--source", tmp_path)
    assert [line.split("\t")[1] for line in out.splitlines()] == ["blue", "red"]


def test_an_output_never_overwrites_an_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_bytes())
    video = write_video(tmp_path / "a.mp4", [("red", 1.0)])
    before = model.read_bytes(), video.read_bytes()
    common = ["--source", str(video), "--model", str(model), "--no-window"]
    listed = tmp_path / "list.yaml"
    listed.write_text("a: a.mp4\n")
    for flag, path in (("--json", model), ("--json", video), ("--save", video)):
        assert cli.main([*common, flag, str(path)]) == 2
        assert "that is an input file" in capsys.readouterr().err
    assert (model.read_bytes(), video.read_bytes()) == before


@pytest.mark.parametrize(
    "given",
    [
        ["VIDEO"],
        ["VIDEO", "--source", "VIDEO"],
        ["--source", "VIDEO", "VIDEO"],
        ["VIDEO", "VIDEO"],
    ],
    ids=" ".join,
)
def test_a_source_needs_no_flag(
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
) -> None:
    sources = [each.replace("VIDEO", str(video)) for each in given]
    code, out, err = edge_run(capsys, *sources, "--model", model)
    assert code == 0
    assert len(out.splitlines()) == 2 * given.count("VIDEO")
    assert f"on {video}"[:20] in err[0]


def test_sources_keep_the_order_in_which_they_are_given() -> None:
    given = ["a.mp4", "--source", "b.mp4", "--top", "2", "c.mp4"]
    assert parse(RunOptions, "edge-run", given).source == ("a.mp4", "b.mp4", "c.mp4")


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("MODEL", "a model, not a source; edge-run --camera 0 --model"),
        ("x.pt", "a model, not a source; export it first: seqvision export x.pt"),
        ("cameras.yaml", "a list of sources is given by --sources cameras.yaml"),
        ("webcam", "webcam: the first camera is --camera 0"),
        ("http:/host/x", "did you mean http://host/x?"),
        ("VIDEO --model model.pt", "the model of a training; export it: seqvision export model.pt"),
        ("VIDEO --model VIDEO", "not a model; make one with: seqvision export model.pt"),
        ("VIDEOO", "no such file or folder; did you mean"),
        ("TAKES", "a folder of videos; give one of them, such as"),
        ("VIDEO --top-k 3", "no option --top-k; did you mean --top?"),
        ("VIDEO --no-display", "no option --no-display; did you mean --no-window?"),
        ("VIDEO --host 0.0.0.0", "no option --host here; it is an option of edge-serve"),
        ("VIDEO --device gpu", "--device gpu: no such choice; did you mean cuda?"),
        ("VIDEO --json", "--json: needs a value: --json FILE"),
        ("--camera", "--camera: needs a value: --camera CAMERA"),
    ],
)
def test_a_mistake_names_what_was_meant(
    tmp_path: Path,
    model: Path,
    video: Path,
    no_display: None,
    capsys: pytest.CaptureFixture[str],
    given: str,
    output: str,
) -> None:
    (tmp_path / "takes").mkdir()
    (tmp_path / "takes" / "a.mp4").touch()
    names = {"VIDEO": video, "MODEL": model, "TAKES": tmp_path / "takes"}
    text = given
    for name, path in names.items():
        text = text.replace(name, str(path))
    use = [] if "--model" in given else ["--model", str(model)]
    assert output in refusal(capsys, *use, *text.split())


@pytest.mark.skipif(sys.platform != "linux", reason="the message is that of Linux")
def test_a_number_is_a_camera_unless_a_file_has_that_name(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "camera 97 (/dev/video97)" in refusal(capsys, "--model", model, "97")
    Path("97").write_text("no video\n")
    assert refusal(capsys, "--model", model, "97").startswith("97: not a video")


@pytest.mark.parametrize("question", ["help", "--help", "-h"])
def test_help_is_shown_for_every_spelling_of_the_option(
    capsys: pytest.CaptureFixture[str], question: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([question])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("usage: edge-run [SOURCE…] [OPTIONS]")


@pytest.mark.parametrize("question", ["--version", "-V"])
def test_the_version_is_printed(capsys: pytest.CaptureFixture[str], question: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([question])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"edge-run {__version__}\n"


def test_json_lines_on_standard_output_are_alone_there(
    tmp_path: Path, model: Path, video: Path, no_display: None
) -> None:
    done = forked(EDGE_RUN, video, "--model", model, "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["label"] for line in lines if line["type"] == "event"] == ["red", "blue"]
    assert "\tred\t" in done.stderr, "the events as text"
    assert not (tmp_path / "-").exists()


def test_a_closed_json_pipe_ends_the_run(tmp_path: Path, model: Path, video: Path) -> None:
    # More than a pipe holds: the run cannot be over before its reader leaves.
    sources = [video] * 12
    run = [sys.executable, "-c", EDGE_RUN, *sources, "--model", model, "--no-window", "--json", "-"]
    with EdgeCommand(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as one:
        assert one.stdout is not None
        assert json.loads(one.stdout.readline())["type"] == "run"
        one.stdout.close()
        assert one.wait(60) == 130


JUMPING = f"""
import random, time
real, draw = time.time, random.Random(2026)
time.time = lambda: real() + draw.uniform(-1e8, 1e8)
{EDGE_RUN}
"""


def test_a_clock_that_jumps_by_years_changes_no_event(
    tmp_path: Path, model: Path, video: Path, no_display: None
) -> None:
    reported = {}
    for name, code in (("steady", EDGE_RUN), ("jumping", JUMPING)):
        words = ["--model", model, "--source", video, "--json", f"{name}.jsonl", "--clips", name,
                 "--no-window"]  # fmt: skip
        done = forked(code, *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert len(list((tmp_path / name).glob("*.mp4"))) == 2
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").open()]
        reported[name] = [
            [line.get(key) for key in ("type", "label", "start", "end", "time", "confidence")]
            for line in lines
            if line["type"] in ("answer", "event")
        ]
    assert reported["jumping"] == reported["steady"]
    assert [row[0] for row in reported["steady"]].count("event") == 2


def test_a_label_named_like_a_wildcard_matches_only_itself(
    tmp_path: Path, no_display: None
) -> None:
    """`*` and `#` are any label or topic elsewhere, `=1+1` is a formula, no file has such names."""
    labels = ["*", "#", "=1+1", "none"]
    model = tmp_path / "model.onnx"
    model.write_bytes(model_bytes(make_card(labels=labels)))
    scenes = [("none", 1.0)]
    for colour in ("red", "green", "blue"):
        scenes += [(colour, 1.2), ("none", 1.2)]
    video = write_video(tmp_path / "colours.mp4", scenes)
    # A shell starts in milliseconds: what still runs at the end of a run is killed.
    note = """sh -c 'printf "%s" "$0$SEQVISION_LABEL" >> noted'"""
    words = ["--model", model, "--source", video, "--json", "run.jsonl", "--clips", "clips",
             "--on-event", rf"\*={note} S", "--on-event", f"#={note} H",
             "--no-window"]  # fmt: skip
    done = forked(EDGE_RUN, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    events = [line["label"] for line in lines if line["type"] == "event"]
    assert events == labels[:3]
    assert (tmp_path / "noted").read_text() in ("S*H#", "H#S*")
    with (tmp_path / "clips" / "clips.csv").open(newline="") as file:
        assert [row["label"] for row in dict_reader(file)] == events
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 3
    assert "'=1+1" in (tmp_path / "clips" / "clips.csv").read_text()
