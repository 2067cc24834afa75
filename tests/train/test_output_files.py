"""A model of another run is never lost: it is kept beside the one that takes its name."""

import io
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import write_squares
from export_models import prove_here
from trainings import options, same, train, weights

from seqvision.cli import main
from seqvision.config import ExportOptions, TrainOptions
from seqvision.errors import CheckpointError
from seqvision.output_files import exported_by, is_model, publish
from seqvision.training.model_io import load_model, write_card
from seqvision.training.train import Trained, copy_model


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("few") / "frames", 4)


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """Two trainings with another seed each."""
    folder = tmp_path_factory.mktemp("two")
    return [
        train(options(data, folder / str(seed), 1, training={"seed": seed})) for seed in range(2)
    ]


def kept_copies(model: Path) -> list[Path]:
    return sorted(set(model.parent.glob(f"{model.stem}-*{model.suffix}")) - {model})


def test_the_model_of_another_run_is_kept_and_its_own_is_replaced(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train(options(data, tmp_path, 1))
    before = first.model.read_bytes()
    assert "is kept as" not in capsys.readouterr().err
    second = train(options(data, tmp_path, 1, training={"seed": 1}))
    assert second.model == first.model
    (kept,) = kept_copies(first.model)
    assert f"{first.model}: the model of another run is kept as {kept}" in capsys.readouterr().err
    assert kept.read_bytes() == before == (first.run / "model.pt").read_bytes()
    assert not same(weights(second), load_model(kept)[0].state_dict())
    again = train(TrainOptions(resume=second.run, output=second.model))
    assert again.model == second.model
    assert kept_copies(first.model) == [kept], "a run that goes on replaces its own model"
    assert "is kept as" not in capsys.readouterr().err


def test_a_resumed_run_keeps_the_model_of_another_run(runs: list[Trained], tmp_path: Path) -> None:
    one, two = (each.run for each in runs)
    target = tmp_path / "model.pt"
    assert publish(one / "model.pt", target, one) is None
    assert publish(two / "model.pt", target, two) is not None
    assert publish(one / "model.pt", target, one) is not None
    assert publish(one / "model.pt", target, one) is None
    assert len(kept_copies(target)) == 2
    assert target.read_bytes() == (one / "model.pt").read_bytes()


def test_runs_that_end_together_lose_no_model(tmp_path: Path) -> None:
    target = tmp_path / "model.pt"
    sources = []
    for number in range(12):
        sources.append(tmp_path / f"run{number}" / "model.pt")
        sources[-1].parent.mkdir()
        torch.save({"format": "seqvision.model", "number": number}, sources[-1])
    code = (
        "import sys; from pathlib import Path; from seqvision.output_files import publish\n"
        "for each in sys.argv[2:]: publish(Path(each), Path(sys.argv[1]), Path(each).parent)"
    )
    parts = [sources[0::3], sources[1::3], sources[2::3]]
    with ThreadPoolExecutor(3) as pool:
        done = pool.map(
            lambda part: subprocess.run([sys.executable, "-c", code, target, *part]).returncode,
            parts,
        )
        assert list(done) == [0, 0, 0]
    found = {path.read_bytes() for path in [target, *kept_copies(target)]}
    assert found == {path.read_bytes() for path in sources}
    assert not list(tmp_path.glob(".*")), "nothing unfinished stays"


def test_without_hard_links_a_copy_is_kept(
    runs: list[Trained], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    one, two = (each.run for each in runs)
    target = tmp_path / "model.pt"
    publish(one / "model.pt", target, one)
    kept = publish(two / "model.pt", target, two)
    assert kept is not None
    assert kept.read_bytes() == (one / "model.pt").read_bytes()


@pytest.mark.parametrize("kind", ["text", "zip", "weights of another program"])
def test_a_file_that_is_not_a_model_is_refused_before_the_work(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, runs: list[Trained]
) -> None:
    target = tmp_path / "model.pt"
    buffer = io.BytesIO()
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, buffer)
    contents = {"text": b"notes of mine", "zip": b"PK\x05\x06" + bytes(18)}
    content = contents.get(kind, buffer.getvalue())
    target.write_bytes(content)
    shutil.copyfile(runs[0].model, tmp_path / "given.pt")
    output = ["--output", str(target)]
    for command in (
        ["train", str(data)],
        ["tune", str(data)],
        ["self-train", str(tmp_path / "given.pt"), str(data), str(data)],
        ["calibrate", str(tmp_path / "given.pt"), str(data)],
    ):
        assert main([*command, *output]) == 2, command
        err = capsys.readouterr().err
        assert err.count("\n") == 1, err
        assert f"--output {target}: the file there is no model of seqvision" in err
    assert target.read_bytes() == content
    assert not is_model(target)
    with pytest.raises(CheckpointError, match="is no model lies there; the model is"):
        copy_model(runs[0].model, target, runs[0].run)


def test_exports_and_calibrations_keep_those_of_another_training(
    data: Path, runs: list[Trained], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from seqvision_export.export import export

    prove_here(monkeypatch)
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    for each, path in zip(runs, (one, two), strict=True):
        shutil.copyfile(each.model, path)
    target = tmp_path / "model.onnx"
    export(ExportOptions(model=one, output=target))
    (card, other) = (load_model(path)[1] for path in (one, two))
    assert exported_by(target, card)
    assert not exported_by(target, other)
    before = target.read_bytes()
    export(ExportOptions(model=two, output=target))
    (kept,) = kept_copies(target)
    assert f"{target}: the model of another training is kept as {kept}" in capsys.readouterr().err
    assert kept.read_bytes() == before
    assert kept.with_name(f"{kept.name}.report.json").is_file()
    target.write_text("notes of mine")
    assert main(["export", str(two), "--output", str(target)]) == 2

    better = tmp_path / "better.pt"
    for model, of, count in ((one, card, 0), (one, card, 0), (two, other, 1)):
        kept_now = write_card(model, of, better)
        assert len(kept_copies(better)) == count
        assert (kept_now is not None) is bool(count)
    assert write_card(one, card, one) is None, "in place it is the same model"


def test_a_full_disk_at_the_end_keeps_the_new_and_the_old_model(
    runs: list[Trained], small_disk: Path
) -> None:
    target = small_disk / "model.pt"
    torch.save({"format": "seqvision.model"}, target)
    before = target.read_bytes()
    (small_disk / "filler").write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - 4096)))
    with pytest.raises(CheckpointError) as refused:
        copy_model(runs[1].run / "model.pt", target, runs[1].run)
    assert f"the model is {runs[1].run / 'model.pt'}" in str(refused.value)
    assert target.read_bytes() == before
    assert sorted(path.name for path in small_disk.iterdir()) == ["filler", "model.pt"]
