"""`edge-run`: run a model on a camera, stream or file, in the terminal.

Only the options are imported at the start; OpenCV and onnxruntime are imported when a run begins.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from seqvision_edge import __version__, command_line, interrupts
from seqvision_edge.card import ModelCard, Seconds, TimedSequence
from seqvision_edge.command_line import print_message, print_text
from seqvision_edge.decision_options import DecisionOptions, decision_of
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.event_metrics import TOLERANCE_SECONDS
from seqvision_edge.files import STDOUT, stdout_reserved
from seqvision_edge.help_text import usage
from seqvision_edge.hints import MODELS
from seqvision_edge.option_fields import Arg, FramesPerSecond, Options
from seqvision_edge.output_options import OutputOptions
from seqvision_edge.providers import Device
from seqvision_edge.sanitize import redact
from seqvision_edge.sinks.factory import (
    make_outputs,
    notes_on,
    refuse_pictures,
    refuse_to_overwrite,
    shows_pictures,
)

if TYPE_CHECKING:
    from seqvision_edge.event_metrics import TrueEvent
    from seqvision_edge.session import Session
    from seqvision_edge.sinks import Sink
    from seqvision_edge.sinks.console import EventList
    from seqvision_edge.sources.address import Address
    from seqvision_edge.sources.capture_process import FrameFormat
    from seqvision_edge.sources.factory import Source
    from seqvision_edge.sources.live import Timeouts

PROGRAM = "edge-run"
FAILED, PARTIAL, GAVE_UP = 1, 3, 4

SOURCES, MODEL, EVENTS, OUTPUT, LIVE, SCORE = (
    "Sources", "Model", "Events", "Output", "Live sources", "Score"
)  # fmt: skip

# Longest side in pixels of a displayed picture: more would only be copied.  If nothing is
# displayed, enough to detect a frozen camera.
_LOOKED_AT, _UNSEEN = 1280, 160
_Seconds = Annotated[float, Field(gt=0, le=3600), Arg("SECONDS")]


class LiveOptions(Options):
    """How long live sources may be silent, and how old an answer may be."""

    heading = "Live sources"

    stall_timeout: _Seconds = 3.0
    """Time without a frame after which a camera or stream is stalled and reconnected."""
    frozen_after: _Seconds = 10.0
    """Time without a change of the picture after which a warning is printed."""
    max_retries: Annotated[Annotated[int, Field(ge=0)] | None, Arg(default="for ever")] = None
    """Maximum number of reconnect attempts in a row, after which the run ends (exit code 4)."""
    max_age: _Seconds = 1.0
    """Maximum age of a frame for its prediction to be reported as live."""


class RunOptions(Options):
    """Run a model on a camera, stream or file, and report its events.

    Exit codes: 0 done, 1 the model failed or hung, 2 wrong use, 3 a file was damaged, short or not
    written whole, 4 a live source was given up, 130 Ctrl-C, 143 terminated.
    """

    examples: ClassVar = (
        "edge-run --camera 0                            # the first camera, in a window",
        "edge-run clip.mp4 --model gestures.onnx        # a video file",
        "edge-run rtsp://192.168.1.20/stream1 --json run.jsonl",
        "edge-run --camera 0 --web 127.0.0.1:8000       # a page shows what it sees",
        "edge-run --list-cameras",
    )
    headings: ClassVar = (SOURCES, MODEL, OUTPUT, EVENTS, LIVE, SCORE)

    source: Annotated[tuple[str, ...], Arg("SOURCE", SOURCES, positional=True, once=True)] = ()
    """Source: a video file, an image folder, a quoted pattern such as 'frames/*.jpg', a stream
    (rtsp:// rtsps:// http:// https://), the number of a camera, a device, - for standard input, or
    env:NAME for the value of an environment variable.  Also written --source SOURCE."""
    camera: Annotated[tuple[str, ...], Arg("CAMERA", SOURCES, once=True)] = ()
    """Camera as source: its number, from 0, or its device, /dev/video2."""
    sources: Annotated[Path | None, Arg("YAML", SOURCES)] = None
    """YAML file of named sources."""
    list_cameras: Annotated[bool, Arg(group=SOURCES)] = False
    """List the cameras of this machine and exit."""
    image_fps: Annotated[
        FramesPerSecond | Literal["arrival"] | None,
        Arg("FPS", SOURCES, default="30 for images"),
    ] = None
    """Frames per second of images, of pictures on standard input, and of vectors without times;
    arrival: what comes on standard input has the times at which it arrives."""
    stdin_size: Annotated[
        Annotated[str, Field(pattern="^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")] | None,
        Arg("WIDTHxHEIGHT", SOURCES),
    ] = None
    """Size of raw BGR frames on standard input, such as 640x480."""
    region: Annotated[tuple[str, ...], Arg("NAME=X1,Y1,X2,Y2", SOURCES, once=True)] = ()
    """Run the model on this part of the picture, with events of its own; may be repeated. Fractions
    (door=0.1,0.2,0.4,0.9) or pixels of two corners, or of all corners of a polygon. For sources
    that have no regions in the YAML file."""
    stdin_floats: Annotated[bool, Arg(group=SOURCES)] = False
    """Vectors on standard input are raw float32, little-endian, instead of lines."""
    when_moving: Annotated[bool, Arg(group=MODEL)] = False
    """Run the model on a picture or region only while something moves in it, and a window longer:
    many quiet cameras then cost little more than their decoding."""
    model: Annotated[Path, Arg("FILE", MODEL)] = Path("model.onnx")
    """The exported model."""
    device: Annotated[Device, Arg("DEVICE", MODEL)] = "auto"
    """Where the model runs; auto takes CUDA if it is installed and starts, else the CPU."""
    threads: Annotated[int, Field(ge=1, le=256), Arg("N", MODEL)] = 1
    """CPU threads of the model."""
    call_timeout: Annotated[float, Field(gt=0, le=3600), Arg("SECONDS", MODEL)] = 20.0
    """Maximum duration of one model call; a call that takes longer ends the run."""
    expect_sha256: Annotated[
        Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")] | None, Arg("HEX", MODEL)
    ] = None
    """Refuse a model file with another SHA-256 hash. The hash inside the model detects damage only,
    not replacement."""
    outputs: OutputOptions = OutputOptions()
    decision: DecisionOptions = DecisionOptions()
    live: LiveOptions = LiveOptions()
    truth: Annotated[Path | None, Arg("JSON", SCORE)] = None
    """Score the events against the ground truth in this JSON file."""
    tolerance: Annotated[Seconds, Arg("SECONDS", SCORE)] = TOLERANCE_SECONDS
    """Tolerance in time when events are matched with --truth."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `edge-run` and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    return command_line.run_command(lambda: _run(_read(given)))


def _run(options: RunOptions) -> int:
    if options.outputs.json_ != STDOUT:
        return edge_run(options)
    with stdout_reserved():
        return edge_run(options)


def _read(arguments: Sequence[str]) -> RunOptions:
    version = f"{PROGRAM} {__version__}"
    return command_line.read_arguments(
        RunOptions, PROGRAM, arguments, version, command_line.edge_programs
    ).build()


def edge_run(options: RunOptions) -> int:
    """Run the options' model and return the exit code: 0, or 3 for a file with losses.

    Raises:
        SeqvisionError: a user's mistake, in one line.
    """
    if options.list_cameras:
        return _list_cameras()
    if not (options.camera or options.source or options.sources):
        raise SeqvisionError(
            f"{PROGRAM}: no source given; use --camera 0, --source clip.mp4 or "
            f"--sources cameras.yaml; {usage(RunOptions, PROGRAM)}"
        )
    interrupts.end_on_sigterm()

    from seqvision_edge.sources.factory import refuse_missing

    addresses = _addresses(options)
    if options.truth and len(addresses) > 1:
        raise SeqvisionError(f"{PROGRAM}: --truth {options.truth}: works with one source only")
    read = [Path(str(address.where)) for address in addresses if address.kind == "path"]
    read += filter(None, [options.model, options.truth, options.sources])
    refuse_to_overwrite(options.outputs, PROGRAM, [each.name for each in addresses], read)
    # A missing camera is reported before onnxruntime and a model are loaded.
    refuse_missing(addresses)

    from seqvision_edge.event_metrics import read_truth
    from seqvision_edge.runner import CallFailed, run
    from seqvision_edge.session import Session
    from seqvision_edge.sinks.console import EventList
    from seqvision_edge.sources.live import GaveUp

    session = Session(
        options.model, options.device, options.threads, expect_sha256=options.expect_sha256
    )
    decision = decision_of(options.decision, session.card, PROGRAM)
    _check_kind(options, addresses, session.card)
    truth = read_truth(options.truth) if options.truth else []
    events = EventList()
    sources = _open(options, addresses, session.card)
    if options.when_moving and session.card.sequence.kind != "video":
        for source in sources:
            with source:
                source.stop()
        raise SeqvisionError(f"{PROGRAM}: --when-moving: {session.where} reads no video")
    cut = _region_notes(sources, addresses)
    _print(command_line.folded(f"{PROGRAM}: {run_line(session, sources)}"))
    for line in (*_notes(options, sources, session.card), *cut, *notes_on(options.outputs)):
        _print(f"{PROGRAM}: note: {line}")
    regions = {
        source.name: address.regions
        for source, address in zip(sources, addresses, strict=True)
        if address.regions
    }
    outputs = make_outputs(options.outputs, PROGRAM, session, sources, decision, regions)
    # Only scoring needs all events; a camera may run for months.
    sinks: list[Sink] = [outputs, events] if options.truth else [outputs]
    try:
        summary = run(
            sources,
            session,
            sinks,
            decision,
            options.live.max_age,
            options.call_timeout,
            _give_up,
            regions,
            options.when_moving,
        )
    except CallFailed as error:
        _print(f"{PROGRAM}: {error}")
        return FAILED
    except GaveUp as error:
        _print(f"{PROGRAM}: {error}")
        return GAVE_UP
    if summary.nonfinite:
        _print(f"{PROGRAM}: {summary.nonfinite} predictions were not finite and were discarded")
    if options.truth:
        real = [true for true in truth if true.label != decision.background]
        for line in _scores(real, events, options.tolerance):
            _print(line)
    for source in sources:
        if getattr(source, "deep", False):
            from seqvision_edge.preprocess import depth_text

            _print(f"{PROGRAM}: {source.name}: {depth_text(session.card.image.value_range)}")
    for incomplete in summary.incomplete:
        _print(f"{PROGRAM}: {incomplete}")
    for failed in summary.failed:
        _print(f"{PROGRAM}: {failed}")
    if summary.failed:
        return GAVE_UP
    return PARTIAL if summary.incomplete or outputs.incomplete else 0


def _scores(truth: Sequence["TrueEvent"], found: "EventList", tolerance: float) -> Iterator[str]:
    """Yield the scores of a run's events: of all, then of those of each region."""
    from seqvision_edge.event_metrics import score

    views = sorted({true.view for true in truth} | {event.view for event in found.events})
    events = found.events
    if not any(true.view for true in truth) or not any(event.view for event in events):
        # The region is named on one side only.
        truth = [true.model_copy(update={"view": ""}) for true in truth]
        events, views = [replace(event, view="") for event in events], []
    yield str(score(events, truth, found.seconds, tolerance))
    for view in views if len(views) > 1 else ():
        own = [event for event in events if event.view == view]
        true = [true for true in truth if true.view == view]
        text = str(score(own, true, found.seconds, tolerance))
        yield text.replace("truth:", f"truth of {view or 'the whole picture'}:")


def _check_kind(options: RunOptions, addresses: Sequence["Address"], card: ModelCard) -> None:
    """Refuse options of pictures for a model of vectors, and the other way round.

    Raises:
        SeqvisionError: there is one; it is named.
    """
    if card.vectors is None:
        if options.stdin_floats:
            raise SeqvisionError(
                f"{PROGRAM}: --stdin-floats: {options.model} reads pictures, not vectors; of raw "
                "frames give --stdin-size 640x480"
            )
        return
    if options.stdin_size:
        raise SeqvisionError(
            f"{PROGRAM}: --stdin-size {options.stdin_size}: {options.model} reads vectors; raw "
            "float32 are --stdin-floats"
        )
    regions = [region for address in addresses for region in address.regions]
    if regions:
        raise SeqvisionError(
            f"{PROGRAM}: region {regions[0]}: is a part of a picture, {options.model} reads "
            "vectors; leave it out"
        )
    refuse_pictures(options.outputs, PROGRAM, str(options.model))


def _list_cameras() -> int:
    from seqvision_edge.sources.v4l2 import describe_cameras

    cameras = describe_cameras()
    for camera in cameras:
        print_text("\t".join((camera.device, camera.state, camera.name, camera.driver)))
    if not cameras:
        _print(f"{PROGRAM}: no camera found")
    return 0


def _addresses(options: RunOptions) -> list["Address"]:
    """Return the addresses of the sources: cameras first, then in the given order."""
    from seqvision_edge.sources.parse import parse_camera

    listed: Sequence[Address] = ()
    if options.sources:
        from seqvision_edge.sources.parse import read_listing

        listed = read_listing(options.sources, os.environ)
    cameras = [parse_camera(each) for each in options.camera]
    found = [*cameras, *map(_address, options.source), *listed]
    if not options.region:
        return found
    from seqvision_edge.regions import named, parse_region

    regions = named(map(parse_region, options.region))
    return [each if each.regions else replace(each, regions=regions) for each in found]


def _address(text: str) -> "Address":
    """Return the address of a source: a plain number is a camera, unless a file has that name."""
    from seqvision_edge.sources.parse import parse_camera, parse_source

    path = Path(text)
    suffix = path.suffix.lower()
    if suffix in MODELS:
        use = f"{PROGRAM} --camera 0 --model {text}"
        how = use if suffix == ".onnx" else f"export it first: seqvision export {text}"
        raise SeqvisionError(f"{PROGRAM}: {text}: a model, not a source; {how}")
    if path.exists() and suffix not in (".yaml", ".yml"):
        return parse_source(text)
    if text.isdecimal() and text.isascii():
        return parse_camera(text)
    hint = ""
    if suffix in (".yaml", ".yml"):
        hint = f"a list of sources is given by --sources {text}"
    elif text.lower() in ("camera", "webcam", "cam", "usb"):
        hint = "the first camera is --camera 0"
    elif slip := re.fullmatch(r"(rtsps?|https?):/?([^/].*)", text):
        hint = f"did you mean {redact(f'{slip[1]}://{slip[2]}')}?"
    if hint:
        raise SeqvisionError(f"{PROGRAM}: {redact(text)}: {hint}")
    return parse_source(text)


def run_line(session: "Session", sources: Sequence["Source"]) -> str:
    """Return one line about the run: model, sources, labels, window."""
    card = session.card
    return " · ".join(
        (
            f"{session.where} on {', '.join(source.name for source in sources)}",
            f"{len(card.labels)} labels",
            str(card.sequence),
            *([] if card.vectors else [card.step_size]),
            session.device,
        )
    )


def _open(options: RunOptions, addresses: Sequence["Address"], card: ModelCard) -> list["Source"]:
    from seqvision_edge.sources.factory import ReadSettings, open_sources

    size = options.stdin_size
    width, height = map(int, size.split("x")) if size else (0, 0)
    settings = ReadSettings(
        image_fps=options.image_fps,
        value_range=card.image.value_range,
        stdin_size=(width, height) if size else None,
        vectors=card.vectors,
        stdin_floats=options.stdin_floats,
        frame_format=frame_format(card, shows_pictures(options.outputs)),
        timeouts=timeouts(options.live),
    )
    return open_sources(addresses, settings)


def _notes(options: RunOptions, sources: Sequence["Source"], card: ModelCard) -> Iterator[str]:
    """Yield notes for the user about the sources, before they are read."""
    from seqvision_edge.sources.factory import IMAGE_FPS
    from seqvision_edge.sources.image_files import ImageFiles

    for source in sources:
        note: str = getattr(source, "note", "")
        if note:
            yield f"{source.name}: {note}"
        if (
            isinstance(source, ImageFiles)
            and len(source.files) > 1
            and options.image_fps is None
            and isinstance(card.sequence, TimedSequence)
        ):
            yield (
                f"{source.name}: images have no frame rate; {IMAGE_FPS:g} frames/s assumed "
                "(--image-fps)"
            )


def _region_notes(sources: Sequence["Source"], addresses: Sequence["Address"]) -> list[str]:
    """Return notes about regions that are partly outside the picture.

    Raises:
        SourceError: one is outside of it, or too small; the sources are closed.
    """
    from seqvision_edge.sources.factory import region_notes

    try:
        return [
            line
            for source, address in zip(sources, addresses, strict=True)
            for line in region_notes(address, source)
        ]
    except BaseException:
        for source in sources:
            with source:
                source.stop()
        raise


def _give_up(why: str) -> None:
    """End the process at once: threads that wait for the model cannot end in another way."""
    _print(f"{PROGRAM}: {why}")
    os._exit(FAILED)


def _print(text: str) -> None:
    print_message(text)


def timeouts(options: LiveOptions) -> "Timeouts":
    """Return the timeouts of live sources."""
    from seqvision_edge.sources.live import Timeouts

    return Timeouts(
        stall=options.stall_timeout, frozen=options.frozen_after, retries=options.max_retries
    )


def frame_format(card: ModelCard, seen: bool) -> "FrameFormat":
    """Return the format of live frames for a model.

    `seen` is whether an output shows or saves them.
    """
    from seqvision_edge.preprocess import Sizing
    from seqvision_edge.sources.capture_process import WHOLE, FrameFormat

    if not isinstance(card.sequence, TimedSequence):
        # A still image is cut into steps at its full size.
        return WHOLE
    image = card.image
    longest = _LOOKED_AT if seen else _UNSEEN
    return FrameFormat(Sizing(image.height, image.width, image.channels, image.fit), longest)
