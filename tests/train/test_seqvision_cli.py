"""Wrong use, as a new user would try it: one clear line on stderr, exit code 2."""

import json
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from conftest import write_squares
from test_help import check_help, check_options

import seqvision_edge
from seqvision import __version__
from seqvision.cli import GROUPS, VERBS, main, programs
from seqvision_edge.option_fields import options_of


def error_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    return err


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder as a person has it: clips, loose files, models that are none."""
    monkeypatch.chdir(tmp_path)
    for name in ("loose", "videos", "runs", "frames/wave"):
        Path(name).mkdir(parents=True)
    for name in (
        "loose/1.jpg", "loose/2.jpg", "videos/a.mp4", "clip.mp4", "data.zip", "model.pt",
        "model.onnx", "sheet.xlsx", "frames/wave/a.mp4",
    ):  # fmt: skip
        Path(name).touch()
    shutil.copy(Path(__file__).parents[1] / "old_models" / "spec3-video.pt", "model.pt")
    return tmp_path


MISTAKES = [
    # commands
    ("trian x", "no command 'trian'; did you mean train?"),
    ("TRAIN x", "no command 'TRAIN'; did you mean train?"),
    ("self_train", "did you mean self-train?"),
    ("eval model.pt", "no command 'eval'; did you mean: evaluate"),
    ("fit frames", "did you mean: train"),
    ("run --camera 0", "did you mean: edge-run"),
    ("edge-run --camera 0", "edge-run is a program of its own: edge-run --camera 0"),
    ("edge-serve model.onnx", "edge-serve is a program of its own: edge-serve model.onnx"),
    ("frames", "frames: the command is missing: seqvision train frames"),
    ("model.onnx", "model.onnx: the command is missing: seqvision inspect model.onnx"),
    ("xyzzy", "no command 'xyzzy'; there are: record, segment, data, fetch, landmarks, train"),
    ("--epochs 3 train x", "options come after the command: seqvision train --epochs 3 x"),
    ("help trian", "no command 'trian'; did you mean train?"),
    # options
    ("train x --encdoer flatten", "no option --encdoer; did you mean --encoder?"),
    ("train x --batch 4", "no option --batch; did you mean --batch-size?"),
    ("evaluate x --batch 4", "no option --batch; did you mean --batch-size?"),
    ("train x --enc flatten", "did you mean --encoder or --encoder-lr-scale?"),
    ("train x --learning-rate 1", "did you mean --lr?"),
    ("train x --bs 4", "did you mean --batch-size?"),
    ("train x --num-workers 4", "did you mean --workers?"),
    ("train x --num_epochs 4", "did you mean --epochs?"),
    ("train x -e 4", "did you mean --epochs?"),
    ("train x --camera 0", "no option --camera here; it is an option of record, edge-run"),
    ("export --epochs 3", "--epochs here; it is an option of train, tune, self-train"),
    ("export --port 1", "no option --port here; it is an option of edge-serve"),
    ("train x --epochs", "--epochs: needs a value: --epochs N"),
    ("train x --flip=yes", "--flip=yes: takes no value; write --flip or --no-flip"),
    ("train x y", "y: one argument too many; it takes DATA alone"),
    ("train x --epochs 1 --epochs 2", "--epochs: given twice, as 1 and as 2"),
    ("train x --swap a:b", "x: no such folder or list"),
    # values
    ("train x --encoder mobilenetv2", "--encoder mobilenetv2: no such choice; did you mean mob"),
    ("train x --encoder resnet", "did you mean resnet18 or resnet50?"),
    ("train x --encoder zzz", "--encoder zzz: must be flatten, small_cnn, mobilenet_v2,"),
    ("train x --head LSTM", "did you mean lstm?"),
    ("train x --sequence row", "did you mean rows?"),
    ("train x --precision fp16", "did you mean 16?"),
    ("train x --device cuda:0", "did you mean cuda? CUDA_VISIBLE_DEVICES=0 chooses the card"),
    ("train x --device gpu", "did you mean cuda?"),
    ("train frames --weights imagnet", "did you mean imagenet?"),
    ("train frames --augment srong", "did you mean strong?"),
    ("export model.pt --precision half", "did you mean fp16?"),
    ("export model.pt --opset 3", "--opset 3: must be at least 18"),
    ("train x --frames 0", "--frames 0"),
    ("train x --frames many", "--frames many: must be a whole number"),
    ("train x --lr 0,001", "--lr 0,001: must be a number, or auto; did you mean 0.001?"),
    ("train x --val 20%", "--val 20%: must be a number; did you mean 0.2?"),
    ("train x --size 112x112", "did you mean 112?"),
    ("train x --fps 12fps", "did you mean 12?"),
    ("train x --epochs 1e3", "--epochs 1e3: must be a whole number; did you mean 1000?"),
    ("train --swap left:right loose", "2 loose images in it"),
    ("bench --threads 1 2 missing.onnx", "missing.onnx: no such file"),
    ("bench --device cpu model.pt --source x.mp4", "--source x.mp4: no such file or folder"),
    ("train x --fold 7/5", "--fold 7/5"),
    ("bench model.onnx --device cpu gpu", "--device gpu: no such choice; did you mean cuda?"),
    # files
    ("train missing", "missing: no such folder or list"),
    ("train frame", "did you mean frames/?"),
    ("train loose", "2 loose images in it, but no folder for a label; the frames of a clip lie"),
    ("train videos", "1 video in it, but no folder for a label; a clip lies in frames/<label>/"),
    ("train clip.mp4", "clip.mp4: one video; give the folder of the clips"),
    ("train model.pt", "model.pt: a model, not clips"),
    ("train data.zip", "an archive; unpack it and give its folder: unzip data.zip"),
    ("train sheet.xlsx", "a spreadsheet; save it as a .csv list"),
    ("train https://host/clips", "https://host/clips: a URL; download it first"),
    ("train frames/*", "a pattern is not taken here; give the folder frames"),
    ("train frames\\wave", "did you mean frames/wave/?"),
    ("train frames --config missing.yaml", "--config missing.yaml: no such file"),
    ("train frames --config frames", "--config frames: a folder; give a YAML file"),
    ("train x --resume missing", "--resume missing: no such run folder"),
    ("data loose", "2 loose images in it"),
    ("data data.zip", "an archive"),
    ("evaluate missing.pt x", "missing.pt: no such file"),
    ("evaluate modle.pt frames", "modle.pt: no such file; did you mean model.pt?"),
    ("evaluate frames model.pt", "frames: the model comes first: seqvision evaluate model.pt"),
    ("evaluate model.onnx frames", "an exported file; evaluate needs the model of the training"),
    (
        "evaluate clip.mp4 frames",
        "clip.mp4: not a model; the first argument of evaluate is a model.pt",
    ),
    ("calibrate frames model.pt", "the model comes first: seqvision calibrate model.pt frames"),
    ("predict clip.mp4 model.onnx", "the model comes first: seqvision predict model.onnx clip"),
    ("predict model.pt clip.avi", "clip.avi: no such file or folder; did you mean clip.mp4?"),
    ("export model.onnx", "model.onnx: is already exported; run it: edge-run --model model.onnx"),
    ("export missing.pt", "missing.pt: no such file; make one with: seqvision train"),
    ("inspect modle.onnx", "modle.onnx: no such file; did you mean model.onnx?"),
    ("segment frames", "frames: a folder; segment takes one video"),
    ("segment clip.avi", "clip.avi: no such video; did you mean clip.mp4?"),
    ("bench model.onnx --source clip.avi", "did you mean clip.mp4?"),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES, ids=[each for each, _ in MISTAKES])
def test_invalid_arguments_are_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, command: str, message: str
) -> None:
    before = sorted(folder.rglob("*"))
    assert message in error_line(capsys, *command.split())
    assert sorted(folder.rglob("*")) == before, "and nothing is left behind"


@pytest.mark.parametrize("path", ["frames ", "", "~/frames", '"frames"'])
def test_an_unexpanded_path_is_one_line(
    capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    line = error_line(capsys, "train", path)
    assert any(words in line for words in ("did you mean frames/?", "is empty", "no folder")), line


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_without_arguments_shows_its_usage(
    capsys: pytest.CaptureFixture[str], folder: Path, verb: str
) -> None:
    Path("model.pt").unlink()
    Path("model.onnx").unlink()
    line = error_line(capsys, verb)
    kind = programs()[verb]
    if any(option.required for option in options_of(kind)):
        assert f"usage: seqvision {verb} " in line
        assert f"such as: seqvision {verb} " in line
    else:  # a model of the usual name is taken, and there is none
        assert "no such file; make one with: seqvision" in line


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_command_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    kind = programs()[verb]
    check_options(kind)
    check_help(kind, f"seqvision {verb}", columns)


@pytest.mark.parametrize(
    "question", ["help train", "--help train", "-h train", "train --help", "train help", "train -h"]
)
def test_help_is_shown_for_every_spelling_of_the_option(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    question: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(question.split())
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("usage: seqvision train DATA [OPTIONS]")


@pytest.mark.parametrize("question", ["", "help", "--help", "-h"])
def test_the_help_lists_the_commands_in_the_order_of_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    question: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(question.split()) == 0
    text = capsys.readouterr().out
    headings = ["Prepare:", "Train:", "Evaluate:", "Export:", "Run:"]
    assert sorted(headings, key=text.index) == headings
    assert sorted(chain.from_iterable(GROUPS.values())) == sorted(VERBS)
    for verb in (*VERBS, "edge-run", "edge-serve"):
        assert f"\n  {verb} " in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("question", ["--version", "-V"])
def test_the_version_is_printed(capsys: pytest.CaptureFixture[str], question: str) -> None:
    assert main([question]) == 0
    assert capsys.readouterr().out == f"seqvision {__version__}\n"
    assert seqvision_edge.__version__ == __version__, "one version for both packages"


def test_every_command_has_its_options_under_their_own_name() -> None:
    assert programs().keys() == {*VERBS, "edge-run", "edge-serve"}


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("epochs: 3", "epochs: there is no such option; did you mean training.epochs?"),
        ("model: {epochs: 3}", "model.epochs: there is no such option; did you mean training.ep"),
        ("training: {epoch: 3}", "training.epoch: there is no such option; did you mean epochs?"),
        ("training: {batch-size: 3}", "did you mean batch_size?"),
        ("training: {learning_rate: 3}", "did you mean lr?"),
        ("modle: {hidden: 3}", "modle: there is no such option; did you mean model?"),
        ("model: {encoder: mobilenetv2}", "model.encoder mobilenetv2: no such choice; did you"),
        ("model: {head: zzz}", "model.head zzz: must be lstm, gru or mean"),
        ("training: {device: 'cuda:1'}", "did you mean cuda? CUDA_VISIBLE_DEVICES=1"),
        ("training: {epochs: many}", "training.epochs many: must be a whole number"),
    ],
)
def test_a_yaml_has_the_same_hints(
    capsys: pytest.CaptureFixture[str], folder: Path, yaml: str, message: str
) -> None:
    Path("options.yaml").write_text(yaml)
    assert main(["train", "frames", "--config", "options.yaml"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("options.yaml: ")
    assert message in err
    assert err.count("\n") == 1


def test_a_run_folder_given_as_a_config_names_its_options(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    Path("runs/options.yaml").write_text("{}")
    assert "did you mean runs/options.yaml?" in error_line(capsys, "train", "x", "--config", "runs")


def test_data_by_its_name_is_the_argument(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert error_line(capsys, "train", "--data", "loose") == error_line(capsys, "train", "loose")
    line = error_line(capsys, "evaluate", "--model", "nothing.pt", "--data", "frames")
    assert line.startswith("nothing.pt: no such file")


def test_a_single_label_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = write_squares(tmp_path / "frames", 2, ("left",))
    runs = str(tmp_path / "runs")
    assert "only one label (left)" in error_line(capsys, "train", str(data), "--runs", runs)
    assert not (tmp_path / "runs").exists(), "no empty run folder stays"


def test_an_invalid_option_in_a_yaml_is_reported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "options.yaml"
    config.write_text("model: {encoder: flatten, hiden: 3}")
    assert "model.hiden" in error_line(capsys, "train", "x", "--config", str(config))
    config.write_text("a: [")
    assert "not a YAML of options: line 2" in error_line(
        capsys, "train", "x", "--config", str(config)
    )


def test_flags_override_the_yaml_and_the_yaml_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    config = tmp_path / "options.yaml"
    config.write_text("data: here\nmodel: {hidden: 7, layers: 2}\ntraining: {epochs: 3}")

    write_squares(tmp_path / "here", 2)
    monkeypatch.chdir(tmp_path)

    def train(options: object, *_: object) -> object:
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
    assert "--device cuda: this torch finds no CUDA" in error_line(
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
    assert "--no-bidirectional" in done.stdout


def test_a_file_on_standard_output_is_the_only_output(
    capsys: pytest.CaptureFixture[str],
    squares: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (["--json", "-"], ["--json=-"]):
        main(["data", str(squares), *given])
        out, err = capsys.readouterr()
        assert json.loads(out)["clips"], err
        assert "left" in err, "what is printed for a person"
    assert list(tmp_path.iterdir()) == []
