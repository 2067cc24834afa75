"""`POST /v1/predict`: what is in clips and pictures, sent as JSON or as files."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.datastructures import UploadFile
from starlette.responses import Response

from seqvision_edge.clip import Steps, window_fill
from seqvision_edge.numerals import PLAIN
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.serve.answering import (
    Question,
    answered,
    centre_of,
    finite,
    long_answer,
)
from seqvision_edge.serve.instances import read_instances
from seqvision_edge.serve.job import Job, stopped_with
from seqvision_edge.serve.pictures import is_picture, other_picture
from seqvision_edge.serve.sent import (
    FPS,
    UploadedClip,
    from_pictures,
    from_pixels,
    from_video,
    refusals,
)
from seqvision_edge.serve.service import Service
from seqvision_edge.serve.shapes import Predictions, PredictionSchema, faults

# Pictures of a clip are at most some days apart.
SLOWEST = 1e-6
# These are read as videos are.
_MOVING = ("GIF", "AVIF", "HEIC")
_HEAD = 16
_JSON, _FORM = "application/json", "multipart/form-data"
_PIXELS = {"type": "integer", "minimum": 0, "maximum": 255}


def routes(service: Service) -> APIRouter:
    """Return the routes that answer for whole clips."""
    router = APIRouter()
    # Parsing JSON holds Python's lock anyway, and takes many times its size in memory.
    parsing = asyncio.Lock()

    @router.post(
        "/v1/predict",
        response_model=Predictions,
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
    ) -> Response:
        """Classify clips or pictures, as `seqvision predict` does.

        JSON: `{"instances": [...]}`, each a picture `(height, width[, channels])` or a clip
        `(time, height, width, channels)` of nested lists, RGB or grey.  Files: one video, or
        JPEG and PNG pictures in order, which are one clip; one picture alone is a still image.
        """
        question = Question(top, probabilities, timeline, every_window)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _JSON:
            body = await request.body()
            async with parsing:
                pixels = await _in_thread(service, read_instances, body, service.limits)
            clips = [from_pixels(each, fps or _fps(service)) for each in pixels]
            return _response(await _answers(clips, question, service, request))
        if kind != _FORM:
            raise HTTPException(415, f"send {_JSON} or {_FORM}")
        return _response([await _of_files(request, question, service, fps or FPS)])

    return router


def _response(answers: list[PredictionSchema]) -> Response:
    # By pydantic itself: FastAPI would look at each of 100,000 windows of a timeline anew, for as
    # long as no other client is served.
    content = Predictions(predictions=answers).model_dump_json(exclude_none=True)
    return Response(content, media_type=_JSON)


async def _answers(
    clips: Sequence[UploadedClip], question: Question, service: Service, request: Request
) -> list[PredictionSchema]:
    """Answer for clips whose pixels are there already."""
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
        return await _ask(centres, question, service)
    finally:
        if not requested:
            service.batcher.release(len(clips))


async def _ask(
    centres: Sequence[tuple[Steps, str | None]], question: Question, service: Service
) -> list[PredictionSchema]:
    """Answer for the centres of clips, for which places are reserved."""
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
    """Answer for the one clip that the files of a form are."""
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
            # The start of a child is not the clip's time.
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
                sent = opened.enter_context(clip)
                if question.is_long:
                    return long_answer(sent, question, service, job), None
                return None, centre_of(sent, service, job)

        answer, steps = await service.work(request, work)
    if steps is None:
        assert answer is not None
        return answer
    service.batcher.reserve()
    (answer,) = await _ask([steps], question, service)
    return answer


async def _in_thread(service: Service, work: Any, *given: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(service.pictures, work, *given)


def _fps(service: Service) -> float:
    sequence = service.session.card.sequence
    return sequence.fps if isinstance(sequence, VideoSequence) else FPS


def _body() -> dict[str, Any]:
    """Return the OpenAPI description of the body, which is read by hand."""
    picture = {"type": "array", "minItems": 1, "items": {"type": "array", "items": _PIXELS}}
    instance = {
        "oneOf": [
            picture | {"description": "(height, width)"},
            _nested(3) | {"description": "(height, width, channels)"},
            _nested(4) | {"description": "(time, height, width, channels)"},
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
