"""`--encoder FILE.onnx`: frozen ONNX frame models, as torch and others write them."""

import copy
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from export_models import build, prove_here
from onnx_frame_models import MODELS, REFUSED, SIZE, channels_last, grey, simple
from onnx_mutations import MUTATIONS

from seqvision.cli import main
from seqvision.config import ModelOptions, TrainOptions
from seqvision.errors import CheckpointError, WeightsError
from seqvision.models.classifier import Classifier
from seqvision.models.encoders import build_encoder, pixel_range
from seqvision.models.onnx_encoder import FrameModel, adapted, check_frame_model, frame_model
from seqvision.training.features import encoder_fingerprint
from seqvision.training.model_io import Content, load_model, read, save_model, write
from seqvision.tuning.search_space import is_active
from seqvision_edge.card import ImageSpec
from seqvision_edge.session import Session

FUZZ_ALL = os.environ.get("SEQVISION_FUZZ") == "all"
IMAGE = ImageSpec(height=SIZE, width=SIZE, channels=3, fit="stretch")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adapt in this process: a child takes a second to start."""
    monkeypatch.setattr("seqvision.models.onnx_encoder.can_start", lambda: False)


def saved(tmp_path: Path, content: bytes, name: str = "frame.onnx") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the line with which a command refuses."""
    assert main(list(words)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def original(content: bytes, images: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Return the features that the file itself gives, image by image, averaged over positions."""
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    last = given.shape[3] == 3
    kind = np.float16 if "float16" in given.type else np.float32
    found = []
    for image in images.astype(kind):
        shown = image.transpose(1, 2, 0) if last else image
        (features,) = session.run(None, {given.name: shown[None]})
        if features.ndim == 4:  # that of float16 is NHWC at its end
            features = features.mean((1, 2) if kind is np.float16 else (2, 3), np.float32)
        found.append(features[0])
    return np.stack(found)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_any_exporter_gives_its_own_features_for_any_batch(
    name: str, tmp_path: Path, here: None
) -> None:
    content = MODELS[name]()
    model = frame_model(saved(tmp_path, content), 3, SIZE, SIZE)
    images = np.random.default_rng(1).normal(size=(5, 3, SIZE, SIZE)).astype(np.float32)
    expected = original(content, images)
    assert np.ptp(expected, axis=0).max() > 0.01, "the features depend on the image"
    for count in (5, 1):
        found = model(torch.from_numpy(images[:count])).numpy()
        assert found.dtype == np.float32
        assert found.shape == (count, model.features)
        tolerance = 2e-3 if name == "float16" else 1e-5
        assert np.abs(found - expected[:count]).max() <= tolerance * max(1, np.abs(expected).max())
    assert model(torch.zeros(0, 3, SIZE, SIZE)).shape == (0, model.features)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_an_encoder_is_one_line_before_any_clip_is_read(
    name: str, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    if name not in ("a bomb", "cut off"):
        request.getfixturevalue("here")
    make, reason = REFUSED[name]
    path = saved(tmp_path, make())
    line = refused(capsys, "train", str(clips), "--encoder", str(path), "--size", str(SIZE))
    assert f"--encoder {path}: {reason}" in line
    assert len(line) < 400
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--encoder {}/missing.onnx", "missing.onnx: no such ONNX file"),
        ("--encoder {}/frame.onnx --size 48", "--size 48: frame.onnx takes images of 32×32 only"),
        ("--encoder {}/frame.onnx --weights imagenet", "--weights imagenet: frame.onnx has its"),
        ("--encoder {}/frame.onnx --unfreeze-at 2", "--unfreeze-at 2: frame.onnx stays as it is"),
        ("--encoder {}/frame.onnx --normalize 0.5", "--normalize 0.5: "),
        ("--encoder {}/frame.onnx --normalize 0.5,0.5,0.5:0,1,1", "--normalize 0.5,0.5,0.5:0,1,1"),
        ("--encoder {}/frame.onnx --normalize imagenett", "did you mean imagenet"),
        ("--encoder {}/grey.onnx", "takes grey images; add --grayscale"),
        ("--encoder {}/grey.onnx --grayscale --normalize imagenet", "takes grey images"),
        ("--encoder {}/frame.ONX", "a file NAME.onnx"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_options_is_one_line(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, message: str,
    monkeypatch: pytest.MonkeyPatch, here: None,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, simple())
    saved(tmp_path, grey(), "grey.onnx")
    given = [word.format(tmp_path) for word in words.split()]
    more = ["--frames", "2", "--cache", str(tmp_path / "cache")]
    assert main(["train", str(clips), *given, *more]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in line
    assert "Traceback" not in line


def test_an_onnx_encoder_is_frozen_and_reads_motion() -> None:
    options = ModelOptions(encoder="some/where/net.onnx")
    assert options.freeze
    assert options.reads == "both"
    assert options.encoder_name == "net.onnx"
    assert not ModelOptions(encoder="resnet18").freeze


def test_pixels_have_the_range_that_is_asked_for() -> None:
    assert pixel_range("net.onnx", "auto")[0] == (0.485, 0.456, 0.406)
    assert pixel_range("net.onnx", "auto", 1) == ((0.0,), (1.0,))
    assert pixel_range("net.onnx", "0.1,0.2,0.3:1,2,3") == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    mean, deviation = pixel_range("resnet18", "bytes")
    assert (255 * mean[0], 255 * deviation[0]) == (0.0, 1.0)
    options = ModelOptions(encoder="flatten", normalize="bytes", head="mean")
    model = Classifier(options, IMAGE, 2)
    frames = torch.randint(0, 256, (1, 1, SIZE, SIZE, 3), dtype=torch.uint8)
    planes = model.normalize(frames[:, 0])
    assert torch.allclose(planes, frames[:, 0].permute(0, 3, 1, 2).float(), atol=1e-3)


def test_a_grey_model_of_its_own_size_reads_grey_frames(tmp_path: Path, here: None) -> None:
    path = saved(tmp_path, grey())
    built = build_encoder(str(path), "auto", 1, 24, 40)
    assert (built.channels, built.features) == (1, 4)
    assert built.module(torch.rand(2, 1, 24, 40)).shape == (2, 4)
    colour = frame_model(saved(tmp_path, simple()), 1, SIZE, SIZE)
    assert colour.channels == 3, "grey frames become three equal channels"


def test_copies_of_an_encoder_run_by_themselves(tmp_path: Path, here: None) -> None:
    model = frame_model(saved(tmp_path, simple()), 3, SIZE, SIZE)
    images = torch.rand(2, 3, SIZE, SIZE)
    expected = model(images)
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(copied(images), expected)


def test_features_are_kept_under_the_content_of_the_file(tmp_path: Path, here: None) -> None:
    def fingerprint(content: bytes, name: str) -> str:
        path = saved(tmp_path, content, name)
        model = Classifier(ModelOptions(encoder=str(path)), IMAGE, 2)
        return encoder_fingerprint(model)

    assert fingerprint(simple(), "a.onnx") == fingerprint(simple(), "b.onnx")
    assert fingerprint(simple(), "a.onnx") != fingerprint(channels_last(), "a.onnx")


def a_model(tmp_path: Path) -> tuple[Classifier, Path]:
    path = saved(tmp_path, channels_last())
    options = ModelOptions(encoder=str(path), hidden=12)
    model, card = build(options, width=SIZE)
    save_model(tmp_path / "model.pt", model, options, card)
    path.unlink()
    return model, tmp_path / "model.pt"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_model_file_stands_alone_and_names_no_path(
    suffix: str, tmp_path: Path, here: None
) -> None:
    model, path = a_model(tmp_path)
    content = read(path)
    assert str(tmp_path) not in content.architecture
    write(path.with_suffix(suffix), content)
    loaded, _ = load_model(path.with_suffix(suffix))
    frames = torch.randint(0, 256, (1, 4, SIZE, SIZE, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(loaded(frames), model(frames))


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["no graph", "as it was", "another size", "missing", "floats",
                                  "elsewhere"])  # fmt: skip
def test_a_model_file_with_another_graph_is_refused(name: str, tmp_path: Path, here: None) -> None:
    _, path = a_model(tmp_path)
    content = read(path)
    tensors = dict(content.weights)
    key = "encoder.content"
    match name:
        case "no graph":
            tensors[key] = _bytes(b"\x08\x08nothing")
        case "as it was":  # a file that was not adapted: a batch of one, its own names
            tensors[key] = _bytes(simple())
        case "another size":
            wide = saved(tmp_path, grey(), "grey.onnx")
            tensors[key] = _bytes(adapted(wide, 24, 40))
        case "missing":
            del tensors[key]
        case "floats":
            tensors[key] = tensors[key].float()
        case "elsewhere":
            tensors["head.more"] = tensors[key]
    changed = Content(content.architecture, content.card, tensors)
    write(path, changed)
    with pytest.raises(CheckpointError) as error:
        load_model(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_training_goes_on_only_with_the_file_that_it_began_with(
    tmp_path: Path, here: None
) -> None:
    first = frame_model(saved(tmp_path, simple()), 3, SIZE, SIZE)
    other = frame_model(saved(tmp_path, simple(opset=18), "other.onnx"), 3, SIZE, SIZE)
    first.load_state_dict(first.state_dict())
    changed = FrameModel(other.to_bytes(), "frame.onnx")
    with torch.no_grad():
        changed.content[-1] ^= 1
    with pytest.raises(CheckpointError, match=r"--encoder frame\.onnx: not the file that the"):
        first.load_state_dict(changed.state_dict())


def test_a_file_is_checked_for_the_size_that_it_will_have(tmp_path: Path) -> None:
    check_frame_model(saved(tmp_path, simple()), None)
    with pytest.raises(WeightsError, match="takes images of 32×32 only"):
        check_frame_model(tmp_path / "frame.onnx", 40)


@pytest.mark.slow
def test_an_onnx_encoder_trains_exports_in_every_precision_and_runs(
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prove_here(monkeypatch)
    monkeypatch.chdir(tmp_path)
    encoder = saved(tmp_path, channels_last())
    train = "--encoder frame.onnx --normalize unit --epochs 2 --frames 4 --cache cache --views 1"
    assert main(["train", str(clips), *train.split(), "--no-autotune", "--workers", "0"]) == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert "frame.onnx" in run.name
    assert main(["train", "--resume", str(run)]) == 0, "a finished run is written again"
    encoder.write_bytes(simple())
    assert main(["train", "--resume", str(run)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "frame.onnx: not the file that the training began with" in line
    encoder.unlink()
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, SIZE, SIZE, 3), np.uint8)
    model, _ = load_model(Path("model.pt"))
    with torch.inference_mode():
        expected = model(torch.from_numpy(frames)).softmax(1).numpy()
    for precision, tolerance in (("fp32", 1e-4), ("fp16", 0.02), ("int8", 0.3)):
        given = ["--precision", precision, "--calibrate", str(clips), "--cache", "cache"]
        more = given if precision != "fp32" else []
        drop = ["--max-accuracy-drop", "100"] if precision == "int8" else []
        assert main(["export", "model.pt", *more, *drop]) == 0
        session = Session(Path("model.onnx").read_bytes())
        answers, _ = session.run(frames)
        assert np.abs(answers - expected).max() <= tolerance, precision
        stream = session.stream()
        for step in frames[0]:
            found = stream.push(step[None])
            assert found is not None
        assert np.abs(found - answers[0]).max() <= 1e-4


def test_a_training_without_onnx_models_imports_neither_onnx_nor_its_runtime() -> None:
    """Each takes a moment of the start; clips are decoded before torch is there."""
    code = (
        "import sys; import seqvision.training.data; print('torch' in sys.modules)\n"
        "import seqvision.training.train\n"
        "print('onnx' in sys.modules, 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "False"]


def test_a_search_leaves_alone_what_an_onnx_encoder_has_no_room_for() -> None:
    of_file = TrainOptions(model=ModelOptions(encoder="net.onnx"))
    of_torch = TrainOptions(model=ModelOptions(encoder="resnet18"))
    for name in ("weights", "freeze", "unfreeze_at", "encoder_lr_scale"):
        assert not is_active(name, {}, of_file)
        assert is_active(name, {}, of_torch)


@pytest.mark.fuzz
@pytest.mark.slow
def test_mutated_models_are_encoders_or_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In one child for each file, as ever: none ends, stops or fills this process."""
    bases = [MODELS[name]() for name in ("a batch of one", "channels last", "embedding")]
    numbers = range(0, 400, 1 if FUZZ_ALL else 100)
    record_property("tried", ("frame models, mutated", len(numbers)))
    lines: list[str] = []
    for number in numbers:
        choice = random.Random(number)
        model = onnx.load_model_from_string(choice.choice(bases))
        for _ in range(choice.choice((1, 1, 2, 3))):
            choice.choice(MUTATIONS)(model.graph, choice)
        path = saved(tmp_path, model.SerializeToString())
        try:
            encoder = frame_model(path, 3, SIZE, SIZE)
        except WeightsError as error:
            lines += [str(error)]
            continue
        assert encoder(torch.zeros(2, 3, SIZE, SIZE)).shape == (2, encoder.features), number
    assert not [line for line in lines if "\n" in line]


@pytest.mark.fuzz
def test_mutated_graphs_in_a_model_file_are_refused_or_run(
    tmp_path: Path, here: None, record_property: Callable[[str, object], None]
) -> None:
    """A model.pt of a stranger: its graph is checked before onnxruntime reads it."""
    _, path = a_model(tmp_path)
    content = read(path)
    graph = content.weights["encoder.content"].numpy().tobytes()
    frames = torch.randint(0, 256, (1, 2, SIZE, SIZE, 3), dtype=torch.uint8)
    numbers = range(0, 4000, 1 if FUZZ_ALL else 50)
    record_property("tried", ("model.pt, mutated encoders", len(numbers)))
    loaded = 0
    lines: list[str] = []
    for number in numbers:
        choice = random.Random(number)
        model = onnx.load_model_from_string(graph)
        for _ in range(choice.choice((1, 1, 2, 3))):
            choice.choice(MUTATIONS)(model.graph, choice)
        tensors = {**content.weights, "encoder.content": _bytes(model.SerializeToString())}
        write(path, Content(content.architecture, content.card, tensors))
        try:
            model_file, _ = load_model(path)
            with torch.inference_mode():
                model_file(frames)
            loaded += 1
        except (CheckpointError, WeightsError) as error:
            lines += [str(error)]
    assert loaded, "some mutations change nothing that matters"
    assert not [line for line in lines if "\n" in line]
