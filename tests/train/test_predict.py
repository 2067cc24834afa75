"""Answers for clips without labels, by model.pt and by model.onnx."""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import square_clip, write_frames, write_video
from export_models import prove_here
from served import serving

from seqvision import evaluation
from seqvision.cli import main
from seqvision.data.cache import Cache
from seqvision.data.clip_views import fixed_views
from seqvision.data.clips import Clip
from seqvision.data.datasets.detect import find_paths
from seqvision.data.decode import Decoded, Store
from seqvision.errors import DataError
from seqvision.prediction import PredictedClip, line_of
from seqvision.training.model_io import load_model
from seqvision.training.train import Trained
from seqvision_edge.card import ImageSpec, StripSequence, VideoSequence
from seqvision_edge.providers import DEVICES
from seqvision_edge.sampling import centre, windows
from seqvision_edge.session import Session

IMAGE = ImageSpec(height=1, width=1, channels=1, fit="stretch")
VIDEO = VideoSequence(kind="video", fps=10.0, frames=6)


@pytest.fixture(scope="module")
def exported(attentive: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "model.onnx"
    with pytest.MonkeyPatch.context() as monkeypatch:
        prove_here(monkeypatch)
        assert main(["export", str(attentive.model), "--output", str(target)]) == 0
    return target


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder full of clips: a video, a folder of frames, a long video one folder further."""
    folder = tmp_path / "takes"
    write_frames(folder / "take 10", square_clip(1, 10, 9))
    write_video(folder / "take 2.mp4", square_clip(-1, 2, 9))
    write_video(folder / "more" / "long.mp4", square_clip(1, 3, 60))
    (folder / "notes.txt").write_text("not a clip")
    return folder


def rows_of(path: Path) -> dict[str, list[float]]:
    """Return the probabilities of each clip by its path."""
    head, *rows = csv.reader(path.open(newline=""))
    assert head == ["path", "label", "probability", "left", "none", "right"]
    for row in rows:
        each = list(map(float, row[3:]))
        assert row[1] == head[3 + int(np.argmax(each))]
        assert float(row[2]) == max(each)
    return {row[0]: list(map(float, row[3:])) for row in rows}


def test_predictions_equal_those_of_the_training(
    attentive: Trained, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "answers.csv"
    clips = listed.parent / "dan"
    assert main(["predict", str(attentive.model), str(clips), "--csv", str(target)]) == 0
    found = rows_of(target)
    _, *counted = csv.reader((attentive.run / "predictions.csv").open(newline=""))
    counted = [row for row in counted if row[2] == "test"]
    assert len(found) == len(counted) == 9
    for path, *_, left, none, right in counted:
        assert found[path] == pytest.approx(list(map(float, (left, none, right))), abs=2e-6)
    assert list(tmp_path.iterdir()) == [target], "and no cache is filled"


@pytest.mark.parametrize(("reject", "unsure"), [(0.9, True), (0.3, False)])
def test_a_prediction_below_the_threshold_is_unsure(
    exported: Path, reject: float, unsure: bool
) -> None:
    card = Session(exported).card
    card = card.model_copy(
        update={"decision": card.decision.model_copy(update={"min_confidence": reject})}
    )
    answer = PredictedClip("a.mp4", np.array([0.1, 0.3, 0.6]), card)
    fields = line_of(answer, 2, 0).split("\t")
    assert fields == ["a.mp4", "right", "0.6000", "none", "0.3000"] + ["unsure"] * unsure
    shown = line_of(answer, 2, 5)
    assert shown == f"a.mp4  {'unsure · ' * unsure}right 0.600  (none 0.300)"


@pytest.mark.parametrize("how", [(), ("--every-window",)])
def test_the_exported_model_gives_the_same_predictions(
    attentive: Trained, exported: Path, takes: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    for model, name in ((attentive.model, "pt"), (exported, "onnx")):
        csv_file = str(tmp_path / f"{name}.csv")
        assert main(["predict", str(model), str(takes), *how, "--csv", csv_file]) == 0
    torch_rows, onnx_rows = rows_of(tmp_path / "pt.csv"), rows_of(tmp_path / "onnx.csv")
    assert list(torch_rows) == list(onnx_rows)
    assert len(torch_rows) == 3
    for path, each in torch_rows.items():
        assert each == pytest.approx(onnx_rows[path], abs=1e-4)


def test_windows_overlap_by_half_and_are_averaged(
    attentive: Trained, takes: Path, tmp_path: Path
) -> None:
    target = tmp_path / "answers.csv"
    command = ["predict", str(attentive.model), str(takes / "more"), "--csv", str(target)]
    assert main([*command, "--every-window", "--batch-size", "2"]) == 0
    (found,) = rows_of(target).values()
    assert main(command) == 0
    (centre,) = rows_of(target).values()
    assert found != pytest.approx(centre, abs=1e-5)

    from seqvision.data.cache import Cache
    from seqvision.data.clips import Clip
    from seqvision.data.decode import Store

    model, card = load_model(attentive.model)
    store = Store(Cache(tmp_path / "cache"), card.image, 30.0, card.sequence)
    clip = store.load(Clip(takes / "more" / "long.mp4", ""))
    with torch.inference_mode():
        each = [
            model(torch.from_numpy(frames)[None]).softmax(1)[0].numpy()
            for frames in windows(clip, card.image, card.sequence)
        ]
    assert len(each) > 5
    assert found == pytest.approx(np.mean(each, axis=0).tolist(), abs=1e-5)


def test_test_views_are_averaged_alike_by_evaluate_and_predict(
    attentive: Trained, exported: Path, listed: Path, tmp_path: Path
) -> None:
    model, card = load_model(attentive.model)
    store = Store(Cache(tmp_path / "cache"), card.image, 30.0, card.sequence)
    clip = store.load(Clip(path := listed.parent / "dan" / "left0", "left"))
    alone = centre(clip, card.image, card.sequence)
    steps = list(fixed_views(clip, card.image, card.sequence, 4))
    assert np.array_equal(steps[0], alone)
    assert all(not np.array_equal(steps[0], view) for view in steps[1:])
    with torch.inference_mode():
        answers = [model.eval()(torch.from_numpy(view)[None]).softmax(1) for view in steps]
    expected = torch.cat(answers).mean(0).numpy()
    assert np.abs(expected - answers[0].numpy()).max() > 1e-5
    counted = evaluation.predict_probabilities(model, card, [clip, clip], 3, views=4).numpy()
    assert np.allclose(counted, expected, atol=1e-6)
    for trained in (attentive.model, exported):
        target = tmp_path / f"{trained.suffix}.csv"
        given = ["predict", str(trained), str(path), "--test-views", "4", "--csv", str(target)]
        assert main(given) == 0
        assert np.allclose(rows_of(target)[str(path)], expected, atol=2e-6)


def test_test_views_differ_in_speed_beginning_and_place() -> None:
    # Grey rises over time, to the right and downwards: what is seen can be read off.
    time, down, right = np.ogrid[:40, :50, :100]
    frames = np.stack(np.broadcast_arrays(time, down, right), axis=3).astype(np.uint8)
    clip = Decoded(frames, np.arange(40) / 10, source_fps=10.0, end=4.0)
    image = ImageSpec(height=50, width=100, channels=3, fit="stretch")
    first, *views = fixed_views(clip, image, VIDEO, 30)
    assert np.array_equal(first, centre(clip, image, VIDEO))
    assert [len(view) for view in views] == [VIDEO.frames] * 29
    begins, rows, columns = np.array([view[0, 25, 50] for view in views], int).T
    assert begins.min() <= 2
    assert begins.max() >= 32
    assert (rows - 25).min() == -3, "6 % of each side"
    assert (rows - 25).max() == 3
    assert (columns - 50).min() <= -5
    assert (columns - 50).max() >= 5
    passed = {int(view[-1, 25, 50, 0]) - int(view[0, 25, 50, 0]) for view in views}
    assert passed == {4, 5, 6}, "10 % slower or faster"


def test_views_of_a_short_clip_or_an_image_are_short_too() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    clip = Decoded(frames, np.arange(3) / 10, source_fps=10.0, end=0.3)
    image = ImageSpec(height=8, width=8, channels=1, fit="stretch")
    assert {len(view) for view in fixed_views(clip, image, VIDEO, 9)} <= {2, 3, 4}
    rows = ImageSpec(height=1, width=8, channels=1, fit="stretch")
    sequence = StripSequence(kind="rows", steps=8, longer="crop")
    still = Decoded(frames[:1], np.zeros(1))
    assert [len(view) for view in fixed_views(still, rows, sequence, 5)] == [8] * 5


def test_test_views_beside_every_window_are_refused(
    exported: Path, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["predict", str(exported), str(takes), "--every-window", "--test-views", "3"]
    assert main(given) == 2
    assert "--test-views 3: --every-window averages" in capsys.readouterr().err


def test_windows_cover_a_clip_to_its_end() -> None:
    def firsts(frames: int) -> list[tuple[int, int]]:
        pixels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
        clip = Decoded(pixels, np.arange(frames) / 10)
        return [(int(w[0, 0, 0, 0]), int(w[-1, 0, 0, 0])) for w in windows(clip, IMAGE, VIDEO)]

    assert firsts(20) == [(0, 5), (3, 8), (6, 11), (9, 14), (12, 17), (14, 19)]
    assert firsts(7) == [(0, 5), (1, 6)]
    assert firsts(6) == [(0, 5)]
    assert firsts(4) == [(0, 3)], "a short clip is one short window"
    one = Decoded(np.zeros((1, 2, 2, 3), np.uint8), np.zeros(1))
    assert [len(w) for w in windows(one, IMAGE, VIDEO)] == [1]
    assert len(centre(one, IMAGE, VIDEO)) == 1


def test_model_onnx_is_used_without_torch(exported: Path, takes: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('torch', 'torchvision', 'lightning', 'onnx'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from seqvision.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["predict", str(exported), str(takes), "--top", "2"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [Path(line[0]).name for line in lines] == ["long.mp4", "take 2.mp4", "take 10"]
    for _, label, share, second, less in lines:
        assert {label, second} < {"left", "none", "right"}
        assert float(share) >= float(less)


def test_a_broken_clip_is_reported_and_the_rest_predicted(
    exported: Path, takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (takes / "bad.mp4").write_text("text")
    (takes / "take 10" / "4.png").write_text("text")
    target = tmp_path / "answers.csv"
    before = set(Path(tempfile.gettempdir()).glob("seqvision-*"))
    assert main(["predict", str(exported), str(takes), "--csv", str(target)]) == 3
    out, err = capsys.readouterr()
    assert out.count("\n") == 3
    assert f"left out: {takes / 'bad.mp4'}: not a video" in err
    assert f"{takes / 'take 10'}: decoded 8 of 9 images" in err
    assert len(rows_of(target)) == 3
    assert set(Path(tempfile.gettempdir()).glob("seqvision-*")) <= before


def test_no_readable_clips_is_one_line(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("text")
    target = tmp_path / "answers.csv"

    def errors(*arguments: str) -> list[str]:
        assert main(["predict", str(exported), *arguments, "--csv", str(target)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert not target.exists()
        return err.splitlines()

    assert errors(str(bad))[-1] == "none of 1 clips can be read"
    assert len(errors(str(bad))) == 2
    (line,) = errors("missing.mp4")
    assert line == "missing.mp4: no such file or folder"
    (line,) = errors(str(tmp_path / "*.avi"))
    assert line.endswith("*.avi: no clip matches this pattern")
    (tmp_path / "empty").mkdir()
    (line,) = errors(str(tmp_path / "empty"))
    assert "no videos or images in it" in line
    (line,) = errors()
    assert "CLIP is missing" in line
    assert main(["predict", "missing.onnx", str(bad)]) == 2
    assert "missing.onnx: no such file" in capsys.readouterr().err
    assert main(["predict", "missing.pt", str(bad)]) == 2
    assert "missing.pt: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("device", ["tensorrt", "openvino", "coreml", "directml"])
def test_a_torch_model_with_an_onnxruntime_device_is_one_line(
    attentive: Trained, takes: Path, device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(attentive.model), str(takes), "--device", device]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"--device {device}: torch computes on cpu or cuda; {device} runs a model.onnx, made with: "
        "seqvision export\n"
    )


def test_an_exported_model_takes_the_devices_of_its_onnxruntime(
    exported: Path, takes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = onnxruntime.get_available_providers()
    for device, way in DEVICES.items():
        if way.provider not in there:
            assert main(["predict", str(exported), str(takes), "--device", device]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert err.startswith(f"--device {device}: this onnxruntime does not have it; get it")
            assert way.install in err
            assert err.count("\n") == 1
    assert main(["predict", str(exported), str(takes), "--device", "cpu"]) == 0
    assert main(["predict", str(exported), str(takes), "--device", "abacus"]) == 2
    assert "openvino" in capsys.readouterr().err


def test_an_unwritable_csv_is_one_line(
    exported: Path, takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "no" / "answers.csv"
    assert main(["predict", str(exported), str(takes), "--csv", str(target)]) == 2
    assert "answers.csv: there is no folder" in capsys.readouterr().err


def test_paths_are_expanded_in_natural_order(takes: Path) -> None:
    def names(given: str) -> list[str]:
        return [str(path.relative_to(takes)) for path in find_paths(str(takes / given))]

    assert names(".") == ["more/long.mp4", "take 2.mp4", "take 10"]
    assert names("take 10") == ["take 10"]
    assert names("take 10/3.png") == ["take 10/3.png"]
    assert names("take*") == ["take 2.mp4", "take 10"]
    assert names("**/*.mp4") == ["more/long.mp4", "take 2.mp4"]
    assert names("take 10/*.png")[-2:] == ["take 10/7.png", "take 10/8.png"]
    (takes / "more" / "back").symlink_to(takes)
    assert "more/long.mp4" in names("."), "a link back to where it is ends"
    assert names("notes.txt") == ["notes.txt"], "what is named is tried, and then told"
    (takes / "[a].mp4").write_text("x")
    assert names("[a].mp4") == ["[a].mp4"], "a name wins over a pattern"
    with pytest.raises(DataError, match="no clip matches"):
        find_paths(str(takes / "*.txt"))
    shutil.rmtree(takes / "more")


def test_a_still_image_model_predicts_images_and_refuses_videos(
    stills: Trained,
    takes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = stills.model.parent / "images"
    exported = tmp_path / "model.onnx"
    prove_here(monkeypatch)
    assert main(["export", str(stills.model), "--output", str(exported)]) == 0
    found = []
    for model in (stills.model, exported):
        target = tmp_path / "answers.csv"
        capsys.readouterr()
        command = ["predict", str(model), str(images), "--csv", str(target), "--every-window"]
        assert main(command) == 0
        assert capsys.readouterr().out.count("\n") == 16
        found.append([list(map(float, row[3:])) for row in csv.reader(target.open())
                      if row[0] != "path"])  # fmt: skip
    assert np.abs(np.subtract(*found)).max() <= 1e-4
    video = takes / "take 2.mp4"
    assert main(["predict", str(stills.model), str(video), str(images / "low" / "0.png")]) == 3
    out, err = capsys.readouterr()
    assert "take 2.mp4: not a still image" in err
    assert out.count("\n") == 1
    assert len(find_paths(str(takes), images=True)) == 9


@pytest.mark.parametrize("how", [(), ("--every-window",)])
def test_the_server_gives_the_same_predictions(
    exported: Path, takes: Path, tmp_path: Path, how: tuple[str, ...]
) -> None:
    target = tmp_path / "answers.csv"
    assert main(["predict", str(exported), str(takes), *how, "--csv", str(target)]) == 0
    found = rows_of(target)
    query = {"probabilities": "true", "every_window": str(bool(how)).lower()}
    with serving(Session(exported, "cpu")) as running, running.client() as client:
        for path, truth in found.items():
            clip = Path(path)
            files = sorted(clip.iterdir()) if clip.is_dir() else [clip]
            parts = [("file", (file.name, file.read_bytes())) for file in files]
            (answer,) = client.post("/v1/predict", files=parts, params=query).json()["predictions"]
            assert list(answer["probabilities"].values()) == pytest.approx(truth, abs=2e-6)
    assert len(found) == 3
