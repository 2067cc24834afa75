"""Random networks with their cards and files, for the tests of export."""

import functools
import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import pytest
import torch
from once import once
from torch.onnx._internal.exporter._registration import ONNXRegistry

from seqvision.config import ENCODERS, ModelOptions, VerifyOptions
from seqvision.errors import ExportError
from seqvision.models.classifier import Classifier
from seqvision_edge.card import (
    SPEC,
    VECTORS_SPEC,
    Decision,
    ImageSpec,
    ModelCard,
    Origin,
    State,
    StateTensor,
    VectorSequence,
    VideoSequence,
    vector_step,
)
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import convert, state_of
from seqvision_export.verify.parity import Reference, grid
from seqvision_export.verify.report import Proof
from seqvision_export.verify.verify import prove as prove_files

# For each file torch lists all operators that it knows: a quarter of the time of a small network.
ONNXRegistry.from_torchlib = classmethod(  # type: ignore[method-assign]
    functools.cache(ONNXRegistry.from_torchlib.__func__)  # type: ignore[attr-defined]
)


def forward(**given: Any) -> ModelOptions:
    """Return the options of a network whose head reads forward only."""
    return ModelOptions(bidirectional=False, **given)


# With the networks below and in test_verify.py every three values of head, directions and pool.
HEADS = [
    forward(),
    forward(pool="attention"),
    forward(head="gru", pool="attention"),
    ModelOptions(head="gru", bidirectional=True),
    forward(head="mean"),
]
# More layers, motion, raw pixels, features that are not projected or lose their mean.
MORE = [
    ModelOptions(head="lstm", bidirectional=True, layers=2, pool="attention", motion="both"),
    forward(head="gru", layers=3, motion="only"),
    forward(head="mean", motion="both"),
    ModelOptions(encoder="flatten", head="gru", bidirectional=True, layers=2),
    forward(projection=0),
    ModelOptions(head="gru", bidirectional=True, pool="attention", center=True),
    forward(ensemble=2, motion="both"),
    forward(
        encoder="flatten",
        freeze=True,
        motion="none",
        head="gru",
        ensemble=3,
        center=True,
    ),
]
# What can carry its state.
FORWARD = [
    forward(head="lstm"),
    forward(head="gru", layers=2),
    forward(head="lstm", layers=2, motion="both"),
    forward(head="gru", motion="only", encoder="flatten"),
]
# A network of each of five families of timm: residual, mobile, with blocks that become one
# convolution, of ConvNeXt, and a transformer.
TIMM = [
    f"timm:test_{name}" for name in ("resnet", "efficientnet", "byobnet", "convnext", "vit")
]  # fmt: skip


class Exported(NamedTuple):
    """A random network, its card, and its file in fp32."""

    options: ModelOptions
    model: Classifier
    card: ModelCard
    content: bytes


def vectors(**more: Any) -> ModelOptions:
    """Return options of a network for vectors of 40 features."""
    return ModelOptions(encoder="none", bidirectional=False, **more)


def build(
    options: ModelOptions,
    window: int = 5,
    channels: int = 3,
    temperature: float = 1.0,
    norms: bool = False,
    width: int = 40,
) -> tuple[Classifier, ModelCard]:
    """Return a random model, sharpened so that its answers differ, and its card.

    With `norms` its batch norms are as a training leaves them: no two channels alike.
    """
    # Seeds with which the answers of every network below depend on the clip.
    later = {"center", "hands", "landmarks"} | (set() if options.ensemble > 1 else {"ensemble"})
    torch.manual_seed(len(options.model_dump_json(exclude=later)) + window - 3)
    image = ImageSpec(height=32, width=width, channels=channels, fit="stretch")
    sequence: VideoSequence | VectorSequence
    sequence = VideoSequence(kind="video", fps=8.0, frames=window)
    if options.encoder == "none":
        image = vector_step(width)
        sequence = VectorSequence(
            kind="vectors", fps=8.0, frames=window, features=width, names=None, rate=16.0
        )
    model = Classifier(options.model_copy(update={"hidden": 12, "weights": "none"}), image, 4)
    with torch.no_grad():
        for part in (model.head, *getattr(model.head, "heads", ())):
            if hasattr(part, "classify"):
                part.classify.weight.mul_(8)
        if options.reads != "none":
            model.steps.standardize([torch.rand(9, model.features) for _ in range(4)])
        for module in model.modules():
            if norms and isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.7, 1.3)
                torch.nn.init.normal_(module.bias, std=0.2)
                torch.nn.init.normal_(module.running_mean, std=0.2)
                torch.nn.init.uniform_(module.running_var, 0.7, 1.3)
    card = ModelCard(
        spec=VECTORS_SPEC if options.encoder == "none" else SPEC,
        labels=("a", "b", "c", "none"),
        sequence=sequence,
        image=image,
        state=State(
            kind="window",
            tensors=(StateTensor(name="past", axes=("batch", "kept", model.memory)),),
        ),
        decision=Decision(
            temperature=temperature, smoothing="none", smoothing_frames=1, min_confidence=0.0,
            on_threshold=0.6, off_threshold=0.4, early=None, minimum_seconds=0.0,
            cooldown_seconds=0.0,
            background="none",
        ),
        origin=Origin(version="0", created="", options={}, data={}, metrics={}, notes=()),
        graph=None,
    )  # fmt: skip
    return model.eval(), card


def exported(
    options: ModelOptions,
    state: Literal["window", "carry"] = "window",
    opset: int = 18,
    window: int = 5,
    channels: int = 3,
    temperature: float = 1.0,
    norms: bool = False,
    width: int = 40,
) -> Exported:
    """Return `build`'s network and the file that `convert` makes of it, once in a test run."""
    model, card = build(options, window, channels, temperature, norms, width)
    card = card.model_copy(update={"state": state_of(model, state)})
    key = repr((options, state, opset, window, channels, temperature, norms, width))
    name = f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.onnx"
    path = once(name, lambda file: file.write_bytes(convert(model, card, opset)))
    return Exported(options, model, card, path.read_bytes())


def every_encoder(encoder: str) -> Exported:
    """Return a network for an encoder; that of resnet18 reads grey frames."""
    channels = 1 if encoder == "resnet18" else 3
    return exported(forward(encoder=encoder), channels=channels, norms=True)


def of_timm(encoder: str) -> Exported:
    """Return a network for an encoder of timm."""
    options = forward(encoder=encoder, freeze=True, head="mean", motion="none")
    return exported(options, norms=True, width=32)


def every_network() -> Iterator[Exported]:
    """Yield a network for each encoder, each head and each state; tests share all of them."""
    yield from (exported(options) for options in HEADS + MORE)
    yield from (exported(options, "carry") for options in FORWARD)
    yield from map(every_encoder, ENCODERS)
    if find_spec("timm") is not None:
        yield from map(of_timm, TIMM)
    yield exported(forward(), temperature=4.0)
    yield exported(vectors())


def prove_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `export` and `verify` prove in this process: a fresh one imports torch for seconds.

    What they make of the proof is as ever; that it is a process of its own others test.
    """

    def here(options: VerifyOptions, name: str) -> object:
        try:
            return json.loads(json.dumps(prove_files(options, name)))
        except SeqvisionError as error:
            raise ExportError(str(error)) from None

    for place in ("export", "verify.verify"):
        monkeypatch.setattr(f"seqvision_export.{place}.verify_in_subprocess", here)


def name(options: ModelOptions) -> str:
    bi = "bi" if options.bidirectional else ""
    head = f"{bi}{options.head}{options.layers}-{options.pool}"
    center = "-center" if options.center else ""
    return f"{head}-{options.motion}-{options.encoder}{center}"


def prove(model: Classifier, content: bytes) -> Proof:
    """Compare a file with its model on random frames; raise where they differ."""
    session = Session(content)
    proof = Proof(tuple(grid(Reference(model, session.card), session)))
    proof.require()
    return proof
