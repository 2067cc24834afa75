"""A model file new to this machine is first loaded in a child process, which may crash."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colour_model import model_bytes, write_video
from hostile_child import NONSENSE, task
from preloaded import EdgeCommand

from seqvision_edge import child_process, sandboxed_load
from seqvision_edge.errors import ModelError
from seqvision_edge.sandboxed_load import Trial
from seqvision_edge.session import Session

onnx = pytest.importorskip("onnx", reason="onnx builds the files of these tests")
from onnx import helper, numpy_helper  # noqa: E402
from onnx_mutations import convolutions  # noqa: E402

Change = Callable[[Any], object]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no resource limits here")

# edge-run whose static reader lets every graph pass.
BLIND_EDGE_RUN = """
import sys
import seqvision_edge.onnx_validation.validate as read
read.check_node = lambda node: None
read.check_sizes = lambda graph, card, inputs: 0
from seqvision_edge.cli import main
sys.exit(main())
"""


def spoilt(change: Change, kind: str = "GRU", inputs: int = 4) -> bytes:
    """Return a model with convolutions and a recurrent operator, changed by `change`."""
    model = onnx.load_from_string(convolutions(kind, inputs))
    change(model.graph)
    return bytes(model.SerializeToString())


def over_no_steps(graph: Any) -> None:
    """Let the recurrent operator get nothing, of which onnxruntime dies."""
    (end,) = [tensor for tensor in graph.initializer if tensor.name == "end"]
    end.CopyFrom(constant("end", [0]))


def odd_kernel(graph: Any) -> None:
    """Give a convolution a kernel that is not that of its weights."""
    node = next(node for node in graph.node if node.op_type == "Conv")
    node.attribute.append(helper.make_attribute("pads", [-9]))


def numbers(count: int, *more: Any) -> Change:
    """Return a change that puts `count` numbers, and operators `more` behind them, in the graph."""

    def change(graph: Any) -> None:
        graph.initializer.extend(
            [constant("zero9", 0), constant("count9", count), constant("one9", 1)]
        )
        nodes = [
            helper.make_node("Range", ["zero9", "count9", "one9"], ["many9"]),
            helper.make_node("Cast", ["many9"], ["floats9"], to=onnx.TensorProto.FLOAT),
            *more,
            helper.make_node("ReduceSum", [more[-1].output[1] if more else "floats9"], ["sum9"]),
        ]
        graph.node.extend([*nodes, helper.make_node("Add", ["sum9", "probabilities"], ["result"])])
        graph.output[0].name = "result"

    return change


def long_recurrence(graph: Any) -> None:
    """Let onnxruntime run an LSTM over 8 million steps while it loads: all is constant."""
    graph.initializer.append(constant("steps9", [-1, 1, 1]))
    for name, shape in (("W9", (1, 4, 1)), ("R9", (1, 4, 1))):
        graph.initializer.append(constant(name, np.full(shape, 0.1, np.float32)))
    steps = helper.make_node("Reshape", ["floats9", "steps9"], ["sequence9"])
    recurrent = helper.make_node("LSTM", ["sequence9", "W9", "R9"], ["", "newest9"], hidden_size=1)
    numbers(8_000_000, steps, recurrent)(graph)


def constant(name: str, value: Any) -> Any:
    return numpy_helper.from_array(np.asarray(value), name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the user."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every graph pass the static reader."""
    monkeypatch.setattr("seqvision_edge.onnx_validation.validate.check_node", lambda node: None)
    monkeypatch.setattr("seqvision_edge.onnx_validation.validate.check_sizes", lambda *_: 0)


HOSTILE = {
    "crash": (over_no_steps, r"onnxruntime crashes running it \(SIG[A-Z]+\); it is not used"),
    "endless": (long_recurrence, "loading it takes longer than 1 s; it was stopped"),
    "memory": (numbers(1 << 33), "(loading|running) it takes too much memory; it was stopped"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_would_end_the_process_is_one_line(
    case: str, blind: None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, reason = HOSTILE[case]
    if case == "endless":
        monkeypatch.setattr(sandboxed_load, "_LOAD", 1.0)
    with pytest.raises(ModelError, match=reason) as error:
        Session(spoilt(change), "cpu")
    assert "\n" not in str(error.value)
    assert not list(cache.rglob("loaded-models/*"))


def test_a_file_is_tried_once_and_again_when_anything_changes(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bytes] = []
    try_load = sandboxed_load.try_load

    def counted(content: bytes, *given: Any) -> bool:
        tried.append(content)
        return try_load(content, *given)

    monkeypatch.setattr("seqvision_edge.session.try_load", counted)
    content, other = model_bytes(), model_bytes(nan_on_black=True)
    for each in (content, content, other, content, other):
        Session(each, "cpu")
    assert tried == [content, other]
    monkeypatch.setattr("platform.node", lambda: "another-machine")
    Session(content, "cpu")
    assert len(tried) == 3
    assert (cache / "seqvision" / "loaded-models").stat().st_mode & 0o077 == 0


def test_a_verdict_that_others_could_have_written_does_not_count(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = model_bytes()
    Session(content, "cpu")
    assert sandboxed_load.is_known(content)
    (folder,) = cache.rglob("loaded-models")
    folder.chmod(0o777)
    assert not sandboxed_load.is_known(content)
    Session(content, "cpu")


def test_without_a_cache_models_load_all_the_same(cache: Path) -> None:
    cache.write_text("no folder")
    Session(model_bytes(), "cpu")


@pytest.mark.parametrize("reason", ["frozen", "no Python"])
def test_where_there_can_be_no_child_models_load_and_are_not_remembered(
    reason: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "frozen":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    else:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    monkeypatch.delattr(os, "geteuid")  # as on Windows
    Session(model_bytes(), "cpu")
    assert not list(cache.rglob("loaded-models"))


def test_verdicts_are_stored_on_systems_without_user_ids(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "geteuid")
    sandboxed_load.remember(b"a model")
    assert sandboxed_load.is_known(b"a model")


NOT_STARTED = {
    "none": "Resource temporarily unavailable", "dies": "exit code 3", "hangs": "not ready within",
    "answers": "nonsense",
}  # fmt: skip


@pytest.mark.parametrize("way", NOT_STARTED)
def test_a_file_is_not_loaded_where_its_trial_fails_to_start(
    way: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "none":

        def refuse(*_: object, **__: object) -> None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        monkeypatch.setattr(child_process.subprocess, "Popen", refuse)
    else:
        python = tmp_path / "python"
        does = {"dies": "exit 3", "hangs": "exec sleep 60", "answers": "echo '[1]'; exec sleep 60"}
        python.write_text(f"#!/bin/sh\n{does[way]}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))
        if way == "hangs":
            monkeypatch.setattr(child_process, "_START", 0.1)
    with pytest.raises(ModelError, match=rf"could not be started \({NOT_STARTED[way]}") as error:
        Session(model_bytes(), "cpu")
    assert "\n" not in str(error.value)
    assert not list(cache.rglob("loaded-models/*"))


ANSWERS = NONSENSE | {
    "failed": '["failed"]', "numbers": '["failed", 1, 2]', "more": '["loaded", 1]',
    "other": '["ran"]', "unknown": '["good"]',
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_an_invalid_reply_of_a_trial_counts_as_a_crash(
    case: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering(monkeypatch, task(f"{ANSWERS[case]}\n"))
    with pytest.raises(ModelError, match=r"crashes loading it \(nonsense\); it is not used"):
        Session(model_bytes(), "cpu")
    assert not list(cache.rglob("loaded-models/*"))


CALLS = [[("frames", (1, steps, 8, 8, 3)), ("state", (1, 4))] for steps in (1, 1, 200)]


def test_a_trial_has_the_time_of_every_frame_of_every_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial = Trial(CALLS, 1 << 20, 0.1)
    first = '["loaded"]\n["ran"]\n["ran"]\n'
    given = answering(monkeypatch, task(first, late='["ran"]\n', seconds=0.5))
    assert sandboxed_load.try_load(b"a model", trial, "it")
    assert given["seconds"] > sandboxed_load._LOAD + 202 * 0.1
    answering(monkeypatch, task(first, "reads nothing"))
    with pytest.raises(ModelError, match=r"^it: a window of 200 frames took longer than 0\.4 s"):
        sandboxed_load.try_load(b"a model", Trial(CALLS, 1 << 20, 0.002), "it")
    assert [limit for limit, _ in Trial(CALLS, 0, 60.0).limits()] == [60.0, 60.0, 600.0]
    assert [limit for limit, _ in Trial(CALLS, 0, 900.0).limits()] == [900.0] * 3


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, object]) -> dict[str, Any]:
    """Let a child that answers so stand for that of a trial; return the task that it was given."""
    given: dict[str, Any] = {}

    def start(_: str, requested: dict[str, Any]) -> child_process.Child:
        given.update(requested)
        return child_process.start_child("hostile_child", answers)

    monkeypatch.setattr(sandboxed_load, "start_child", start)
    return given


def test_a_trial_reports_the_error_of_a_direct_load(blind: None, cache: Path) -> None:
    content = spoilt(odd_kernel)
    messages = []
    for trial in (True, False):
        with pytest.raises(ModelError) as error:
            Session(content, "cpu", trial=trial)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


@pytest.mark.parametrize("case", ["crash", "memory"])
def test_edge_run_ends_with_one_line_and_code_2(case: str, cache: Path, tmp_path: Path) -> None:
    process = start_blind(HOSTILE[case][0], tmp_path)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert len(stderr.splitlines()) == 1, stderr
    assert stderr.startswith(f"{tmp_path / 'model.onnx'}: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_trial_of_an_endless_load_and_nothing_stays(
    number: signal.Signals, cache: Path, tmp_path: Path
) -> None:
    process = start_blind(long_recurrence, tmp_path)
    child = wait_for(lambda: trial_of(process.pid))
    process.send_signal(number)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode in {-number, 128 + number}, stderr
    assert "Traceback" not in stderr
    wait_for(lambda: not Path(f"/proc/{child}").exists())


def start_blind(change: Change, folder: Path) -> "subprocess.Popen[str]":
    """Start `edge-run` on a hostile model that its static reader lets pass."""
    (folder / "model.onnx").write_bytes(spoilt(change))
    video = write_video(folder / "video.mp4", [("red", 0.5)])
    return EdgeCommand(
        [sys.executable, "-c", BLIND_EDGE_RUN, str(video), "--model", folder / "model.onnx"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def trial_of(parent: int) -> int | None:
    """Return the process id of the trial that a process has started and that loads by now."""
    if not Path("/proc/self/task").exists():
        pytest.skip("there is no /proc here")
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            _, _, rest = path.read_text().rpartition(") ")
            child = int(path.parent.name)
            limit = path.with_name("limits").read_text()
            # Its limits are set just before it reads the file.
            if int(rest.split()[1]) == parent and "Max core file size        0 " in limit:
                return child
    return None


def wait_for(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, as soon as that is something."""
    until = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found
