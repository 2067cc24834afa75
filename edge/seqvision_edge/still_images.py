"""Turn a still image into a sequence of steps: bands, windows, patches or colour channels.

Training resizes an image, augments it as a whole and then cuts it; the runner resizes and cuts.
Both use these functions, so a strip is cut in the same way in both.
"""

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import ImageSequence, ImageSpec, PatchSequence, WindowSequence
from seqvision_edge.frame import Image
from seqvision_edge.preprocess import prepare


def image_steps(bgr: Image, spec: ImageSpec, sequence: ImageSequence) -> Image:
    """Convert a picture as OpenCV reads it to the steps of the model's input.

    Args:
        bgr: `(height, width)` grey, `(height, width, 3)` BGR or `(height, width, 4)` BGRA, uint8.
        spec: the size of a step, from the model's card.
        sequence: how the picture is cut, from the model's card.

    Returns:
        `(steps, spec.height, spec.width, spec.channels)` uint8; steps from 1 to `sequence.window`.
    """
    return cut_steps(sized(bgr, spec, sequence), spec, sequence)


def sized(bgr: Image, spec: ImageSpec, sequence: ImageSequence) -> Image:
    """Return a picture at the size at which it is cut.

    Returns:
        `(height, width, channels)` uint8, RGB or grey.  Bands and windows have a fixed size only
        across, the other follows from the aspect ratio.
    """
    if isinstance(sequence, PatchSequence):
        size = sequence.rows * spec.height, sequence.columns * spec.width
        return prepare(bgr, spec.model_copy(update={"height": size[0], "width": size[1]}))
    if sequence.kind == "channels":
        return prepare(bgr, spec.model_copy(update={"channels": 3}))
    height, width = bgr.shape[:2]
    if _is_along_height(sequence):
        size = max(1, round(height * spec.width / width)), spec.width
    else:
        size = spec.height, max(1, round(width * spec.height / height))
    whole = {"height": size[0], "width": size[1], "fit": "stretch"}
    return prepare(bgr, spec.model_copy(update=whole))


def cut_steps(image: Image, spec: ImageSpec, sequence: ImageSequence, start: float = 0.5) -> Image:
    """Return the steps of a sized image.

    Args:
        image: the result of `sized`.
        spec: the size of a step.
        sequence: how the image is cut.
        start: of an image with too many steps that is cropped: the position of the part that is
            read, 0 (begin) to 1 (end).

    Returns:
        `(steps, spec.height, spec.width, spec.channels)` uint8.  A part of the last step beyond
        the image is black.
    """
    if isinstance(sequence, PatchSequence):
        return _patches(image, spec, sequence)
    if sequence.kind == "channels":
        return np.ascontiguousarray(image.transpose(2, 0, 1)[..., None])
    # Along the first axis, whatever the side was.
    along_height = _is_along_height(sequence)
    line = image if along_height else image.swapaxes(0, 1)
    size = spec.height if along_height else spec.width
    stride = sequence.stride if isinstance(sequence, WindowSequence) else size
    count = step_count(len(line), size, stride)
    starts = stride * _chosen(count, sequence.steps, sequence.longer, start)
    missing = max(0, int(starts[-1]) + size - len(line))
    if missing:
        line = np.concatenate((line, np.zeros((missing, *line.shape[1:]), np.uint8)))
    steps = line[starts[:, None] + np.arange(size)]
    return np.ascontiguousarray(steps if along_height else steps.swapaxes(1, 2))


def step_count(length: int, size: int, stride: int) -> int:
    """Return how many steps of `size`, `stride` apart, cover `length` pixels."""
    return 1 + max(0, -(-(length - size) // stride))


def _is_along_height(sequence: ImageSequence) -> bool:
    if isinstance(sequence, WindowSequence):
        return sequence.along == "height"
    return sequence.kind == "rows"


def _chosen(count: int, most: int, longer: str, start: float) -> NDArray[np.int64]:
    """Return the indices of the steps that are read."""
    if count <= most:
        return np.arange(count, dtype=np.int64)
    if longer == "subsample":
        return np.linspace(0, count - 1, most).round().astype(np.int64)
    first = round((count - most) * start)
    return np.arange(first, first + most, dtype=np.int64)


def _patches(image: Image, spec: ImageSpec, sequence: PatchSequence) -> Image:
    grid = image.reshape(
        sequence.rows, spec.height, sequence.columns, spec.width, image.shape[2]
    ).swapaxes(1, 2)
    if sequence.order == "snake":
        grid = grid.copy()
        grid[1::2] = grid[1::2, ::-1]
    return np.ascontiguousarray(grid.reshape(-1, *grid.shape[2:]))
