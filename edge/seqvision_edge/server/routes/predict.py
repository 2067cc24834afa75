"""`POST /v1/predict`: classify a clip or pictures, sent as JSON or files."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request
from numpy.typing import NDArray
from starlette.datastructures import UploadFile
from starlette.responses import Response

from seqvision_edge.card import TimedSequence
from seqvision_edge.events import is_unsure
from seqvision_edge.frame import Frame
from seqvision_edge.number_parsing import PLAIN
from seqvision_edge.pipeline import make_pipeline
from seqvision_edge.regions import Region
from seqvision_edge.runner import MAX_AGE
from seqvision_edge.sampling import Steps, centre, window_fill, windows
from seqvision_edge.server.job import Job, stopped_with
from seqvision_edge.server.json_arrays import read_instances, read_vector_instances
from seqvision_edge.server.schemas import (
    EventSchema,
    LabelProbability,
    PredictionSchema,
    PredictionsSchema,
    WindowSchema,
    faults,
)
from seqvision_edge.server.service import Service
from seqvision_edge.server.upload_decoding import (
    FPS,
    DecodedUpload,
    UploadedClip,
    UploadSource,
    cut,
    decoded_upload,
    from_pictures,
    from_pixels,
    from_vectors,
    from_video,
    is_picture,
    other_picture,
    refusals,
    region_of,
)
from seqvision_edge.session import ModelOutput
from seqvision_edge.types import Event, Prediction, SourceState

# Pictures of a clip are at most some days apart.
SLOWEST = 1e-6
# Picture formats that are decoded as videos.
_MOVING = ("GIF", "AVIF", "HEIC")
_HEAD = 16
_JSON, _FORM = "application/json", "multipart/form-data"
_PIXELS = {"type": "integer", "minimum": 0, "maximum": 255}
_VECTOR = {"type": "array", "minItems": 1, "items": {"type": ["number", "null"]}}
_VECTORS = {
    "type": "array",
    "minItems": 1,
    "items": _VECTOR,
    "description": "(time, features), of a model of vectors",
}

_TOGETHER = 8
_DIGITS = 6


def routes(service: Service) -> APIRouter:
    """Return the routes that classify whole clips."""
    router = APIRouter()
    # Parsing JSON holds the GIL anyway, and takes many times its size in memory.
    parsing = asyncio.Lock()

    @router.post(
        "/v1/predict",
        response_model=PredictionsSchema,
        response_model_exclude_none=True,
        responses=faults(415, 422, 500, 503, 507),
        openapi_extra={"requestBody": _body()},
    )
    async def predict(
        request: Request,
        top: Annotated[int, PLAIN, Query(ge=1, le=4096, description="labels in `top`")] = 3,
        probabilities: Annotated[bool, Query(description="of every label")] = False,
        timeline: Annotated[
            bool,
            Query(description="predictions at every tick and events, as edge-run reports them"),
        ] = False,
        every_window: Annotated[
            bool, Query(description="the mean over a long clip's windows, instead of its centre")
        ] = False,
        fps: Annotated[
            float | None,
            PLAIN,
            Query(
                ge=SLOWEST,
                le=1000,
                description="frames per second of pictures (30) or of a JSON clip (the model's)",
            ),
        ] = None,
        region: Annotated[
            str | None,
            Query(max_length=2000, description="part of the picture, such as 0.1,0.2,0.4,0.9"),
        ] = None,
    ) -> Response:
        """Classify clips or pictures, as `seqvision predict` does.

        JSON: `{"instances": [...]}`, each a picture `(height, width[, channels])` or a clip
        `(time, height, width, channels)` of nested lists, RGB or grey; of a model of vectors a clip
        `(time, features)`, null for missing values.  Files: one video, or
        JPEG and PNG pictures in order, which are one clip; one picture alone is a still image.
        """
        question = Question(top, probabilities, timeline, every_window, region_of(region))
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _JSON:
            body = await request.body()
            async with parsing:
                clips = await _in_thread(service, _clips_of, body, service, fps)
            if question.region is not None and service.session.card.vectors is not None:
                raise HTTPException(422, "region: the model reads vectors, not pictures")
            clips = [cut(clip, question.region) for clip in clips]
            return _response(await _answers(clips, question, service, request))
        if service.session.card.vectors is not None:
            raise HTTPException(415, f"the model reads vectors, not pictures: send {_JSON}")
        if kind != _FORM:
            raise HTTPException(415, f"send {_JSON} or {_FORM}")
        return _response([await _of_files(request, question, service, fps or FPS)])

    return router


def _response(answers: list[PredictionSchema]) -> Response:
    # By pydantic itself: FastAPI would validate each of 100,000 windows of a timeline again,
    # blocking all other clients meanwhile.
    content = PredictionsSchema(predictions=answers).model_dump_json(exclude_none=True)
    return Response(content, media_type=_JSON)


@dataclass(frozen=True, slots=True)
class Question:
    """Options of a request: the query of `POST /v1/predict`."""

    top: int = 3
    probabilities: bool = False
    timeline: bool = False
    every_window: bool = False
    region: Region | None = None

    @property
    def is_long(self) -> bool:
        """Whether the model runs many times for one clip."""
        return self.timeline or self.every_window


async def _answers(
    clips: Sequence[UploadedClip], question: Question, service: Service, request: Request
) -> list[PredictionSchema]:
    """Classify clips whose pixels are in memory."""
    if question.is_long:
        return await service.work(
            request, lambda job: [long_answer(clip, question, service, job) for clip in clips]
        )
    service.batcher.reserve(len(clips))
    requested = False
    job = Job(service.limits.clip_seconds)
    job.begin()
    try:
        with stopped_with(job, request, service.ended):
            centres = [await _in_thread(service, centre_of, clip, service, job) for clip in clips]
        requested = True
        return await _infer(centres, question, service)
    finally:
        if not requested:
            service.batcher.release(len(clips))


async def _infer(
    centres: Sequence[tuple[Steps, str | None]], question: Question, service: Service
) -> list[PredictionSchema]:
    """Classify the centre windows of clips, for which slots are reserved."""
    session, card = service.session, service.session.card
    futures = service.batcher.submit([(session.stream(), steps) for steps, _ in centres])
    given = await asyncio.gather(*map(asyncio.wrap_future, futures))
    return [
        answered(
            card.labels,
            service.decision.min_confidence,
            finite(answer),
            question,
            incomplete,
            window_fill(len(steps), card.sequence),
        )
        for answer, (steps, incomplete) in zip(given, centres, strict=True)
    ]


async def _of_files(
    request: Request, question: Question, service: Service, fps: float
) -> PredictionSchema:
    """Classify the one clip that the files of a form make up."""
    async with request.form(max_files=service.limits.pictures, max_fields=0) as form:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not files:
            raise HTTPException(422, "no file in it")
        heads = [file.file.read(_HEAD) for file in files]
        for file in files:
            file.file.seek(0)
        if len(files) > 1 and not all(map(is_picture, heads)):
            raise HTTPException(422, "several files: each must be a JPEG or PNG picture")
        other = other_picture(heads[0])
        if other is not None and other not in _MOVING:
            raise HTTPException(422, f"a {other} picture: send JPEG or PNG, or a video")

        def work(job: Job) -> tuple[PredictionSchema | None, tuple[Steps, str | None] | None]:
            # The start of a child does not count towards the clip's time.
            with refusals():
                service.decoders.start()
            job.begin()
            values = service.session.card.image.value_range
            with ExitStack() as opened:
                if is_picture(heads[0]):
                    most = service.limits.picture_bytes + 1
                    pictures = [file.file.read(most) for file in files]
                    clip = from_pictures(
                        pictures, fps, service.limits, values, service.decoders, job
                    )
                else:
                    clip = from_video(files[0].file, service.limits, values, service.decoders, job)
                sent = cut(opened.enter_context(clip), question.region)
                if question.is_long:
                    return long_answer(sent, question, service, job), None
                return None, centre_of(sent, service, job)

        answer, steps = await service.work(request, work)
    if steps is None:
        assert answer is not None
        return answer
    service.batcher.reserve()
    (answer,) = await _infer([steps], question, service)
    return answer


async def _in_thread(service: Service, work: Any, *given: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(service.pictures, work, *given)


def _clips_of(body: bytes, service: Service, fps: float | None) -> list[UploadedClip]:
    """Return the clips of a JSON body; without `fps`, at the model's rate.

    Of vectors that is the rate of the clips of its training.
    """
    vectors = service.session.card.vectors
    if vectors is not None:
        found = read_vector_instances(body, vectors.features, service.limits)
        return [from_vectors(each, fps or vectors.rate) for each in found]
    pixels = read_instances(body, service.limits)
    return [from_pixels(each, fps or _fps(service)) for each in pixels]


def _fps(service: Service) -> float:
    sequence = service.session.card.sequence
    return sequence.fps if isinstance(sequence, TimedSequence) else FPS


def _body() -> dict[str, Any]:
    """Return the OpenAPI description of the body, which FastAPI does not parse."""
    picture = {"type": "array", "minItems": 1, "items": {"type": "array", "items": _PIXELS}}
    instance = {
        "oneOf": [
            picture | {"description": "(height, width)"},
            _nested(3) | {"description": "(height, width, channels)"},
            _nested(4) | {"description": "(time, height, width, channels)"},
            _VECTORS,
        ]
    }
    return {
        "required": True,
        "content": {
            _JSON: {
                "schema": {
                    "type": "object",
                    "required": ["instances"],
                    "additionalProperties": False,
                    "properties": {
                        "instances": {"type": "array", "minItems": 1, "items": instance}
                    },
                }
            },
            _FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
        },
    }


def _nested(axes: int) -> dict[str, Any]:
    inner: dict[str, Any] = _PIXELS
    for _ in range(axes):
        inner = {"type": "array", "minItems": 1, "items": inner}
    return inner


@dataclass(frozen=True)
class TimelineResult:
    """Predictions and events of a clip over time, as edge-run reports them."""

    answers: Sequence[WindowSchema]
    events: Sequence[Event]


def centre_of(sent: UploadedClip, service: Service, job: Job) -> tuple[Steps, str | None]:
    """Return the steps of a clip's centre window, and what is missing of the clip."""
    with decoded_upload(sent, service.session.card, service.limits, job) as clip:
        card = service.session.card
        return centre(clip, card.image, card.sequence), sent.incomplete()


def long_answer(
    sent: UploadedClip, question: Question, service: Service, job: Job
) -> PredictionSchema:
    """Run the model many times for one clip, in a thread that may wait."""
    card = service.session.card
    timeline = _Timeline(sent, question, service, job) if question.timeline else None
    see = timeline.see if timeline else None
    with decoded_upload(sent, card, service.limits, job, see) as clip:
        probabilities = _mean(clip, question, service, job)
        result = timeline.finish() if timeline else None
        min_confidence = service.decision.min_confidence
        fill = window_fill(len(centre(clip, card.image, card.sequence)), card.sequence)
        return answered(
            card.labels,
            min_confidence,
            probabilities,
            question,
            sent.incomplete(),
            fill,
            result,
        )


def answered(
    labels: Sequence[str],
    min_confidence: float,
    probabilities: NDArray[np.floating],
    question: Question,
    incomplete: str | None,
    fill: float,
    result: TimelineResult | None = None,
) -> PredictionSchema:
    """Return probabilities `(labels,)` as the response to a request.

    `min_confidence` is the decision's, `fill` the fraction of the window that the clip fills.
    """
    shares = [round(float(value), _DIGITS) for value in probabilities]
    order = np.argsort(-probabilities, kind="stable")
    ranked = [LabelProbability(label=labels[index], probability=shares[index]) for index in order]
    return PredictionSchema(
        label=ranked[0].label,
        probability=ranked[0].probability,
        unsure=is_unsure(float(probabilities.max()), min_confidence) or None,
        top=ranked[: question.top],
        probabilities=dict(zip(labels, shares, strict=True)) if question.probabilities else None,
        windows=None if result is None else list(result.answers),
        events=None
        if result is None
        else [EventSchema.model_validate(event.to_json()) for event in result.events],
        incomplete=incomplete,
        window_fill=round(fill, _DIGITS) if fill < 1 else None,
    )


def finite(answer: ModelOutput) -> NDArray[np.float32]:
    """Return probabilities; refuse non-finite ones."""
    if answer is None:
        raise HTTPException(422, "the model's answer is not finite")
    return answer


class _Timeline:
    """The pipeline of a run, fed while a clip is decoded."""

    def __init__(self, sent: UploadedClip, question: Question, service: Service, job: Job) -> None:
        self._batcher, self._job, self._question = service.batcher, job, question
        self._most = service.limits.timeline_values
        source = UploadSource("clip", sent.fps)
        self._pipeline = make_pipeline(
            service.session, source, service.decision, MAX_AGE, time.monotonic
        )
        self._answers: list[WindowSchema] = []
        self._events: list[Event] = []

    def see(self, frame: Frame) -> Iterator[None]:
        """Process the next frame, with the stills before it; yield after each prediction."""
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
        # Only what is sent: there may be thousands of labels.
        self._job.values += len(answer.probabilities) if self._question.probabilities else 1
        if self._job.values > self._most:
            raise HTTPException(
                413, f"more than {self._most} probabilities: omit them, or send the clip in parts"
            )
        self._answers.append(_window(answer, self._question))

    def finish(self) -> TimelineResult:
        """Return all predictions and events, including those at the end of the clip."""
        for still in self._pipeline.stills(None):
            self._job.check()
            self._answer(self._pipeline.preprocess(still))
        last = self._pipeline.handle_state([SourceState("ended")])
        return TimelineResult(self._answers, [*self._events, *last.events])


def _mean(
    clip: DecodedUpload, question: Question, service: Service, job: Job
) -> NDArray[np.float64]:
    """Return the mean over the requested windows: the centre, or all of them."""
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
