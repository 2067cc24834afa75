"""`model.onnx` → `Session` (the loaded model) → `Stream` (the state of one source).

The graph is `(frames, state…) → (probabilities, next state…)`.  A whole clip is one call with an
empty state; live is one call per frame that passes the state on.  The session carries the tensors
named by the card and does not interpret them.
"""

import math
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from seqvision_edge.card import ModelCard, StateTensor
from seqvision_edge.child_process import can_start
from seqvision_edge.errors import ModelError
from seqvision_edge.onnx_validation import read_model
from seqvision_edge.onnx_validation.validate import shapes, state_fits
from seqvision_edge.ort_session import load_graph
from seqvision_edge.providers import Device, device_name
from seqvision_edge.sandboxed_load import Trial, is_known, remember, try_load

States = tuple[NDArray[np.float32], ...]

DEADLINE = 20.0
# Of calls remembered as valid: a client that varies them must not fill the memory.
_MOST_KINDS = 10_000

# A softmax in half precision.
_ROUNDING = 1e-2

# uint8 pictures, or float32 vectors.
Frames = NDArray[Any]
ModelOutput = NDArray[np.float32] | None


class Session:
    """A loaded model: immutable, usable from several threads and for any number of streams."""

    def __init__(
        self,
        model: str | Path | bytes,
        device: Device = "auto",
        threads: int = 1,
        *,
        expect_sha256: str | None = None,
        deadline: float = DEADLINE,
        trial: bool = True,
    ):
        """Load a model, which may be untrusted.

        A file that was never loaded on this machine is first loaded in a child process, if
        possible, which may crash; see trial_load.py.

        Args:
            model: the path of a `model.onnx`, or its bytes.
            device: `auto` takes CUDA if this onnxruntime has it and it starts, else the CPU.
            threads: CPU threads of one call.  One is the fastest below about 2 ms per frame.
            expect_sha256: the required hash of the whole file.
            deadline: seconds that the first frame may take.
            trial: False for a file that this program has just written itself.

        Raises:
            ModelError: the file is missing, damaged, not the expected one, contains something that
                `seqvision export` never writes, takes longer than the deadline, or the trial
                process could not be started.
            CardError: its card cannot be read by this version.
            DeviceError: `device` is not available here.
        """
        content, self._file = read_model(model, expect_sha256)
        self.where, self.card = self._file.where, self._file.card
        is_new = trial and can_start() and not is_known(content)
        was_tried = is_new and try_load(content, self._trial(deadline), self.where)
        self._session = load_graph(content, device, threads, self.where)
        self.provider: str = self._session.get_providers()[0]
        self._inputs = ["frames", *(tensor.name for tensor in self.card.state.tensors)]
        self._known: set[tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]] = set()
        self._outputs = [output.name for output in self._session.get_outputs()]
        warm_up(self, deadline)
        if was_tried:
            remember(content)

    @property
    def device(self) -> str:
        """The device that runs the model, as named by `--device`."""
        return device_name(self.provider)

    def empty_state(self, batch: int = 1) -> States:
        """Return the state before the first frame: every dynamic axis but the batch is 0."""
        return tuple(
            np.zeros([_empty_size(axis, batch) for axis in tensor.axes], np.float32)
            for tensor in self.card.state.tensors
        )

    def run(
        self,
        frames: Frames,
        state: States | None = None,
        *,
        run_options: ort.RunOptions | None = None,
    ) -> tuple[NDArray[np.float32], States]:
        """Return the probabilities for the newest step of `frames`, given the state.

        Args:
            frames: `(batch, time, height, width, channels)` uint8, time at least 1; of vectors
                `(batch, time, features)` float32.
            state: from the previous call; None at the start of a clip or stream.
            run_options: onnxruntime's own, by which another thread can stop the call.

        Returns:
            Probabilities `(batch, labels)`, and the state for the next call.

        Raises:
            ValueError: frames or state have another shape or type than the card's.
            ModelError: the graph needs absurdly much for so many frames.
        """
        if state is None:
            state = self.empty_state(frames.shape[0])
        given: tuple[NDArray[Any], ...] = (frames, *state)
        # In a live run every call is like the previous one: only a different one is checked.
        kind = tuple([(values.dtype, values.shape) for values in given])
        if kind not in self._known:
            self._check(frames, state)
            if len(self._known) < _MOST_KINDS:
                self._known.add(kind)
        feed: dict[str, NDArray[Any]] = dict(zip(self._inputs, given, strict=True))
        probabilities, *following = self._session.run(self._outputs, feed, run_options)
        return cast("NDArray[np.float32]", probabilities), tuple(following)

    def stream(self) -> "Stream":
        """Return a new stream with an empty state."""
        return Stream(self)

    def _trial(self, deadline: float) -> Trial:
        """Return the calls of a trial: a stream's first two, and a whole clip."""
        window = self.card.sequence.window
        kinds = [(1, 0), (1, window - 1), (window, 0)]
        calls = [shapes(self.card, 1, time, kept) for time, kept in kinds]
        memory = max(self._file.allow(call) for call in calls)
        names = ["frames", *(tensor.name for tensor in self.card.state.tensors)]
        return Trial([list(zip(names, call, strict=True)) for call in calls], memory, deadline)

    def _check(self, frames: Frames, state: States) -> None:
        """Refuse a call that does not match the card, or that would need absurdly much."""
        expected, kind = self.card.step_shape, step_dtype(self.card)
        if frames.dtype != kind or frames.ndim < 2 or frames.shape[2:] != expected:
            raise ValueError(
                f"frames are {frames.dtype} {frames.shape}, "
                f"the model takes {kind} (batch, time, {', '.join(map(str, expected))})"
            )
        if 0 in frames.shape[:2]:
            raise ValueError(f"frames are empty: {frames.shape}")
        batch, tensors = frames.shape[0], self.card.state.tensors
        if len(state) != len(tensors):
            raise ValueError(f"the state has {len(state)} tensors, the model takes {len(tensors)}")
        for tensor, values in zip(tensors, state, strict=True):
            if values.dtype != np.float32 or not state_fits(tensor, values.shape, batch):
                raise ValueError(
                    f"the state {tensor.name} is {values.dtype} {values.shape}, "
                    f"the model takes float32 {list(tensor.axes)} for a batch of {batch}"
                )
        self._file.allow((frames.shape, *(values.shape for values in state)))


class Stream:
    """One source's use of a session: it keeps the state of that source."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.nonfinite = 0
        self.reset()

    def reset(self) -> None:
        """Reset the state: at a gap, a reconnect, or another clip."""
        self.state = self._session.empty_state()
        self.seen = 0

    @property
    def window_full(self) -> bool:
        """Whether the window is full, as for the clips of the training."""
        return self.seen >= self._session.card.sequence.window

    def push(
        self, frames: Frames, run_options: ort.RunOptions | None = None
    ) -> NDArray[np.float32] | None:
        """Add frames and return the prediction for the newest one.

        Args:
            frames: `(time, height, width, channels)` uint8, or `(time, features)` float32.
            run_options: onnxruntime's own, by which another thread can stop the call.

        Returns:
            Probabilities `(labels,)`; None if the model returned a non-finite value.  Then the
            state is reset, because one such value would spoil every later prediction, and
            `nonfinite` counts it.
        """
        probabilities, state = self._session.run(frames[None], self.state, run_options=run_options)
        return self.accept_output(probabilities[0], state, len(frames))

    def accept_output(
        self, probabilities: NDArray[np.float32], state: States, steps: int
    ) -> NDArray[np.float32] | None:
        """Store the result of a call for this stream: probabilities, and state (batch of one).

        Returns:
            Probabilities `(labels,)`, or None if a value is not finite, as in `push`.
        """
        if not all(map(_is_finite, (probabilities, *state))):
            self.nonfinite += 1
            self.reset()
            return None
        self.state = state
        self.seen += steps
        return probabilities

    def repeat_last(self, steps: int) -> None:
        """Repeat the newest step `steps` times: for frames that were skipped.

        It costs no call of the model, because a window keeps the features of each step, along the
        one dynamic axis, whatever its name.  A carried state has no steps to repeat: then this does
        nothing.
        """
        card = self._session.card
        axes = [_step_axis(tensor) for tensor in card.state.tensors]
        if card.state.kind != "window" or not self.seen or None in axes:
            return
        steps = min(steps, card.sequence.window - 1)
        most = card.sequence.window - 1
        self.state = tuple(
            _held(values, axis or 0, steps, most)
            for values, axis in zip(self.state, axes, strict=True)
        )
        self.seen += steps


def _is_finite(values: NDArray[np.float32]) -> bool:
    """Return whether all values are finite: by their sum of squares, in a fifth of the time."""
    return math.isfinite(np.vdot(values, values)) or bool(np.isfinite(values).all())


def _step_axis(tensor: StateTensor) -> int | None:
    """Return the axis along which a window's tensor keeps its steps; None if it has none."""
    free = [index for index, axis in enumerate(tensor.axes) if isinstance(axis, str) and index]
    return free[0] if len(free) == 1 and tensor.axes[free[0]] != "batch" else None


def _held(values: NDArray[np.float32], axis: int, steps: int, most: int) -> NDArray[np.float32]:
    """Return a state with its newest step repeated, the oldest ones dropped."""
    kept = values.shape[axis]
    indices = np.r_[np.arange(kept), np.full(steps, kept - 1)][-most:] if most and kept else []
    return np.take(values, np.asarray(indices, np.intp), axis)


def _empty_size(axis: str | int, batch: int) -> int:
    if isinstance(axis, int):
        return axis
    return batch if axis == "batch" else 0


def step_dtype(card: ModelCard) -> np.dtype[Any]:
    """Return the type of the values of a step: float32 of a vector, uint8 of a picture."""
    return np.dtype(np.float32 if card.vectors else np.uint8)


def grey_step(card: ModelCard) -> Frames:
    """Return a step that shows nothing: a grey picture, or a vector of zeros."""
    return np.full(card.step_shape, 0 if card.vectors else 128, step_dtype(card))


def random_steps(generator: np.random.Generator, card: ModelCard, *leading: int) -> Frames:
    """Return noise as steps `(*leading, *step)`; a tenth of the values of vectors is missing."""
    shape = (*leading, *card.step_shape)
    if card.vectors is None:
        return generator.integers(0, 256, shape, np.uint8)
    noise = generator.normal(0, 2, shape).astype(np.float32)
    noise[generator.random(shape) < 0.1] = np.nan
    return noise


class Loaded(Protocol):
    """The part of a session that is used here."""

    where: str
    card: ModelCard

    def run(
        self, frames: Frames, *, run_options: ort.RunOptions
    ) -> tuple[NDArray[np.float32], tuple[NDArray[np.float32], ...]]:
        """Return probabilities and state for frames, from an empty state."""


def warm_up(session: Loaded, deadline: float) -> None:
    """Run one grey frame with an empty state.

    Args:
        session: the loaded model.
        deadline: seconds until the run is stopped.

    Raises:
        ModelError: it fails, takes longer, or does not give finite probabilities and states of the
            promised shapes.
    """
    frames = grey_step(session.card)[None, None]
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
            f"{session.where}: it returns {probabilities.dtype} {probabilities.shape}, "
            f"its card promises float32 (1, {labels})"
        )
    if not all(np.isfinite(values).all() for values in (probabilities, *state)):
        raise ModelError(f"{session.where}: its output for a grey frame is not finite")
    if probabilities.min() < -_ROUNDING or abs(float(probabilities.sum()) - 1) > _ROUNDING:
        raise ModelError(f"{session.where}: its output for a grey frame is not probabilities")
    for tensor, values in zip(session.card.state.tensors, state, strict=True):
        if values.dtype != np.float32 or not state_fits(tensor, values.shape, 1):
            raise ModelError(
                f"{session.where}: it returns {tensor.name} as {values.dtype} {values.shape}, "
                f"its card promises float32 {list(tensor.axes)}"
            )


def run_batch(
    session: Session,
    requests: Sequence[tuple[Stream, Frames]],
    run_options: ort.RunOptions | None = None,
) -> list[ModelOutput]:
    """Push frames `(time, height, width, channels)` into each stream; results in the same order.

    Streams whose frames and states have the same shapes form one batch; those with a full window
    always do.  Each result is that of `Stream.push`: probabilities `(labels,)`, or None.  Another
    thread can stop the call by onnxruntime's `run_options`.
    """
    if len(requests) == 1:
        ((stream, frames),) = requests
        return [stream.push(frames, run_options)]
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, (stream, frames) in enumerate(requests):
        alike[frames.shape, tuple(values.shape for values in stream.state)].append(number)
    answers: list[ModelOutput] = [None] * len(requests)
    for numbers in alike.values():
        frames = np.stack([requests[number][1] for number in numbers])
        streams = [requests[number][0] for number in numbers]
        state = _joined(session, [stream.state for stream in streams])
        probabilities, following = session.run(frames, state, run_options=run_options)
        for index, (number, stream) in enumerate(zip(numbers, streams, strict=True)):
            own = _split(session, following, index)
            answers[number] = stream.accept_output(probabilities[index], own, frames.shape[1])
    return answers


def _joined(session: Session, states: Sequence[States]) -> States:
    """Return the states of single streams as that of a batch."""
    return tuple(
        np.concatenate([state[index] for state in states], axis=tensor.axes.index("batch"))
        for index, tensor in enumerate(session.card.state.tensors)
    )


def _split(session: Session, state: States, index: int) -> States:
    """Return the state of one stream of a batch, as a copy."""
    # A copy: a slice would keep the whole batch in memory.
    return tuple(
        np.take(values, [index], tensor.axes.index("batch"))
        for values, tensor in zip(state, session.card.state.tensors, strict=True)
    )
