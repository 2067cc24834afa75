"""The first call of a loaded model, with a deadline: what it answers must be an answer."""

import threading
import time
from typing import Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from seqvision_edge.card import ModelCard
from seqvision_edge.errors import ModelError
from seqvision_edge.model_file.contract import fits

# A softmax in half precision.
_ROUNDING = 1e-2


class Loaded(Protocol):
    """What is asked of a session here."""

    where: str
    card: ModelCard

    def run(
        self, frames: NDArray[np.uint8], *, run_options: ort.RunOptions
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        """Answer for frames, from an empty state."""


def warm_up(session: Loaded, deadline: float) -> None:
    """Run one grey frame with an empty state.

    Args:
        session: just loaded.
        deadline: seconds until the run is stopped.

    Raises:
        ModelError: it fails, takes longer, or does not give finite probabilities and states of the
            promised shapes.
    """
    image = session.card.image
    frames = np.full((1, 1, image.height, image.width, image.channels), 128, np.uint8)
    stop = ort.RunOptions()
    stop.log_severity_level = 4
    timer = threading.Timer(deadline, setattr, (stop, "terminate", True))
    timer.daemon = True
    began = time.monotonic()
    timer.start()
    try:
        probabilities, state = session.run(frames, run_options=stop)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime raises a dozen unrelated types here
        if time.monotonic() - began >= deadline:
            raise ModelError(
                f"{session.where}: one frame took longer than {deadline:g} s; it was stopped"
            ) from None
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"{session.where}: cannot run ({reason[:160]})") from None
    finally:
        timer.cancel()
    labels = len(session.card.labels)
    if probabilities.shape != (1, labels) or probabilities.dtype != np.float32:
        raise ModelError(
            f"{session.where}: it answers {probabilities.dtype} {probabilities.shape}, "
            f"its card promises float32 (1, {labels})"
        )
    if not all(np.isfinite(values).all() for values in (probabilities, *state)):
        raise ModelError(f"{session.where}: its answer to a grey frame is not finite")
    if probabilities.min() < -_ROUNDING or abs(float(probabilities.sum()) - 1) > _ROUNDING:
        raise ModelError(f"{session.where}: its answer to a grey frame is no probabilities")
    for tensor, values in zip(session.card.state.tensors, state, strict=True):
        if values.dtype != np.float32 or not fits(tensor, values.shape, 1):
            raise ModelError(
                f"{session.where}: it gives {tensor.name} as {values.dtype} {values.shape}, "
                f"its card promises float32 {list(tensor.axes)}"
            )
