"""A model.pt or model.safetensors from a stranger: data, never code; whole, or one typed error."""

import io
import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage
import pytest
import safetensors.torch
import torch
from export_models import build, prove_here
from preloaded import run
from trainings import options as training_options
from trainings import train

from seqvision.cli import main
from seqvision.config import ModelOptions
from seqvision.errors import CheckpointError
from seqvision.training import model_io
from seqvision.training.model_io import load_model, save_model
from seqvision_edge.errors import SeqvisionError

OPTIONS = ModelOptions(encoder="flatten", hidden=12)
PACKAGES = ("seqvision", "edge/seqvision_edge", "export/seqvision_export")
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["model.pt", "model.safetensors"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A random model in each of the two formats."""
    model, card = build(OPTIONS)
    path = tmp_path / str(request.param)
    save_model(path, model, OPTIONS, card)
    return path


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """What torch.save puts into a model.pt, without a hash, as older versions wrote it."""
    model, card = build(OPTIONS)
    save_model(tmp_path / "whole.pt", model, OPTIONS, card)
    found: dict[str, Any] = torch.load(tmp_path / "whole.pt", weights_only=True)
    del found["sha256"]
    return found


def test_both_formats_give_the_same_model(tmp_path: Path) -> None:
    model, card = build(OPTIONS)
    for suffix in (".pt", ".safetensors"):
        path = (tmp_path / "model").with_suffix(suffix)
        save_model(path, model, OPTIONS, card)
        found, found_card = load_model(path)
        assert found_card == card
        own = model.state_dict()
        assert found.state_dict().keys() == own.keys()
        assert all(torch.equal(tensor, own[name]) for name, tensor in found.state_dict().items())


def test_safetensors_reads_the_weights_and_one_json_text(tmp_path: Path) -> None:
    model, card = build(OPTIONS)
    path = tmp_path / "model.safetensors"
    save_model(path, model, OPTIONS, card)
    with safetensors.safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
        names = set(opened.keys())
    assert names == set(model.state_dict())
    assert set(metadata) == {"seqvision.model"}
    stored = json.loads(metadata["seqvision.model"])
    assert stored["format"] == "seqvision.model"
    assert json.loads(stored["card"])["labels"] == list(card.labels)
    assert json.loads(stored["architecture"])["encoder"] == "flatten"


def test_the_suffix_chooses_safetensors_and_every_command_reads_it(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    small = training_options(squares, tmp_path, epochs=1)
    trained = train(small.model_copy(update={"output": tmp_path / "model.safetensors"}))
    assert trained.model.name == "model.safetensors"
    assert (trained.run / "model.safetensors").is_file()
    assert not list(tmp_path.rglob("*.pt"))
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["evaluate", str(trained.model), str(squares), *cache]) == 0
    assert main(["predict", str(trained.model), str(squares / "left")]) == 0
    assert main(["export", str(trained.model)]) == 0
    assert (tmp_path / "model.onnx").is_file()


def test_the_three_packages_never_unpickle() -> None:
    forbidden = re.compile(r"weights_only\s*=\s*False|pickle\.loads?\b|allow_pickle\s*=\s*True")
    loads = re.compile(r"(?<!safetensors\.)torch\.load\b(?:\((?:[^()]|\([^()]*\))*\))?")
    seen = 0
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text()
            assert not forbidden.search(text), path
            assert not re.search(
                r"^\s*(import|from) (pickle|dill|joblib|cloudpickle)\b", text, re.M
            )
            calls = loads.findall(text)
            assert all("weights_only=True" in call for call in calls), path
            seen += len(calls)
    assert seen >= 4


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


def _zip(path: Path, value: Any) -> None:
    torch.save(value, path)


def _legacy(path: Path, value: Any) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def _raw(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))  # the one that torch reads


@pytest.mark.parametrize("write", [_zip, _legacy, _raw])
@pytest.mark.parametrize("verb", ["evaluate", "predict", "export", "weights"])
def test_a_hostile_pickle_runs_no_code(
    write: Callable[[Path, Any], None],
    verb: str,
    content: dict[str, Any],
    squares: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path, proof = tmp_path / "evil.pt", tmp_path / "PWNED"
    write(path, {**content, "weights": Evil(proof)})
    known = tmp_path / "clips"  # of labels that the model knows
    for label, own in (("a", "left"), ("b", "right")):
        shutil.copytree(squares / own, known / label)
    command = {
        "evaluate": ["evaluate", str(path), str(known)],
        "predict": ["predict", str(path), str(squares)],
        "export": ["export", str(path)],
        "weights": ["train", str(squares), "--weights", str(path), "--epochs", "1",
                    "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")],
    }[verb]  # fmt: skip
    assert main(command) == 2
    assert not proof.exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert "not a model file, or damaged" in last or "not a file of weights" in last


def test_the_hostile_pickle_of_these_tests_can_run_code(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    proof = tmp_path / "PWNED"
    _raw(tmp_path / "evil", Evil(proof))
    pickle.loads((tmp_path / "evil").read_bytes())
    assert proof.exists()


def _weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Any], object]:
    return lambda content: change(content["weights"])


BIAS = "head.classify.bias"
SPOILT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "NaN": (_weights(lambda w: w[BIAS].fill_(float("nan"))), f"not finite, first {BIAS}"),
    "Inf": (_weights(lambda w: w[BIAS].fill_(float("inf"))), "not finite"),
    "a tensor too few": (_weights(lambda w: w.pop(BIAS)), f"{BIAS} is missing"),
    "a tensor too many": (
        _weights(lambda w: w.update(more=torch.zeros(1))), "more is not of this network",
    ),
    "another shape": (_weights(lambda w: w.update({BIAS: torch.zeros(5)})), r"\[5\], must be"),
    "another type": (_weights(lambda w: w.update({BIAS: w[BIAS].half()})), "not named float32"),
    "integers": (_weights(lambda w: w.update({BIAS: w[BIAS].long()})), "must be torch.float32"),
    "a sparse tensor": (_weights(lambda w: w.update({BIAS: torch.zeros(4).to_sparse()})), "named"),
    "no tensor": (_weights(lambda w: w.update({BIAS: "text"})), "named"),
    "a name that is none": (_weights(lambda w: w.update({3: torch.zeros(1)})), "named"),
    "a tensor without data": (
        _weights(lambda w: w.update({BIAS: torch.zeros(4, device="meta")})), "named",
    ),
    "terabytes from one number": (
        _weights(lambda w: w.update({BIAS: torch.zeros(1).expand(1 << 40)})), "weights are 4398",
    ),
    "a card of 2 MB": (lambda c: c.update(card=" " * (2 << 20)), "its card has"),
    "a network of terabytes": (
        lambda c: c.update(architecture=OPTIONS.model_copy(
            update={"hidden": 4096, "layers": 8, "encoder": "vgg16"}).model_dump_json()),
        "do not fit",
    ),
    "frames of 16 million pixels": (
        lambda c: c.update(card=c["card"].replace('"height":32', '"height":4096')
                           .replace('"width":40', '"width":4096')),
        "at most are 1024×1024",
    ),
    "an unknown option": (
        lambda c: c.update(architecture=c["architecture"].replace('"hidden"', '"hide"')),
        "architecture is damaged",
    ),
    "a nest of lists": (lambda c: c.update(card="[" * 200_000), "nested too deeply"),
    "no card": (lambda c: c.pop("card"), "it has no card"),
    "another format": (lambda c: c.update(format="other"), "not a model file of seqvision"),
    "another hash": (lambda c: c.update(sha256="0" * 64), "does not match its SHA-256 hash"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILT)
def test_a_foreign_file_is_one_typed_error(
    case: str, content: dict[str, Any], tmp_path: Path
) -> None:
    spoil, reason = SPOILT[case]
    torch.save(content, tmp_path / "old.pt")
    load_model(tmp_path / "old.pt")  # a file of an older version, without a hash
    spoil(content)
    torch.save(content, tmp_path / "spoilt.pt")
    with pytest.raises(SeqvisionError, match=reason) as error:
        load_model(tmp_path / "spoilt.pt")
    assert "\n" not in str(error.value)


def test_a_compressed_zip_is_refused_before_it_is_unpacked(
    content: dict[str, Any], tmp_path: Path
) -> None:
    content["weights"][BIAS] = torch.zeros(50_000_000)
    whole = io.BytesIO()
    torch.save(content, whole)
    with (
        zipfile.ZipFile(whole) as source,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for item in source.infolist():
            bomb.writestr(item.filename, source.read(item))
    assert (tmp_path / "bomb.pt").stat().st_size < 2_000_000
    with pytest.raises(CheckpointError, match="not a model file, or damaged"):
        load_model(tmp_path / "bomb.pt")


def test_a_file_larger_than_any_model_is_not_read_completely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_io, "MAX_BYTES", 10_000)
    with (tmp_path / "model.pt").open("wb") as file:
        file.truncate(1 << 40)  # it takes no room on the disk
    with pytest.raises(CheckpointError, match="larger than"):
        load_model(tmp_path / "model.pt")


def header(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Return what writes a safetensors file with another header."""

    def spoil(whole: bytes) -> bytes:
        size = int.from_bytes(whole[:8], "little")
        read = json.loads(whole[8 : 8 + size])
        change(read)
        text = json.dumps(read).encode()
        return len(text).to_bytes(8, "little") + text + whole[8 + size :]

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: whole + b"x",
        lambda whole: (1 << 62).to_bytes(8, "little") + whole[8:],
        header(lambda h: h[BIAS].update(shape=[1 << 40])),
        header(lambda h: h[BIAS].update(shape=[1 << 33, 1 << 33])),
        header(lambda h: h[BIAS].update(dtype="F64")),
        header(lambda h: h[BIAS].update(dtype="X9")),
        header(lambda h: h[BIAS].update(data_offsets=[0, 1 << 60])),
        header(lambda h: h.pop("__metadata__")),
        header(lambda h: h["__metadata__"].update({"seqvision.model": "[" * 200_000})),
        header(lambda h: h["__metadata__"].update({"seqvision.model": "[]"})),
        header(lambda h: h["__metadata__"].update({"seqvision.model": '{"format": 1}'})),
    ],
    ids=[
        "half", "a byte less", "a byte more", "huge header", "lying shape", "wrapping shape",
        "wrong type", "no type", "lying place", "no metadata", "nest", "list", "other",
    ],
)  # fmt: skip
def test_an_inconsistent_safetensors_file_is_one_typed_error(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    model, card = build(OPTIONS)
    path = tmp_path / "model.safetensors"
    save_model(path, model, OPTIONS, card)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(CheckpointError) as error:
        load_model(path)
    assert "\n" not in str(error.value)


def test_one_changed_bit_of_the_weights_is_detected(file: Path) -> None:
    whole = file.read_bytes()
    weight = load_model(file)[0].state_dict()[BIAS].numpy().tobytes()
    offset = whole.index(weight)
    file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(file)


ANSWER = """
from pathlib import Path
from seqvision.training.model_io import load_model
path = Path(sys.argv[2])
def answer(content):
    path.write_bytes(content)
    model, card = load_model(path)
    return card, {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}
print(damage.try_all(sys.argv[1:], answer))
"""


def test_two_hundred_cuts_and_flips_are_typed_errors_or_harmless(
    file: Path, tmp_path: Path
) -> None:
    size = file.stat().st_size
    # The ends of a file are where names and lengths are.
    ends = damage.cuts_and_flips(1500, 0, 80, seed=6)
    edges = [
        (kind, offset if n < 40 else 8 * size - 1 - offset) for n, (kind, offset) in enumerate(ends)
    ]
    grid = [*damage.cuts_and_flips(size, 60, 60, seed=5), *edges]
    log = tmp_path / "case"
    arguments = ["-c", *damage.arguments(file, grid, log)]
    done = run(arguments, code=damage.CHILD + ANSWER)
    assert done.returncode == 0, f"{log.read_text()}: {done.stderr[-2000:]}"
    assert int(done.stdout) > 100
