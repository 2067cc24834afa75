"""Frames of several streams through the model in one call."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from seqvision_edge.session import Session, States, Stream

Frames = NDArray[np.uint8]
Answer = NDArray[np.float32] | None


def run_batch(
    session: Session,
    requests: Sequence[tuple[Stream, Frames]],
    run_options: ort.RunOptions | None = None,
) -> list[Answer]:
    """Push frames `(time, height, width, channels)` into each stream; answers in the same order.

    Streams whose frames and states have the same shapes go as one batch: those that are warm always
    have.  Each answer is as from `Stream.push`: probabilities `(labels,)`, or None.  Another thread
    can stop the call by onnxruntime's `run_options`.
    """
    if len(requests) == 1:
        ((stream, frames),) = requests
        return [stream.push(frames, run_options)]
    alike: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number, (stream, frames) in enumerate(requests):
        alike[frames.shape, tuple(values.shape for values in stream.state)].append(number)
    answers: list[Answer] = [None] * len(requests)
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
    """Return the state of one stream of a batch, as one of its own."""
    # A copy: a slice would keep the whole batch in memory.
    return tuple(
        np.take(values, [index], tensor.axes.index("batch"))
        for values, tensor in zip(state, session.card.state.tensors, strict=True)
    )
