"""A clip → predictions: of its centre, of all its windows, or over time."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from seqvision_edge.batch import Answer
from seqvision_edge.clip import Steps, centre, window_fill, windows
from seqvision_edge.decision import is_unsure
from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.result import Event, Prediction, SourceState
from seqvision_edge.run import MAX_AGE
from seqvision_edge.serve.job import Job
from seqvision_edge.serve.sent import DecodedUpload, Sender, UploadedClip, kept
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import EventSchema, PredictionSchema, Share, WindowSchema

_TOGETHER = 8
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Question:
    """Options of a request: the query of `POST /v1/predict`."""

    top: int = 3
    probabilities: bool = False
    timeline: bool = False
    every_window: bool = False

    @property
    def is_long(self) -> bool:
        """Whether the model is asked many times about one clip."""
        return self.timeline or self.every_window


@dataclass(frozen=True)
class TimelineResult:
    """Predictions and events of a clip over time, as edge-run reports them."""

    answers: Sequence[WindowSchema]
    events: Sequence[Event]


def centre_of(sent: UploadedClip, service: Service, job: Job) -> tuple[Steps, str | None]:
    """Return the steps by which a clip is judged, and what is missing of it."""
    with kept(sent, service.session.card, service.limits, job) as clip:
        card = service.session.card
        return centre(clip, card.image, card.sequence), sent.incomplete()


def long_answer(
    sent: UploadedClip, question: Question, service: Service, job: Job
) -> PredictionSchema:
    """Ask the model many times about one clip, in a thread that may wait."""
    card = service.session.card
    timeline = _Timeline(sent, question, service, job) if question.timeline else None
    see = timeline.see if timeline else None
    with kept(sent, card, service.limits, job, see) as clip:
        probabilities = _mean(clip, question, service, job)
        course = timeline.course() if timeline else None
        min_confidence = service.decision.min_confidence
        fill = window_fill(len(centre(clip, card.image, card.sequence)), card.sequence)
        return answered(
            card.labels, min_confidence, probabilities, question, sent.incomplete(), fill, course
        )


def answered(
    labels: Sequence[str],
    min_confidence: float,
    probabilities: NDArray[np.floating],
    question: Question,
    incomplete: str | None,
    fill: float,
    course: TimelineResult | None = None,
) -> PredictionSchema:
    """Return probabilities `(labels,)` as the answer to a question.

    `min_confidence` is the decision's, `fill` the share of the window that the clip fills.
    """
    shares = [round(float(value), _DIGITS) for value in probabilities]
    order = np.argsort(-probabilities, kind="stable")
    ranked = [Share(label=labels[index], probability=shares[index]) for index in order]
    return PredictionSchema(
        label=ranked[0].label,
        probability=ranked[0].probability,
        unsure=is_unsure(float(probabilities.max()), min_confidence) or None,
        top=ranked[: question.top],
        probabilities=dict(zip(labels, shares, strict=True)) if question.probabilities else None,
        windows=None if course is None else list(course.answers),
        events=None
        if course is None
        else [EventSchema.model_validate(event.to_json()) for event in course.events],
        incomplete=incomplete,
        window_fill=round(fill, _DIGITS) if fill < 1 else None,
    )


def finite(answer: Answer) -> NDArray[np.float32]:
    """Return probabilities; a value that is not finite is no answer."""
    if answer is None:
        raise HTTPException(422, "the model's answer is not finite")
    return answer


class _Timeline:
    """The way of a run, beside the decoding of a clip."""

    def __init__(self, sent: UploadedClip, question: Question, service: Service, job: Job) -> None:
        self._batcher, self._job, self._question = service.batcher, job, question
        self._most = service.limits.timeline_values
        source = Sender("clip", sent.fps)
        self._pipeline = make_pipeline(
            service.session, source, service.decision, MAX_AGE, time.monotonic
        )
        self._answers: list[WindowSchema] = []
        self._events: list[Event] = []

    def see(self, frame: Frame) -> Iterator[None]:
        """Take the next frame, with the stills before it; yield after each answer."""
        for still in self._pipeline.stills(frame):
            self._answer(self._pipeline.preprocess(still))
            yield
        self._answer(self._pipeline.preprocess(frame))
        yield

    def _answer(self, frame: Frame) -> None:
        frames = self._pipeline.model_input(frame)
        probabilities = None
        if frames is not None:
            (probabilities,) = self._job.infer(self._batcher, [(self._pipeline.stream, frames)])
        step = self._pipeline.handle_output(frame, probabilities, inferred=frames is not None)
        if step.answered and step.prediction is not None:
            self._keep(step.prediction)
        self._events += step.events

    def _keep(self, answer: Prediction) -> None:
        # What is sent, and no more: there may be thousands of labels.
        self._job.values += len(answer.probabilities) if self._question.probabilities else 1
        if self._job.values > self._most:
            raise HTTPException(
                413, f"more than {self._most} probabilities: leave them out, or send it in parts"
            )
        self._answers.append(_window(answer, self._question))

    def course(self) -> TimelineResult:
        """Return everything that it has told, with what the end brings."""
        for still in self._pipeline.stills(None):
            self._job.check()
            self._answer(self._pipeline.preprocess(still))
        last = self._pipeline.handle_state([SourceState("ended")])
        return TimelineResult(self._answers, [*self._events, *last.events])


def _mean(
    clip: DecodedUpload, question: Question, service: Service, job: Job
) -> NDArray[np.float64]:
    """Return the mean over the windows that are asked about: one, or all of them."""
    card = service.session.card
    seen = iter([centre(clip, card.image, card.sequence)])
    if question.every_window:
        seen = windows(clip, card.image, card.sequence)
    total = np.zeros(len(card.labels))
    count = 0
    while batch := list(islice(seen, _TOGETHER)):
        for answer in job.infer(service.batcher, [(service.session.stream(), s) for s in batch]):
            total += finite(answer)
            count += 1
    return total / count


def _window(answer: Prediction, question: Question) -> WindowSchema:
    plain = answer.to_json()
    keys = ("label", "probability", "time", "frame", "window_full")
    shares = plain["probabilities"] if question.probabilities else None
    unsure = answer.unsure or None
    return WindowSchema(**{key: plain[key] for key in keys}, unsure=unsure, probabilities=shares)
