"""The stages of a run, each as a call that can be timed."""

from collections.abc import Callable, Iterator
from itertools import count, cycle, islice
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx.utils import Extractor

from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.events import EventDetector
from seqvision_edge.ort_session import load_graph
from seqvision_edge.preprocess import prepare
from seqvision_edge.providers import Device
from seqvision_edge.session import Session, random_steps
from seqvision_edge.sources.factory import open_path
from seqvision_edge.still_images import image_steps

Call = Callable[[], object]
Image = NDArray[np.uint8]

LIVE, AGAIN, WHOLE = "live frame", "full window", "whole picture"
# Frames of a video that stay in memory for preprocessing.
_KEPT_FRAMES = 64

_RECURRENT = ("LSTM", "GRU")


def picture_stages(card: ModelCard, source: Path | None) -> dict[str, Call]:
    """Return what happens before and after a model: decode, preprocess, decision.

    Without a source there is nothing to decode, and pictures of 640×480 are preprocessed.
    """
    stages: dict[str, Call] = {}
    if card.vectors is not None:
        return {"decision": _decide(card)}  # numbers need no preprocessing
    if source is None:
        pictures = [np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)]
    else:
        stages["decode"] = _decode(source)
        with open_path(source) as opened:
            pictures = [frame.bgr.copy() for frame in islice(opened, _KEPT_FRAMES)]
    turns = cycle(pictures)
    if isinstance(card.sequence, TimedSequence):
        stages["preprocess"] = lambda: prepare(next(turns), card.image)
        stages["decision"] = _decide(card)
    else:
        sequence = card.sequence
        stages["preprocess"] = lambda: image_steps(next(turns), card.image, sequence)
    return stages


def model_stages(content: bytes, device: Device, threads: int) -> dict[str, Call]:
    """Return the calls of one file: encoder and head by themselves, a live frame, the whole clip.

    For a still image there is only the whole of it.
    """
    session = Session(content, device, threads)
    card = session.card
    clip = _noise(card)
    again: Call = lambda: session.run(clip[None])  # noqa: E731
    if not isinstance(card.sequence, TimedSequence):
        return {WHOLE: again}
    stream = session.stream()
    stream.push(clip)
    if card.vectors is not None:
        return {LIVE: lambda: stream.push(clip[:1]), AGAIN: again}
    _, states = session.run(clip[None])
    names = (tensor.name for tensor in card.state.tensors)

    def load(piece: bytes) -> ort.InferenceSession:
        return load_graph(piece, device, threads, "a piece of the model")

    pieces = _pieces(content, load, clip[None, :1], dict(zip(names, states, strict=True)))
    return {LIVE: lambda: stream.push(clip[:1]), **pieces, AGAIN: again}


def torch_again(model: Classifier, card: ModelCard, threads: int) -> Call:
    """Return the baseline: the trained network on the whole clip."""
    clip = torch.from_numpy(_noise(card)[None])

    @torch.inference_mode()
    def again() -> None:
        torch.set_num_threads(threads)
        model(clip)

    return again


def _pieces(
    content: bytes,
    load: Callable[[bytes], ort.InferenceSession],
    frame: Image,
    state: dict[str, NDArray[np.float32]],
) -> dict[str, Call]:
    encoder = load(encoder_of(content))
    head_bytes, name = head_of(content)
    head = load(head_bytes)
    given = {"frames": frame, **state}
    all_given = {**given, name: encoder.run(None, given)[0]}
    return {
        "encoder": lambda: encoder.run(None, given),
        "head": lambda: head.run(None, all_given),
    }


def _decode(source: Path) -> Call:
    """Return a call that decodes one more frame, from the beginning again after the last."""

    def frames() -> Iterator[object]:
        while True:
            with open_path(source) as opened:
                yield from opened

    endless = frames()
    return lambda: next(endless)


def _decide(card: ModelCard) -> Call:
    detector = EventDetector(card.decision, card.labels)
    answers = cycle(np.random.default_rng(0).dirichlet(np.ones(len(card.labels)), 64))
    times = count(0.0, 0.04)
    return lambda: detector.step(next(times), next(answers).astype(np.float32))


def _noise(card: ModelCard) -> Image:
    """Return a window of noise: what a picture shows does not change what it costs."""
    return random_steps(np.random.default_rng(0), card, card.sequence.window)


def encoder_of(content: bytes) -> bytes:
    """Return the part of a model that turns frames into features."""
    proto = onnx.load_from_string(content)
    # The size of the batch may come from the state as well as from the frames.
    inputs = [value.name for value in proto.graph.input]
    return _piece(content, inputs, [features_of(proto)])


def head_of(content: bytes) -> tuple[bytes, str]:
    """Return the part of a model that reads features and state, and its name for the features."""
    proto = onnx.load_from_string(content)
    features = features_of(proto)
    inputs = [value.name for value in proto.graph.input]
    outputs = [value.name for value in proto.graph.output]
    return _piece(content, [features, *inputs], outputs), features


def features_of(proto: onnx.ModelProto) -> str:
    """Return the name of the step features `(batch, time, features)`.

    They are what the window's past is joined to, or else what the recurrent head is led to from.
    """
    makers = {name: node for node in proto.graph.node for name in node.output}
    for node in proto.graph.node:
        if node.op_type == "Concat" and node.input[0] == "past":
            return str(node.input[1])
    node = next(node for node in proto.graph.node if node.op_type in _RECURRENT)
    while node.op_type != "Reshape":
        node = next(makers[name] for name in node.input if name in makers)
    return str(node.output[0])


def _piece(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    piece: bytes = Extractor(proto).extract_model(inputs, outputs).SerializeToString()
    return piece
