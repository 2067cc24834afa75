"""Whether something moves in a view: a model that runs only then costs next to nothing else.

The background is OpenCV's mixture of Gaussians (Zivkovic, 2004), on a small copy of the model's
own pixels.  The steps of the last window are kept while nothing moves: when something does,
the model reads them at once, and is in the state in which it would be, had it always run.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.card import TimedSequence
from seqvision_edge.frame import Image
from seqvision_edge.opencv import cv2

# Longest side of the picture that is compared.
_SIDE = 48
_BACKGROUND_SECONDS = 30.0
# Squared distance from the background, in deviations; grey levels that are never motion.
_DISTANCE, _LEAST_LEVELS = 16.0, 10.0
# Share of the pixels that must differ.
_SHARE = 0.004
# After the last motion the window has to pass, and the decision to settle.
_SETTLE_SECONDS = 1.0


class MotionGate:
    """Open while something moves, and for a window and a second after it; at the start too."""

    def __init__(self, sequence: TimedSequence) -> None:
        """Begin open, before the first frame."""
        self._hold = sequence.frames / sequence.fps + _SETTLE_SECONDS
        self._past: deque[Image] = deque(maxlen=sequence.frames)
        self._background: Any = cv2.createBackgroundSubtractorMOG2(
            round(_BACKGROUND_SECONDS * sequence.fps), _DISTANCE, False
        )
        self._background.setVarMin(_LEAST_LEVELS**2 / _DISTANCE)
        self._background.setVarInit(_LEAST_LEVELS**2 / _DISTANCE)
        self._until: float | None = None
        self.is_open = True

    def take(self, image: Image, time: float, ticks: int) -> NDArray[np.uint8] | None:
        """Return the steps to encode at a frame `(time, height, width, channels)`; None: nothing.

        `image` is the model's input for it, `time` in seconds, and `ticks` how many it answers.
        """
        if self._until is None or self._moves(image):
            self._until = time + self._hold
        was_open, self.is_open = self.is_open, time <= self._until
        if self.is_open and was_open:
            return np.repeat(image[None], ticks, axis=0) if ticks > 1 else image[None]
        if was_open:
            self._past.clear()
        self._past.extend([image] * ticks)
        if not self.is_open:
            return None
        return np.stack(list(self._past))

    def restart(self) -> None:
        """Forget the steps before a gap; what is still is known all the same."""
        self._past.clear()

    def _moves(self, image: Image) -> bool:
        height, width = image.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        size = max(1, round(scale * width)), max(1, round(scale * height))
        # In colour: a thing may be as bright as what is behind it.
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        mask = self._background.apply(small)
        return bool(cv2.countNonZero(mask) > _SHARE * mask.size)
