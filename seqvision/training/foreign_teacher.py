"""An ONNX model of clips that this project did not write, as a teacher.

It has one input, a clip of floats or bytes in any order of axes, and one output, a number for each
label.  onnxruntime runs it as it is: such a file is not checked as one of ours is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from seqvision.models.encoders import pixel_range
from seqvision_edge.card import ImageSpec, SequenceSpec, TimedSequence
from seqvision_edge.errors import ModelError
from seqvision_edge.ort_session import CPU, create_session
from seqvision_edge.sampling import Steps

# Order of the axes of a clip `(time, height, width, channels)` in the input, by where 3 is.
_ORDERS: Final = {1: (3, 0, 1, 2), 2: (0, 3, 1, 2), 4: (0, 1, 2, 3)}
_KINDS: Final = {"tensor(float)": np.float32, "tensor(float16)": np.float16,
                 "tensor(uint8)": np.uint8}  # fmt: skip


@dataclass(frozen=True)
class ForeignModel:
    """A model that is loaded, and the input that it takes."""

    path: Path
    image: ImageSpec
    sequence: TimedSequence
    session: ort.InferenceSession
    order: tuple[int, ...]
    frames: int
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def answer(self, steps: Steps) -> NDArray[np.float32]:
        """Return the probabilities of the labels for a clip `(time, height, width, channels)`.

        A clip that is shorter than the model's input ends with its last frame.

        Raises:
            ModelError: it cannot be run, or gives something else.
        """
        if self.frames and len(steps) < self.frames:
            last = np.repeat(steps[-1:], self.frames - len(steps), axis=0)
            steps = np.concatenate([steps, last])
        (given,) = self.session.get_inputs()
        kind = _KINDS[given.type]
        shown: Any = steps
        if kind is not np.uint8:
            shown = ((steps / np.float32(255) - self.mean) / self.deviation).astype(kind)
        feed = {given.name: np.ascontiguousarray(shown.transpose(self.order)[None])}
        try:
            found = np.asarray(self.session.run(None, feed)[0], np.float32)
        except Exception as error:  # onnxruntime raises a dozen unrelated types here
            why = " ".join(str(error).split())[-160:]
            raise ModelError(f"--teacher {self.path}: cannot run ({why})") from None
        if found.ndim != 2 or found.shape[0] != 1 or not np.isfinite(found).all():
            raise ModelError(
                f"--teacher {self.path}: gives {list(found.shape)} for a clip; an answer is a "
                "finite number for each label, [1, labels]"
            )
        row: NDArray[np.float32] = found[0]
        if row.min() >= 0 and abs(float(row.sum()) - 1) < 1e-3:
            return row
        powers = np.exp(row - row.max())
        shares: NDArray[np.float32] = powers / powers.sum()
        return shares


def open_foreign(
    path: Path, content: bytes, image: ImageSpec, sequence: SequenceSpec, normalize: str
) -> ForeignModel:
    """Load a model; what its file leaves open is as the student has it.

    Args:
        path: the file, for messages.
        content: its bytes.
        image, sequence: the student's.
        normalize: the pixel range, as `--normalize` has it.

    Raises:
        ModelError: onnxruntime cannot load it, or it is no model of clips.
    """
    try:
        session = create_session(content, CPU, 1)
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        why = " ".join(str(error).split())[-160:]
        raise ModelError(f"--teacher {path}: onnxruntime cannot load it ({why})") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"--teacher {path}: has {len(inputs)} inputs and {len(outputs)} outputs; a teacher has "
            "one clip as input and one output"
        )
    axes = inputs[0].shape
    fixed = [axis if isinstance(axis, int) else 0 for axis in axes]
    place = next((index for index in _ORDERS if len(fixed) == 5 and fixed[index] == 3), None)
    if place is None or inputs[0].type not in _KINDS or fixed[0] not in (0, 1):
        raise ModelError(
            f"--teacher {path}: takes {inputs[0].type} {axes}; a clip is floats or bytes with five "
            "axes: batch (1 or free), time, height, width and 3 channels, in any usual order"
        )
    if not isinstance(sequence, TimedSequence):
        raise ModelError(f"--teacher {path}: reads videos, the clips are still images")
    order = _ORDERS[place]
    time, height, width, _ = (fixed[1 + order.index(axis)] for axis in range(4))
    own = image.model_copy(
        update={"height": height or image.height, "width": width or image.width, "channels": 3}
    )
    taken = sequence.model_copy(update={"frames": time or sequence.frames})
    mean, deviation = pixel_range("teacher.onnx", normalize)
    return ForeignModel(
        path, own, taken, session, order, time, np.asarray(mean, np.float32),
        np.asarray(deviation, np.float32),
    )  # fmt: skip
