"""No command of `seqvision` prints what strangers wrote as a terminal would take it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from colour_model import model_bytes
from conftest import write_frames, write_video
from hostile_text import EVIL, harmless
from test_printing import hostile_cards, hostile_model

from seqvision.cli import VERBS, main

NAME = EVIL.replace("/", "")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    capsys.readouterr()
    code = main([str(each) for each in arguments])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert harmless(out + err), (arguments, ascii(out + err))
    return code, out + err


def test_inspect_escapes_a_hostile_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="onnx builds the models of these tests")
    for case, card in hostile_cards(EVIL).items():
        path = tmp_path / "model.onnx"
        path.write_bytes(hostile_model(card))
        for more in ([], ["--json"]):
            code, output = printed(capsys, "inspect", path, *more)
            if case not in ("origin", "state", "axis"):
                assert (code, output.count("\n")) == (2, 1), (case, output)
        if case not in ("unknown key", "state"):
            continue
        for verb in ("predict", "verify", "bench", "export", "calibrate"):
            more = [tmp_path] if verb in ("predict", "calibrate") else []
            code, output = printed(capsys, verb, path, *more)
            assert code == 2, (verb, case, output)


@pytest.mark.parametrize("verb", VERBS)
def test_hostile_names_and_options_are_escaped_by_every_command(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        [f"--{NAME}"],
        [f"--{NAME}={NAME}"],
        [NAME],
        [NAME, NAME, NAME, NAME],
        [f"{NAME}.onnx"],
        [f"{NAME}.pt"],
        ["--config", NAME],
        ["--epochs", NAME],
        ["--device", NAME],
        ["--output", f"{NAME}/{NAME}"],
    ):
        if verb == "record" and NAME in arguments[:1]:
            continue  # it makes a folder of that name, and asks
        code, output = printed(capsys, verb, *arguments)
        assert code == 2, output
    assert printed(capsys, f"{verb}{NAME}")[0] == 2


def test_hostile_clip_label_and_file_names_are_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / NAME
    for label in ("wave", NAME):
        for number in range(2):
            frames = np.full((4, 16, 16, 3), 40 * number, np.uint8)
            write_video(data / label / f"{NAME}{number}.mp4", frames)
    (data / "wave" / f"{NAME}.mp4").write_bytes(b"no video")
    (data / "wave" / f"{NAME}.txt").write_text("x")
    for verb in ("data", "segment"):
        code, output = printed(capsys, verb, data, *(["--cache", NAME] if verb == "data" else []))
        assert code in (0, 2), output
    shutil.rmtree(data / NAME)
    write_frames(data / "none" / NAME, np.zeros((4, 16, 16, 3), np.uint8))
    printed(capsys, "data", data, "--cache", tmp_path / "cache")
    model = tmp_path / f"{NAME}.onnx"
    pytest.importorskip("onnx", reason="onnx builds the models of these tests")
    model.write_bytes(model_bytes())
    clips = sorted((data / "wave").glob("*.mp4"))
    code, output = printed(capsys, "predict", model, *clips)
    assert "x1b" in output
