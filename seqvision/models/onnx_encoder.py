"""`--encoder FILE.onnx`: a frozen ONNX frame model as an encoder.

The file is adapted once (`onnx_adaptation`), in a child process with limits, and what comes back is
checked as an exported file is before it is loaded.  onnxruntime computes the features of a
training; an export merges the graph into its own.  A model file carries the adapted graph.

Every training imports this; onnx and onnxruntime only one with such an encoder.
"""

import functools
import hashlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from seqvision.errors import CheckpointError, WeightsError
from seqvision_edge.child_process import Died, can_start, fields, start_child
from seqvision_edge.files import read_limited, temporary_folder
from seqvision_edge.onnx_validation.graph import FLOAT, Graph
from seqvision_edge.onnx_validation.protobuf import Refused
from seqvision_edge.onnx_validation.shape_inference import sizes
from seqvision_edge.onnx_validation.validate import MAX_BYTES, read_plain_graph

if TYPE_CHECKING:
    from seqvision.models.onnx_adaptation import Declared

# The node of a traced network that stands for the graph until it is merged.
OPERATOR: Final = "FrameModel"
DOMAIN: Final = "seqvision"
# What an adapted graph calls its input and output.
IMAGES: Final = "images"
FEATURES: Final = "features"
# In the weights of a model file: the graph as bytes.
CONTENT: Final = "content"
# A child's memory and seconds: the largest network that can be trained takes a part of both.
_MEMORY: Final = 4 << 30
_COPIES: Final = 12
_SECONDS: Final = 300.0
_USUAL: Final = 224


class FrameModel(nn.Module):
    """An adapted graph, as a module without parameters: images → features, never trained."""

    def __init__(self, content: bytes, name: str) -> None:
        """Check a graph.

        Args:
            content: what `adapted` gave, or a model file has.
            name: of its file, for messages.

        Raises:
            WeightsError: it may not be loaded.
        """
        super().__init__()
        self.name = name
        self.content: Tensor
        self.register_buffer(CONTENT, torch.from_numpy(np.frombuffer(content, np.uint8).copy()))
        self.opset, (self.channels, self.height, self.width), self.features = _checked(
            content, name
        )
        self._session: Any = None
        self._lock = threading.Lock()

    def forward(self, images: Tensor) -> Tensor:
        """`(images, channels, height, width)` float32 → `(images, features)`."""
        count = images.shape[0]
        if torch.compiler.is_exporting():
            features: Tensor = torch.onnx.ops.symbolic(
                f"{DOMAIN}::{OPERATOR}",
                [images],
                dtype=torch.float32,
                shape=[count, self.features],
                version=1,
            )
            return features
        if images.device.type == "meta":
            return images.new_empty(count, self.features)
        if not count:
            return images.new_zeros(0, self.features)
        given = np.ascontiguousarray(images.detach().float().cpu().numpy())
        session = self._started()
        try:
            (found,) = session.run([FEATURES], {IMAGES: given})
        except Exception as error:  # onnxruntime raises a dozen unrelated types here
            why = " ".join(str(error).split())[-160:]
            raise WeightsError(f"{self.name}: onnxruntime cannot run it ({why})") from None
        return torch.from_numpy(found).to(images.device)

    def to_bytes(self) -> bytes:
        """Return the graph."""
        return self.content.cpu().numpy().tobytes()

    def extra_repr(self) -> str:
        """Name the graph by its content: caches are kept under it."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def _started(self) -> Any:
        from seqvision_edge.ort_session import CPU, create_session

        with self._lock:
            if self._session is None:
                try:
                    self._session = create_session(self.to_bytes(), CPU, torch.get_num_threads())
                except Exception:  # onnxruntime raises a dozen unrelated types here
                    raise WeightsError(f"{self.name}: onnxruntime cannot load it") from None
            return self._session

    def __getstate__(self) -> dict[str, Any]:
        # A session is native code: a copy starts its own.
        return {name: x for name, x in self.__dict__.items() if name not in ("_session", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._session, self._lock = None, threading.Lock()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        given = state_dict.get(f"{prefix}{CONTENT}")
        if given is not None and not torch.equal(given.cpu(), self.content.cpu()):
            raise CheckpointError(
                f"--encoder {self.name}: not the file that the training began with; put that one "
                "back, or start anew"
            )
        super()._load_from_state_dict(state_dict, prefix, *others)


def check_frame_model(path: Path, size: int | None) -> None:
    """Refuse a file that cannot be an encoder for frames of this size (None: not known yet).

    Raises:
        WeightsError: it cannot; the message has the reason.
    """
    declared = declared_image(path)
    height, width = declared.height, declared.width
    if size is not None:
        _compare_size(path, declared, size, size)
    adapted(path, height or size or _USUAL, width or size or _USUAL)


def declared_image(path: Path) -> "Declared":
    """Return what image a file takes.

    Raises:
        WeightsError: it is no such model.
    """
    return _declared(_read(path), str(path))


def frame_model(path: Path, channels: int, height: int, width: int) -> FrameModel:
    """Return a file as an encoder of frames of this size.

    Raises:
        WeightsError: it cannot be one.
    """
    declared = declared_image(path)
    _compare_size(path, declared, height, width)
    if declared.channels < channels:
        raise WeightsError(f"--encoder {path}: takes grey images; add --grayscale")
    return FrameModel(adapted(path, height, width), path.name)


def adapted(path: Path, height: int, width: int) -> bytes:
    """Return the graph of a file for images of one size, as an export can hold it.

    Raises:
        WeightsError: there is none.
    """
    return _adapted(_read(path), str(path), height, width)


@functools.lru_cache(maxsize=2)
def _declared(content: bytes, where: str) -> "Declared":
    from seqvision.models.onnx_adaptation import declared_input, load
    from seqvision.models.onnx_rewrites import AdaptError

    try:
        return declared_input(load(content))
    except AdaptError as reason:
        raise WeightsError(f"--encoder {where}: {reason}") from None


def _compare_size(path: Path, declared: "Declared", height: int, width: int) -> None:
    own = (declared.height or height, declared.width or width)
    if own != (height, width):
        given = f"{height}" if height == width else f"{width}×{height}"
        own_size = f"--size {own[0]}" if own[0] == own[1] else "no --size, which takes its own"
        raise WeightsError(
            f"--size {given}: {path.name} takes images of {own[1]}×{own[0]} only; give {own_size}"
        )


@functools.lru_cache(maxsize=2)
def _adapted(content: bytes, where: str, height: int, width: int) -> bytes:
    from seqvision.models.onnx_adaptation import adapt
    from seqvision.models.onnx_rewrites import AdaptError

    with temporary_folder() as folder:
        scratch = folder / "encoder.onnx"
        try:
            made = (
                _in_child(content, height, width, scratch)
                if can_start()
                else adapt(content, height, width, scratch)
            )
        except AdaptError as reason:
            raise WeightsError(f"--encoder {where}: {reason}") from None
    _checked(made, where)
    return made


def _in_child(content: bytes, height: int, width: int, scratch: Path) -> bytes:
    """Adapt in a process that may die of it.

    Raises:
        AdaptError: it cannot be adapted, or the process died or took too long.
    """
    from seqvision.models.onnx_rewrites import AdaptError

    memory = _MEMORY + _COPIES * len(content)
    largest = 2 * len(content) + (64 << 20)
    task = {"file": str(scratch), "height": height, "width": width, "largest": largest,
            "memory": memory, "seconds": _SECONDS}  # fmt: skip
    try:
        child = start_child("seqvision.models.onnx_adaptation", task)
    except Died as ending:
        raise AdaptError(f"the process that adapts it {ending}") from None
    try:

        def write() -> None:
            child.send(content)
            child.close_input()

        threading.Thread(target=write, daemon=True).start()
        answer = child.receive(_SECONDS)
        if answer == ["adapted"]:
            return scratch.read_bytes()
        (reason,) = fields(answer, str)
        raise AdaptError(reason)
    except TimeoutError:
        raise AdaptError(f"takes longer than {_SECONDS:g} s to adapt; it was stopped") from None
    except Died as ending:
        raise AdaptError(f"onnx or onnxruntime crashes on it ({ending}); it is not used") from None
    finally:
        child.end()


def _read(path: Path) -> bytes:
    return read_limited(path, MAX_BYTES, "give the path of an ONNX file", WeightsError)


def _checked(content: bytes, where: str) -> tuple[int, tuple[int, int, int], int]:
    """Return opset, image and number of features of a graph that may be loaded.

    Raises:
        WeightsError: it may not.
    """
    try:
        opset, graph = read_plain_graph(content)
        image, features = _promise(graph)
        for count in (1, 2):
            (found,), _ = sizes(graph, {IMAGES: (count, *image)}, count)
            if found != (count, features):
                raise Refused(f"it gives {list(found)} for {count} images")
    except Refused as reason:
        raise WeightsError(f"--encoder {where}: cannot be merged into a file: {reason}") from None
    return opset, image, features


def _promise(graph: Graph) -> tuple[tuple[int, int, int], int]:
    """Return the image and the number of features that an adapted graph declares."""
    values = (*graph.inputs, *graph.outputs)
    if [(value.name, value.kind, len(value.axes)) for value in values] != [
        (IMAGES, FLOAT, 4), (FEATURES, FLOAT, 2),
    ]:  # fmt: skip
        raise Refused("it is not a graph of images and features")
    sized = [*graph.inputs[0].axes[1:], graph.outputs[0].axes[1]]
    numbers = [axis for axis in sized if isinstance(axis, int) and axis > 0]
    if len(numbers) != 4:
        raise Refused("its sizes are not fixed")
    channels, height, width, features = numbers
    return (channels, height, width), features
