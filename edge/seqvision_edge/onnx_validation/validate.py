"""Validate a model file before loading: bounds → bytes → fields → graph → card → sizes."""

import hashlib
import hmac
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seqvision_edge.card import METADATA_KEY, ModelCard, StateTensor
from seqvision_edge.errors import CardError, ModelError
from seqvision_edge.files import read_limited
from seqvision_edge.hints import MODELS, NOT_MODELS
from seqvision_edge.onnx_validation.graph import FLOAT, UINT8, Graph, read_graph
from seqvision_edge.onnx_validation.operators import OPERATORS, check_node
from seqvision_edge.onnx_validation.protobuf import Damaged, Message, ProtobufReader, Refused
from seqvision_edge.onnx_validation.shape_inference import Shape, sizes

MAX_BYTES: Final = (1 << 31) - 1  # the maximum of an ONNX file
MAX_CARD: Final = 1 << 20
_MADE_BY: Final = "make one with: seqvision export model.pt"
OPSETS: Final = range(18, 25)
IR_VERSIONS: Final = range(8, 12)

# Bytes of the frames of one prediction, and values of the state.
MAX_CLIP: Final = 1 << 32
MAX_KEPT: Final = 1 << 30
_VALUE: Final = 4  # bytes of nearly all values


@dataclass(frozen=True)
class ModelFile:
    """A file that may be loaded: its card, and the memory a call takes."""

    where: str
    card: ModelCard
    graph: Graph

    def allow(self, inputs: tuple[Shape, ...]) -> int:
        """Check the cost of a call with inputs of these shapes.

        Returns:
            The bytes of all its tensors, more than exist at the same time.

        Raises:
            ModelError: too much memory or time, or other outputs than the card promises.
        """
        with _named(self.where):
            return check_sizes(self.graph, self.card, inputs)


def read_model(
    model: str | Path | bytes, expect_sha256: str | None = None
) -> tuple[bytes, ModelFile]:
    """Read a model and decide whether it may be loaded.

    Args:
        model: the path of a `model.onnx`, or its bytes.
        expect_sha256: the required hash of the whole file.

    Returns:
        The bytes that were checked, and the facts about them.

    Raises:
        ModelError: the file is missing, too large, damaged, not the expected one, or contains
            something that `seqvision export` never writes.
        CardError: its card is missing or cannot be read by this version.
    """
    where = "the model" if isinstance(model, bytes) else str(model)
    if not isinstance(model, bytes):
        _refuse_other_kind(Path(model))
    content = (
        model
        if isinstance(model, bytes)
        else read_limited(Path(model), MAX_BYTES, _MADE_BY, ModelError)
    )
    _expect(content, expect_sha256, where)
    with _named(where):
        reader = ProtobufReader()
        message = reader.read("Model", memoryview(content))
        if "graph" not in message:
            raise Damaged("there is no graph in it")
        _check_versions(message)
        card = ModelCard.from_json(_card_text(message, where), where)
        _compare_hash(message["graph"], card)
        graph = _checked_graph(message, reader)
        check_promise(graph, card)
    file = ModelFile(where, card, graph)
    window = card.sequence.window
    # The first call of a stream, a later one, and a whole clip; other shapes are checked when used.
    for time, kept in ((1, 0), (1, window - 1), (window, 0)):
        file.allow(shapes(card, 1, time, kept))
    return content, file


def read_plain_graph(content: bytes) -> tuple[int, Graph]:
    """Return the opset and the graph of a file without a card, checked as that of a model is.

    Raises:
        Refused: the file is damaged, or contains something that `seqvision export` never writes.
    """
    reader = ProtobufReader()
    message = reader.read("Model", memoryview(content))
    if "graph" not in message:
        raise Damaged("there is no graph in it")
    _check_versions(message)
    return message["opset_import"][0]["version"], _checked_graph(message, reader)


def _checked_graph(message: Message, reader: ProtobufReader) -> Graph:
    graph = read_graph(message["graph"], reader, OPERATORS)
    for node in graph.nodes:
        check_node(node)
    return graph


def _refuse_other_kind(path: Path) -> None:
    """Refuse a file of another kind that is easily mistaken for a model.

    Raises:
        ModelError: it is no model, or a checkpoint of a training, which must be exported first.
    """
    suffix = path.suffix.lower()
    if suffix in NOT_MODELS and path.exists():
        raise ModelError(f"{path}: not a model; {_MADE_BY}")
    if suffix in MODELS and suffix != ".onnx":
        model = path if suffix in (".pt", ".safetensors") else "model.pt"
        raise ModelError(f"{path}: the model of a training; export it: seqvision export {model}")


def graph_sha256(content: bytes, where: str) -> str:
    """Return the hash of a model's graph, as 64 hexadecimal digits.

    Raises:
        ModelError: `content` is not an ONNX file; `where` names it.
    """
    with _named(where):
        message = ProtobufReader().read("Model", memoryview(content))
        return hashlib.sha256(message.get("graph", b"")).hexdigest()


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Prefix a refusal with the name of the file."""
    try:
        yield
    except Damaged as reason:
        raise ModelError(f"{where}: not a usable ONNX model ({reason})") from None
    except Refused as reason:
        raise ModelError(f"{where}: not a model that seqvision exports: {reason}") from None


def _expect(content: bytes, expected: str | None, where: str) -> None:
    if expected is None:
        return
    found = hashlib.sha256(content).hexdigest()
    if not hmac.compare_digest(found, expected.strip().lower()):
        raise ModelError(f"{where}: not the expected file: its sha256 is {found}")


def _check_versions(message: Message) -> None:
    versions = [
        (item.get("domain", ""), item.get("version", 0)) for item in message["opset_import"]
    ]
    if len(versions) != 1 or versions[0][0] not in ("", "ai.onnx"):
        raise Refused(f"it needs the operator sets {versions[:4]!a}"[:200])
    if versions[0][1] not in OPSETS:
        raise Refused(f"it has opset {versions[0][1]}, this version reads 18 to 24")
    if message.get("ir_version") not in IR_VERSIONS:
        raise Refused(f"it has IR version {message.get('ir_version')}, this version reads 8 to 11")


def _card_text(message: Message, where: str) -> str:
    cards = [item for item in message["metadata_props"] if item.get("key") == METADATA_KEY]
    if not cards:
        raise CardError(
            f"{where}: no model card in it; make the file with: seqvision export model.pt"
        )
    text: str = cards[0].get("value", "")
    if len(cards) > 1 or len(text) > MAX_CARD:
        raise CardError(
            f"{where}: it has {len(cards)} model cards, the first of {len(text)} characters"
        )
    return text


def _compare_hash(graph: memoryview, card: ModelCard) -> None:
    if card.graph is not None and hashlib.sha256(graph).hexdigest() != card.graph.sha256:
        raise Damaged("damaged: its graph is not the one that its card names")


def check_promise(graph: Graph, card: ModelCard) -> None:
    """Compare the declared inputs and outputs with the card's.

    Raises:
        Refused: another number, order, name, type or size.
    """
    count = 1 + len(card.state.tensors)
    clip = card.sequence.window * math.prod(card.step_shape) * (_VALUE if card.vectors else 1)
    if clip > MAX_CLIP:
        raise Refused(f"its card has windows of {clip / 1e9:.0f} GB, at most are 4 GB")
    for tensor in card.state.tensors:
        fixed = [axis for axis in tensor.axes if isinstance(axis, int)]
        free = len(tensor.axes) > len(fixed) + 1
        kept = math.prod(fixed) * (card.sequence.window if free else 1)
        if tensor.axes[:1] != ("batch",) or min(fixed, default=1) < 1 or kept > MAX_KEPT:
            raise Refused(f"its card has a state {tensor.name[:40]} {list(tensor.axes[:8])}")
    for (promised, kind), found in zip(_inputs(card), graph.inputs, strict=False):
        axes = [axis if isinstance(axis, int) else None for axis in promised.axes]
        there = [axis if isinstance(axis, int) else None for axis in found.axes]
        if (promised.name, kind, axes) != (found.name, found.kind, there):
            raise Refused(
                f"its card promises input {promised.name} {list(promised.axes)}, "
                f"the graph has {found.name[:40]} {list(found.axes[:8])}"
            )
    if (len(graph.inputs), len(graph.outputs)) != (count, count):
        raise Refused(f"its card promises {count} inputs and {count} outputs")
    if any(output.kind != FLOAT for output in graph.outputs):
        raise Refused("its card promises outputs of float32")


def check_sizes(graph: Graph, card: ModelCard, inputs: tuple[Shape, ...]) -> int:
    """Compute the cost of a call with inputs of these shapes, and check its outputs.

    Returns:
        The bytes of all its tensors.

    Raises:
        Refused: it takes too much, or its outputs are not those of the card.
    """
    names = [value.name for value in graph.inputs]
    batch, time = inputs[0][:2]
    kept = [
        size
        for tensor, shape in zip(card.state.tensors, inputs[1:], strict=True)
        for axis, size in zip(tensor.axes, shape, strict=True)
        if isinstance(axis, str) and axis != "batch"
    ]
    found, values = sizes(graph, dict(zip(names, inputs, strict=True)), batch * max(time, *kept, 1))
    if found[0] != (batch, len(card.labels)):
        raise Refused(f"its card has {len(card.labels)} labels, the graph answers {list(found[0])}")
    for tensor, shape in zip(card.state.tensors, found[1:], strict=True):
        if not state_fits(tensor, shape, batch):
            raise Refused(
                f"its card promises {tensor.name} {list(tensor.axes)}, "
                f"the graph gives {list(shape)}"
            )
    return _VALUE * values


def shapes(card: ModelCard, batch: int, time: int, kept: int) -> tuple[Shape, ...]:
    """Return the shapes of all inputs; `kept` is the size of every free axis."""
    free = {"batch": batch, "time": time}
    return tuple(
        tuple(axis if isinstance(axis, int) else free.get(axis, kept) for axis in tensor.axes)
        for tensor, _ in _inputs(card)
    )


def state_fits(tensor: StateTensor, shape: Shape, batch: int) -> bool:
    """Return whether a state of this shape matches the card's, for a batch of this size."""
    return len(shape) == len(tensor.axes) and all(
        size == (batch if axis == "batch" else axis) or (isinstance(axis, str) and axis != "batch")
        for axis, size in zip(tensor.axes, shape, strict=True)
    )


def _inputs(card: ModelCard) -> list[tuple[StateTensor, int]]:
    frames = StateTensor(name="frames", axes=("batch", "time", *card.step_shape))
    return [
        (frames, FLOAT if card.vectors else UINT8),
        *((tensor, FLOAT) for tensor in card.state.tensors),
    ]
