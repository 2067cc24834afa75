"""Steps as plain data, in the order in which things happened."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from seqvision_edge.result import Event, Prediction, SourceState, utc
from seqvision_edge.step import Step

Record = dict[str, Any]


def records(step: Step) -> Iterator[Record]:
    """Yield the records of a step: new states of its source, its prediction, ended events."""
    for state in step.changed:
        yield record(step.source, state)
    if step.answered and step.prediction is not None:
        yield record(step.source, step.prediction)
    for event in step.events:
        yield record(step.source, event)


def record(source: str, result: Prediction | Event | SourceState) -> Record:
    """Return an answer, an event or a state as plain data that names its source."""
    plain = result.to_json()
    return {"type": plain.pop("type"), "source": source, **plain}


def message(source: str, result: Event | SourceState) -> Record:
    """Return an event or a state as it is sent to other programs.

    `id` is the same in every copy of it, `timestamp` is the wall clock (UTC) at which it is handed
    to the outputs.
    """
    return {**record(source, result), "id": uuid.uuid4().hex, "timestamp": utc(time.time())}
