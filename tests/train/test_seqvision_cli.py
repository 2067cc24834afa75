"""Wrong use, as a new user would try it: one clear line on stderr, exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_squares

from seqvision.cli import VERBS, main


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian", "x"), "no command 'trian'; did you mean train?"),
        (("train", "x", "--encdoer", "flatten"), "no option --encdoer; did you mean --encoder?"),
        (("train",), "DATA or --root is missing; usage: seqvision train"),
        (
            ("train", "x", "--encoder", "resnet"),
            "did you mean resnet18 or resnet50?",
        ),
        (("train", "x", "--frames", "0"), "--frames"),
        (("train", "x", "--frames", "many"), "--frames"),
        (("train", "x", "--fold", "7/5"), "--fold"),
        (("train", "missing"), "missing: no such folder or list"),
        (("train", "x", "--config", "missing.yaml"), "missing.yaml"),
        (("train", "x", "--resume", "missing"), "--resume missing"),
        (("evaluate", "missing.pt", "x"), "missing.pt: no such file"),
        (("export", "missing.pt"), "missing.pt: no such file; make one with: seqvision train"),
        (("export", "a.pt", "--opset", "3"), "--opset"),
    ],
)
def test_wrong_use_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in said(capsys, *arguments)
    assert list(tmp_path.iterdir()) == [], "and nothing is left behind"


def test_one_label_only_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_squares(tmp_path / "frames", 2, ("left",))
    runs = str(tmp_path / "runs")
    assert "only one label (left)" in said(capsys, "train", str(data), "--runs", runs)
    assert not (tmp_path / "runs").exists(), "no empty run folder stays"


def test_a_bad_option_in_a_yaml_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "options.yaml"
    config.write_text("model: {encoder: flatten, hiden: 3}")
    assert "model.hiden" in said(capsys, "train", "x", "--config", str(config))
    config.write_text("a: [")
    assert "cannot be read as YAML" in said(capsys, "train", "x", "--config", str(config))


def test_flags_win_over_the_yaml_and_the_yaml_over_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    config = tmp_path / "options.yaml"
    config.write_text("data: here\nmodel: {hidden: 7, layers: 2}\ntraining: {epochs: 3}")

    write_squares(tmp_path / "here", 2)
    monkeypatch.chdir(tmp_path)

    def train(options: object, **_: object) -> object:
        seen.append(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("seqvision.training.train.train", train)
    assert main(["train", "--config", str(config), "--hidden", "9"]) == 130
    (options,) = seen
    assert (options.model.hidden, options.model.layers, options.model.head) == (9, 2, "lstm")
    assert (str(options.data), options.training.epochs) == ("here", 3)


def test_cuda_where_there_is_none_is_one_line(
    squares: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert "--device cuda: this torch finds no CUDA" in said(
        capsys, "train", str(squares), "--device", "cuda"
    )


def test_help_needs_no_torch() -> None:
    code = (
        "import sys, contextlib; from seqvision.cli import main; main(['--help'])\n"
        "with contextlib.suppress(SystemExit): main(['train', '--help'])\n"
        "assert not {'torch', 'lightning', 'cv2', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert verb in done.stdout
    assert "--bidirectional" in done.stdout
