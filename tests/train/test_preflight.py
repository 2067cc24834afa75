"""What cannot work is refused before the work, in one line, and before torch is loaded."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import write_squares
from trainings import options, train

from seqvision import preflight
from seqvision.cli import main
from seqvision.config import ClipOptions, ExportOptions, TrainOptions
from seqvision.config.resume import load_run_options, resume_options
from seqvision.data.clips import Clip
from seqvision.data.splits import Split
from seqvision.errors import CheckpointError, DataError
from seqvision.statistics import is_better
from seqvision.training.data import missing_in_val

pytestmark = pytest.mark.usefixtures("no_pictures")

# Refusals that must not wait for torch; PT and ONNX stand for files that are there.
REFUSED = [
    ("train nowhere", "nowhere: no such folder or list"),
    ("train frames --output m.foo", "--output m.foo: must end in .pt or .safetensors"),
    ("train frames --output no/m.pt", "there is no folder no; make it first"),
    ("train frames --output folder.pt", "that is a folder; name a file"),
    ("train frames --sequence rows --frames 24", "--frames 24 has no effect with --sequence rows"),
    ("train frames --patch 4", "--patch 4 has no effect with --sequence video (only patches"),
    ("train frames --swap lef:right", "no label 'lef'; did you mean left?"),
    ("train frames --flip", "--flip: a mirror changes the label left"),
    ("train frames --augment foo", "--augment foo: neither none, light, strong nor"),
    ("train frames --weights no.pth", "--weights no.pth: no such file"),
    ("train frames --time 10", "--time 10: '10' is not like 90s, 10m or 1.5h"),
    ("tune frames --time 10m --sampler grid", "--time: a grid is tried as a whole"),
    ("train frames --center --head mean", "--center: leaves --head mean nothing to read"),
    ("train frames --center --motion only", "--center: has no effect with --motion only"),
    ("train frames --center --frames 1", "--center: leaves nothing of a window of one step"),
    ("train --resume frames --config x.yaml", "--config: a resumed run keeps its own options"),
    (
        "evaluate a.onnx frames",
        "a.onnx: an exported file; evaluate needs the model of the training",
    ),
    ("evaluate PT nowhere", "nowhere: no such folder or list"),
    ("evaluate PT frames --output frames", "--output frames: that is a folder"),
    ("evaluate PT frames --report x --output x", "that is the file of --output"),
    ("export a.onnx", "a.onnx: is already exported; run it: edge-run --model a.onnx"),
    ("export PT --output frames", "--output frames: that is a folder; name a file"),
    ("export PT --output x.txt", "--output x.txt: must end in .onnx"),
    ("export PT --precision auto", "--precision auto needs clips"),
    ("export PT --verify nowhere", "nowhere: no such folder or list"),
    ("calibrate PT nowhere", "nowhere: no such file or folder"),
    ("calibrate PT frames --output x.onnx", "--output x.onnx: must end in .pt or .safetensors"),
    ("segment nowhere.mp4 events.csv", "nowhere.mp4: no such video"),
    ("predict PT nowhere.mp4", "nowhere.mp4: no such file or folder"),
    ("predict PT frames --csv frames", "--csv frames: that is a folder"),
    ("verify PT", "the first argument of verify is the exported file"),
    ("bench PT --json frames", "--json frames: that is a folder"),
    ("self-train", "MODEL, LABELLED and UNLABELLED are missing"),
    ("self-train gone.pt frames frames", "gone.pt: no such file"),
    ("self-train PT frames nowhere", "nowhere: no such folder or list"),
    ("self-train PT frames frames --output PT", "that is an input file"),
    ("self-train --resume frames", "--resume frames: no run folder of seqvision self-train"),
    ("compare frames --json no/x.json", "there is no folder no"),
    *(
        (command.replace("MODEL", model), f"{model}: not a model file, or damaged")
        for model in ("torn.pt", "text.pt")
        for command in (
            "evaluate MODEL frames", "export MODEL", "calibrate MODEL frames", "inspect MODEL",
            "predict MODEL frames", "bench MODEL", "self-train MODEL frames frames",
            "verify a.onnx --against MODEL",
            "bench b.onnx --against MODEL",
        )
    ),
    *(
        (command, "does not know the label 'clap'")
        for command in (
            "evaluate PT other", "export PT --verify other", "calibrate PT other",
            "self-train PT other frames",
        )
    ),
    *(
        (command, "empty: ")
        for command in (
            "train empty", "tune empty", "data empty", "evaluate PT empty",
            "export PT --verify empty",
            "self-train PT empty frames", "calibrate PT empty",
        )
    ),
    ("evaluate PT frames --split test", "frames: no clip has the split test"),
]  # fmt: skip
OLD_MODELS = Path(__file__).parents[1] / "old_models"


def test_refusals_load_no_torch_and_leave_no_files(tmp_path: Path) -> None:
    write_squares(tmp_path / "frames", 2)
    (tmp_path / "folder.pt").mkdir()
    shutil.copy(OLD_MODELS / "spec3-video.pt", tmp_path / "model.pt")
    shutil.copy(OLD_MODELS / "spec3-video.onnx", tmp_path / "b.onnx")
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "torn.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "empty").mkdir()
    shutil.copytree(tmp_path / "frames" / "left", tmp_path / "other" / "wave")
    shutil.copytree(tmp_path / "frames" / "left", tmp_path / "other" / "clap")
    before = sorted(tmp_path.rglob("*"))
    code = f"""
import sys, contextlib, io
from seqvision.cli import main
for command, said in {REFUSED!r}:
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        code = main(command.replace("PT", "model.pt").split())
    assert code == 2, (command, code)
    assert said in err.getvalue(), (command, err.getvalue())
    assert err.getvalue().count("\\n") == 1, (command, err.getvalue())
    assert "torch" not in sys.modules, command
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_an_export_checks_all_its_outputs_before_it_begins(tmp_path: Path) -> None:
    shutil.copy(OLD_MODELS / "spec3-video.pt", tmp_path / "model.pt")
    (tmp_path / "model.onnx.report.json").mkdir()
    with pytest.raises(DataError, match=r"the report .*report\.json: that is a folder"):
        preflight.validate_export(ExportOptions(model=tmp_path / "model.pt"))


def test_a_resume_takes_changeable_options_and_refuses_the_others(
    squares: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(squares.parent)
    first = options(Path(squares.name), tmp_path, 2, training={"schedule": "plateau"})
    run = train(first).run
    record = yaml.safe_load((run / "options.yaml").read_text())
    assert record["data"] == str(squares), "it is found from any folder"
    assert record["resume"] is None
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["train", "--resume", str(run), "--lr", "0.5"]) == 2
    assert "--lr is that of the run, auto; with another one start anew" in capsys.readouterr().err
    assert main(["train", "--resume", str(run)]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "is finished: 2 of 2 epochs; its results are written again" in err
    assert f"seqvision train --resume {run} --epochs 4" in err
    assert main(["train", "--resume", str(run), "--epochs", "3"]) == 0
    err = capsys.readouterr().err
    assert "epoch   3/3" in err
    assert "is finished" not in err
    # Also where it is the default of a training that is not resumed.
    monkeypatch.setattr("seqvision.training.train.train", lambda *_: 1 / 0)
    assert main(["train", "--resume", str(run), "--epochs", "60"]) == 1, "it came to the training"
    assert "ZeroDivisionError" in capsys.readouterr().err
    kept = load_run_options(run)
    given = kept.model_copy(update={"training": kept.training.model_copy(update={"epochs": 60})})
    assert resume_options(kept, given, kept).training.epochs == 60


def test_a_cosine_schedule_resumed_with_other_epochs_is_refused(tmp_path: Path) -> None:
    kept = TrainOptions(data=tmp_path, resume=tmp_path / "run")
    longer = kept.model_copy(update={"training": kept.training.model_copy(update={"epochs": 90})})
    with pytest.raises(CheckpointError, match="planned for 60 epochs and cannot be stretched"):
        resume_options(kept, longer, kept)
    moved = kept.model_copy(update={"data": None, "root": Path("new")})
    assert resume_options(kept, moved, kept).root == Path("new")
    elsewhere = kept.model_copy(update={"clips": ClipOptions(cache=Path("here"))})
    assert resume_options(kept, elsewhere, kept).clips.cache == Path("here")


def test_few_validation_clips_are_warned_of() -> None:
    clips = [Clip(Path(f"{n}.mp4"), "ab"[n % 2]) for n in range(50)]
    split = Split(train=list(range(1, 50)), val=[0], test=[])
    missing, few = missing_in_val(clips, split, ["a", "b"])
    assert missing == "no validation clip for b"
    assert few.startswith("only 1 clip validates")
    assert not missing_in_val(clips, Split([*range(6, 50)], [*range(6)], []), ["a", "b"])


def test_better_than_chance_needs_significance() -> None:
    assert not is_better(0.4, 20, 1 / 3)
    assert is_better(0.4, 2000, 1 / 3)
    assert not is_better(0.9, 100, 0.9)
