"""`train --teacher`: a student learns what other models predict for clips, labelled or not."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import square_clip, write_frames
from export_models import prove_here
from onnx import TensorProto, helper, numpy_helper
from trainings import FEW, options, same, train, weights

from seqvision.cli import main
from seqvision.config import (
    AugmentOptions,
    DistillationOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.data.augment import make_augmenter
from seqvision.data.clip_views import view
from seqvision.data.decode import Decoded
from seqvision.data.unlabelled import find_unlabelled
from seqvision.errors import DataError
from seqvision.evaluation import predict_probabilities
from seqvision.training import teachers
from seqvision.training.data import Data, load_dataset
from seqvision.training.distillation import TargetLoss, Targets, make_targets
from seqvision.training.foreign_teacher import open_foreign
from seqvision.training.model_io import load_model, load_used_clips
from seqvision.training.teacher_files import find_teachers
from seqvision.training.teachers import Taught, ask_teachers
from seqvision.training.train import Trained
from seqvision_edge.card import ImageSpec, VideoSequence

CPU = torch.device("cpu")


def predicted(requested: TrainOptions, data: Data | None = None) -> Taught:
    return ask_teachers(requested, data or load_dataset(requested), CPU)


def with_teachers(requested: TrainOptions, *paths: Path, **more: object) -> TrainOptions:
    learned = DistillationOptions(teacher=paths, **more)
    return requested.model_copy(update={"distillation": learned})


@pytest.fixture(scope="module")
def teacher(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("teacher")
    size = {"clips": {"size": 20, "frames": 5}, "model": {"head": "gru"}}
    return train(options(squares, folder, epochs=12, **size))


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips without labels."""
    folder = tmp_path_factory.mktemp("loose")
    for number in range(6):
        write_frames(folder / str(number), square_clip(number % 3 - 1, 900 + number, 8))
    return folder


def targets_of(labels: list[int], soft: torch.Tensor, **given: object) -> Targets:
    return Targets(
        len(labels), torch.tensor(labels), soft, DistillationOptions(**given), frozenset()
    )


def test_the_loss_is_that_of_hinton_vinyals_and_dean() -> None:
    torch.manual_seed(0)
    logits, soft = torch.randn(3, 4), torch.randn(3, 4).softmax(1)
    labels, weight, heat = torch.tensor([2, 0, 3]), 0.3, 3.0
    rarity = torch.tensor([1.0, 2.0, 0.5, 1.5])
    training = TrainingOptions(label_smoothing=0.0)
    given = {"teacher_weight": weight, "teacher_temperature": heat}
    loss = TargetLoss(targets_of(labels.tolist(), soft, **given), training, rarity)
    student = (logits / heat).softmax(1)
    apart = (soft * (soft / student).log()).sum(1)
    own = -logits.log_softmax(1)[torch.arange(3), labels]
    expected = ((1 - weight) * own + weight * heat**2 * apart) * rarity[labels]
    assert loss(logits, torch.arange(3)) == pytest.approx(float(expected.sum()), rel=1e-5)
    # A clip without a label has only what its teachers predict.
    loss = TargetLoss(targets_of([-1, -1, -1], soft, **given), training, rarity)
    expected = weight * heat**2 * apart
    assert loss(logits, torch.arange(3)) == pytest.approx(float(expected.sum()), rel=1e-5)
    assert loss.weights.tolist() == [1, 1, 1]


def test_mirrored_and_reversed_clips_have_the_targets_of_what_they_show(
    squares: Path, tmp_path: Path
) -> None:
    augmentation = AugmentOptions(
        augment="none", flip=True, swap=("left:right",), reverse=True,
        reverse_swap=("left:right",),
    )  # fmt: skip
    requested = options(squares, tmp_path).model_copy(update={"augmentation": augmentation})
    data = load_dataset(requested)
    soft = torch.rand(len(data.clips), 3, generator=torch.Generator().manual_seed(1))
    targets = make_targets(requested, data, soft)
    plain = make_augmenter(augmentation, data.labels)
    by_row = targets.for_rows(plain)
    assert plain is not None
    exchange = [data.labels.index(label) for label in ("right", "none", "left")]
    exchange = [exchange[("left", "none", "right").index(label)] for label in data.labels]
    seen = set()
    for row, index in enumerate(data.split.train):
        for epoch in range(8):
            given = (data.decoded[index], data.image, data.sequence)
            clip, image, sequence = given
            steps, label = view(clip, data.truth[index], image, sequence, plain, (0, epoch))
            same_steps, found = view(clip, row, image, sequence, by_row, (0, epoch))
            assert np.array_equal(steps, same_steps)
            assert targets.labels[found] == label
            turned = found // targets.clips  # backwards, mirrored, both: each exchanges the two
            expected = soft[index] if turned in (0, 3) else soft[index][exchange]
            assert torch.allclose(targets.probabilities[found], expected)
            seen.add(turned)
    assert seen == {0, 1, 2, 3}


def test_a_teacher_answers_at_its_own_size_and_is_asked_once(
    squares: Path, teacher: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = with_teachers(options(squares, tmp_path), teacher.model, teacher_temperature=1)
    data = load_dataset(requested)
    found = predicted(requested, data)
    model, card = load_model(teacher.model)
    assert card.image.height != data.image.height
    size = options(squares, tmp_path, clips={"size": 20, "frames": 5})
    own = load_dataset(size)
    expected = predict_probabilities(model, card, own.decoded, 8)
    assert torch.allclose(found.probabilities, expected, atol=1e-6)
    # Predictions are in the cache, for the same clips at another size of the student too.
    monkeypatch.setattr(teachers, "logits_of", lambda *_: pytest.fail("predicted again"))
    larger = with_teachers(options(squares, tmp_path, clips={"size": 24}), teacher.model)
    heated = predicted(larger).probabilities
    powers = expected.clamp(min=1e-8) ** (1 / larger.distillation.teacher_temperature)
    assert torch.allclose(heated, powers / powers.sum(1, keepdim=True), atol=1e-5)


def test_what_was_asked_before_an_interruption_is_kept(
    squares: Path, teacher: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = with_teachers(options(squares, tmp_path), teacher.model)
    data = load_dataset(requested)
    counted: list[int] = []
    logits_of = teachers.logits_of

    def once(model: object, card: object, clips: list[Decoded], size: int) -> torch.Tensor:
        if len(counted) == 1:
            raise KeyboardInterrupt
        counted.append(len(clips))
        return logits_of(model, card, clips, size)

    monkeypatch.setattr(teachers, "logits_of", once)
    with pytest.raises(KeyboardInterrupt):
        predicted(requested, data)

    def rest(model: object, card: object, clips: list[Decoded], size: int) -> torch.Tensor:
        counted.append(len(clips))
        return logits_of(model, card, clips, size)

    monkeypatch.setattr(teachers, "logits_of", rest)
    predicted(requested, data)
    assert sum(counted) == len(data.clips)


def test_an_exported_teacher_predicts_as_its_model(
    squares: Path, teacher: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    exported = tmp_path / "teacher.onnx"
    assert main(["export", str(teacher.model), "--output", str(exported)]) == 0
    requested = options(squares, tmp_path)
    of_export = predicted(with_teachers(requested, exported)).probabilities
    of_model = predicted(with_teachers(requested, teacher.model)).probabilities
    assert torch.allclose(of_export, of_model, atol=1e-4)
    both = predicted(with_teachers(requested, exported, teacher.model)).probabilities
    assert torch.allclose(both, of_model, atol=1e-4)


def test_clips_that_a_teacher_learned_are_left_to_those_that_did_not() -> None:
    knows = np.array([[True, True, False, False], [True, False, False, True]])
    weights = teachers._not_known(knows)
    assert weights.tolist() == [[0.5, 0, 0.5, 1], [0.5, 1, 0.5, 0]]


def test_a_student_learns_from_clips_without_labels_and_says_so(
    squares: Path, loose: Path, teacher: Trained, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    model = {"bidirectional": False}
    alone = train(options(squares, tmp_path / "alone", model=model))
    requested = options(squares, tmp_path, epochs=3, model=model)
    requested = with_teachers(requested, teacher.model, unlabelled=loose)
    capsys.readouterr()
    trained = train(requested)
    printed = capsys.readouterr()
    assert "6 clips without labels" in printed.err + printed.out
    assert not same(weights(trained), weights(alone))
    metrics = json.loads((trained.run / "metrics.json").read_text())
    assert metrics["teachers"]["summary"].startswith(f"learned from {teacher.model}")
    assert "learned from" in (trained.run / "report.html").read_text(encoding="utf-8")
    _, card = load_model(trained.model)
    assert card.origin.data["unlabelled"] == 6
    assert any(note.startswith("learned from") for note in card.origin.notes)
    used = load_used_clips(trained.model)
    before = load_used_clips(alone.model)
    assert used is not None
    assert before is not None
    assert len(used.train) == len(before.train) + 6
    assert used.val == before.val

    # The same again, stopped after an epoch and resumed, is the same model.
    request.getfixturevalue("no_pictures")
    again = requested.model_copy(update={"runs": tmp_path / "again", "output": tmp_path / "b.pt"})
    assert same(weights(train(again)), weights(trained))
    resumed = train(TrainOptions(resume=trained.run))
    assert same(weights(resumed), weights(trained))


def constant(tmp_path: Path, name: str = "light.onnx", labels: str = "bright\ndark\n") -> Path:
    """Write a model of clips that names what is bright, from the mean of all pixels."""
    nodes = [
        helper.make_node("ReduceMean", ["clip", "axes"], ["m"], keepdims=0),
        helper.make_node("Unsqueeze", ["m", "one"], ["u"]),
        helper.make_node("Mul", ["u", "signs"], ["out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3, 4]),
        "one": np.array([1]),
        "signs": np.array([[8.0, -8.0]], np.float32),
    }
    return foreign(tmp_path, nodes, constants, ["b", 3, 4, 16, 16], name, labels)


def foreign(
    tmp_path: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],  # type: ignore[type-arg]
    shape: list[int | str],
    name: str = "clip.onnx",
    labels: str | None = "left\nnone\nright\n",
    kind: int = TensorProto.FLOAT,
) -> Path:
    """Write an ONNX model of clips as others make them."""
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("clip", kind, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    path = tmp_path / name
    onnx.save(model, path)
    if labels is not None:
        path.with_suffix(".txt").write_text(labels)
    return path


@pytest.mark.usefixtures("no_pictures")
def test_with_all_weight_on_its_teacher_a_student_predicts_the_same(tmp_path: Path) -> None:
    """The labels of the clips are exchanged, so that only the teacher can have taught it."""
    generator = np.random.default_rng(0)
    for label, level in (("bright", 30), ("dark", 220)):
        for number in range(10):
            noise = generator.integers(0, 30, (6, 16, 16, 3), np.uint8)
            write_frames(tmp_path / "clips" / label / str(number), noise + np.uint8(level))
    requested = options(
        tmp_path / "clips", tmp_path, epochs=20, clips={"frames": 4}, model={"head": "mean"},
        augmentation={"augment": "none"}, training={"lr": 0.01},
    )  # fmt: skip
    light = constant(tmp_path)
    learned = with_teachers(requested, light, teacher_weight=1, teacher_normalize="symmetric")
    trained = train(learned)
    assert trained.val is not None
    assert trained.val.accuracy == 0, "it follows the teacher, not the labels"


@pytest.mark.parametrize(
    ("shape", "order", "kind"),
    [
        ([1, 3, 4, 8, 10], (3, 0, 1, 2), TensorProto.FLOAT),
        (["n", 4, 3, 8, 10], (0, 3, 1, 2), TensorProto.FLOAT),
        (["n", "t", "h", "w", 3], (0, 1, 2, 3), TensorProto.UINT8),
        ([1, 3, 4, 8, 10], (3, 0, 1, 2), TensorProto.FLOAT16),
    ],
)
@pytest.mark.parametrize("softmax", [False, True])
def test_a_clip_model_of_others_gets_its_own_axes_and_pixels(
    shape: list[int | str], order: tuple[int, ...], kind: int, softmax: bool, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Cast", ["clip"], ["f"], to=1),
        helper.make_node("ReduceMean", ["f", "axes"], ["m"], keepdims=0),
        helper.make_node("Softmax", ["m"], ["s"], axis=1),
        helper.make_node("Identity", ["s" if softmax else "m"], ["out"]),
    ]
    # What is left is the axis of the channels: a label for each colour.
    axes = np.array([1 + order.index(axis) for axis in (0, 1, 2)])
    path = foreign(tmp_path, nodes, {"axes": axes}, shape, kind=kind)
    image = ImageSpec(height=8, width=10, channels=3, fit="stretch")
    sequence = VideoSequence(kind="video", fps=5, frames=4)
    model = open_foreign(path, path.read_bytes(), image, sequence, "unit")
    assert (model.image.height, model.image.width, model.sequence.frames) == (8, 10, 4)
    clip = np.random.default_rng(0).integers(0, 256, (4, 8, 10, 3), np.uint8)
    clip[..., 0] //= 4
    means = clip.mean((0, 1, 2)) / (1 if kind == TensorProto.UINT8 else 255)
    expected = np.exp(means - means.max())
    assert np.allclose(model.answer(clip), expected / expected.sum(), atol=2e-3)
    # A shorter clip ends with its last frame, where the model has one length.
    if isinstance(shape[1 + order.index(0)], int):
        whole = np.concatenate([clip[:2], clip[1:2], clip[1:2]])
        assert np.allclose(model.answer(clip[:2]), model.answer(whole))


def test_labels_that_no_clip_has_are_left_out_of_predictions(squares: Path, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["clip", "axes"], ["m"], keepdims=0),
        helper.make_node("Unsqueeze", ["m", "one"], ["u"]),
        helper.make_node("Mul", ["u", "none"], ["z"]),
        helper.make_node("Add", ["z", "fixed"], ["out"]),
    ]
    constants = {
        "axes": np.array([1, 2, 3, 4]),
        "one": np.array([1]),
        "none": np.zeros((1, 4), np.float32),
        "fixed": np.log(np.array([[0.1, 0.6, 0.2, 0.1]], np.float32)),
    }
    path = foreign(tmp_path, nodes, constants, ["b", 3, 4, 8, 8], labels="right\nup\nnone\nleft\n")
    requested = with_teachers(options(squares, tmp_path), path, teacher_temperature=1)
    data = load_dataset(requested)
    assert data.labels == ("left", "none", "right")
    found = predicted(requested, data).probabilities
    assert torch.allclose(found, torch.tensor([0.25, 0.5, 0.25]).expand_as(found), atol=1e-5)


def _no_labels(tmp_path: Path) -> list[str]:
    path = constant(tmp_path)
    path.with_suffix(".txt").unlink()
    return ["--teacher", str(path)]


REFUSED = {
    "missing": (lambda folder: ["--teacher", str(folder / "no.pt")], "no.pt: no such model"),
    "a video": (
        lambda folder: ["--teacher", str(_text(folder / "a.mp4"))],
        "not a model; give a model.pt, a model.onnx or a run folder",
    ),
    "no model": (lambda folder: ["--teacher", str(_text(folder / "m.pt"))], "not a model file"),
    "no graph": (lambda folder: ["--teacher", str(_text(folder / "m.onnx"))], "not an ONNX model"),
    "an empty folder": (
        lambda folder: ["--teacher", str(_folder(folder / "empty"))],
        "no model in this folder",
    ),
    "no labels": (_no_labels, "needs its labels in light.txt, one a line"),
    "labels twice": (
        lambda folder: ["--teacher", str(constant(folder, labels="a\na\n"))],
        "one is there twice",
    ),
    "other labels": (
        lambda folder: ["--teacher", str(constant(folder))],
        "does not know the label 'left' (it knows bright, dark)",
    ),
    "twice": (
        lambda folder: 2 * ["--teacher", str(constant(folder, labels="left\nnone\nright"))],
        "is given twice",
    ),
    "torchvision": (lambda folder: ["--teacher", "torchvision:r3d_18"], "export the network"),
    "too few answers": (
        lambda folder: ["--teacher", str(constant(folder, labels="left\nnone\nright"))],
        "gives 2 numbers and has 3 labels",
    ),
    "a picture model": (
        lambda folder: ["--teacher", str(foreign(
            folder, [helper.make_node("Identity", ["clip"], ["out"])], {}, [1, 3, 8, 8]))],
        "a clip is floats or bytes with five axes",
    ),
    "no teacher": (lambda folder: ["--unlabelled", str(folder)], "needs a model that labels them"),
    "context": (
        lambda folder: ["--teacher", str(constant(folder, labels="left\nnone\nright")),
                        "--context", "1"],
        "--context 1: draws other windows in every epoch",
    ),
    "no effect": (lambda _: ["--teacher-weight", "0.5"], "has no effect without --teacher"),
    "no clips": (
        lambda folder: ["--teacher", str(constant(folder, labels="left\nnone\nright")),
                        "--unlabelled", str(folder / "nowhere")],
        "no such folder or list",
    ),
}  # fmt: skip


def _text(path: Path) -> Path:
    path.write_text("hello")
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_is_one_line_and_nothing_is_left(
    name: str, squares: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    make, message = REFUSED[name]
    assert main(["train", str(squares), *FEW, "--frames", "4", *make(tmp_path)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in line
    assert len(line) < 400
    assert not (tmp_path / "runs").exists()


def test_a_folder_is_an_ensemble_of_its_models(teacher: Trained, tmp_path: Path) -> None:
    content = teacher.model.read_bytes()
    for number in (2, 10, 1):
        (tmp_path / f"fold{number}").mkdir()
        (tmp_path / f"fold{number}" / "model.pt").write_bytes(content)
    files = [file.path.parent.name for file in find_teachers([tmp_path])]
    assert files == ["fold1", "fold2", "fold10"]
    (run,) = find_teachers([teacher.run])
    assert run.path.parent == teacher.run
    (exports,) = find_teachers([teacher.model.parent])
    assert exports.path == teacher.model


def test_a_teacher_that_knows_clips_that_validate_is_a_warning(
    squares: Path, teacher: Trained, tmp_path: Path
) -> None:
    requested = with_teachers(options(squares, tmp_path), teacher.model)
    data = load_dataset(requested)
    found = predicted(requested, data)
    assert not found.warnings, "the same split: nothing that validates trained it"
    assert found.accuracy is not None
    other = requested.model_copy(
        update={"training": requested.training.model_copy(update={"seed": 5})}
    )
    (warning,) = predicted(other).warnings
    assert warning.startswith("--teacher: was trained on ")


def test_clips_without_labels_are_none_that_validate(squares: Path, teacher: Trained,
                                                     tmp_path: Path) -> None:  # fmt: skip
    requested = options(squares, tmp_path)
    found, _ = find_unlabelled(squares, images=False, truth=False)
    assert found
    with pytest.raises(DataError, match="no clip is left to learn from"):
        predicted(with_teachers(requested, teacher.model, unlabelled=squares))


def test_a_search_refuses_the_options_of_a_student(
    tmp_path: Path, squares: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "options.yaml"
    path.write_text("distillation:\n  teacher: [model.pt]\n")
    assert main(["tune", str(squares), "--config", str(path)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--config {path}: trained with --teacher, which a search does not use" in line


@pytest.mark.usefixtures("no_pictures")
def test_folds_have_teachers_and_a_warning_where_these_know_what_is_held_out(
    squares: Path, teacher: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folds = ["--folds", "2", "--epochs", "1", "--frames", "4", "--teacher", str(teacher.model)]
    assert main(["train", str(squares), *FEW, *folds]) == 0
    printed = " ".join(capsys.readouterr().err.split())
    assert printed.count("learned from") == 1
    assert "fold 1/2: --teacher: was trained on " in printed
