"""Output options → sinks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqvision_edge.card import Decision, TimedSequence
from seqvision_edge.errors import SinkError
from seqvision_edge.files import is_one_of
from seqvision_edge.number_parsing import parse_whole_number
from seqvision_edge.output_options import OutputOptions

if TYPE_CHECKING:
    from seqvision_edge.overlay import Overlay
    from seqvision_edge.regions import Region
    from seqvision_edge.session import Session
    from seqvision_edge.sinks import Sink
    from seqvision_edge.sinks.active_learning import UncertainClips
    from seqvision_edge.sinks.group import SinkGroup
    from seqvision_edge.sinks.outlet import Queued
    from seqvision_edge.sources.factory import Source

# Queue lengths: lines are small, pictures are large.
_LINES, _PICTURES, _MESSAGES = 10_000, 16, 1_000

LOOPBACK = "127.0.0.1"


def make_outputs(
    options: OutputOptions,
    program: str,
    session: "Session",
    sources: Sequence["Source"],
    decision: Decision,
    regions: Mapping[str, Sequence["Region"]] | None = None,
) -> "SinkGroup":
    """Return all outputs of the options, as one sink.

    Args:
        options: the options.
        program: the prefix of messages.
        session: the model.
        sources: the sources, with distinct names.
        decision: how probabilities become events.
        regions: those of each source that has some, by its name.
    """
    from seqvision_edge.sinks.group import SinkGroup

    regions = regions or {}

    # A camera does not wait; of a recording no line may be lost.
    live = any(source.live for source in sources)
    queued = [
        *_files(options, session, sources, decision, regions, waits=not live),
        *_programs(options, session, sources, regions),
    ]
    direct = [
        *_metrics(options, sources, queued, regions),
        *_page(options, program, session, decision, sources),
        *_screen(options, session, sources, decision, regions),
    ]
    return SinkGroup(program, queued, direct, live)


def notes_on(options: OutputOptions) -> list[str]:
    """Return notes about the outputs for the user, a line each."""
    from seqvision_edge.video_writer import playback_note

    folders = {"--clips": options.clips, "--save-uncertain": options.save_uncertain}
    written = {"--save": options.save} | {
        name: folder / "….mp4" for name, folder in folders.items() if folder is not None
    }
    notes = ((name, playback_note(path)) for name, path in written.items() if path is not None)
    return [f"{name} {note}" for name, note in notes if note]


def shows_pictures(options: OutputOptions) -> bool:
    """Return whether any output shows or saves pictures, and so needs all their pixels."""
    from seqvision_edge.sinks.window import can_show

    kept = (options.save, options.clips, options.save_uncertain, options.web)
    return any(each is not None for each in kept) or (options.window and can_show())


def refuse_pictures(options: OutputOptions, program: str, model: str) -> None:
    """Refuse outputs that show or save pictures, for a model of vectors.

    Raises:
        SinkError: there is one; it is named.
    """
    for flag, value in (
        ("--save", options.save),
        ("--clips", options.clips),
        ("--save-uncertain", options.save_uncertain),
        ("--web", options.web),
    ):
        if value is not None:
            raise SinkError(
                f"{program}: {flag} {value}: {model} reads vectors, so there are no pictures; "
                "leave it out, or keep the results with --json FILE"
            )


def refuse_to_overwrite(
    options: OutputOptions, program: str, sources: Sequence[str], read: Sequence[Path]
) -> None:
    """Refuse outputs that would overwrite an input.

    Raises:
        SinkError: an output is an input file.
    """
    for flag, path in _written(options, sources):
        if is_one_of(path, read):
            raise SinkError(f"{program}: {flag} {path}: that is an input file; choose another name")


def _written(options: OutputOptions, sources: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield each option that names a file, and the files that it writes."""
    if options.json_ is not None:
        yield "--json", options.json_
    if options.save is not None:
        from seqvision_edge.sinks.video import video_paths

        for path in video_paths(options.save, sources).values():
            yield "--save", path
    if options.clips is not None:
        yield "--clips", options.clips
        yield "--clips", options.clips / "clips.csv"
    if options.save_uncertain is not None:
        yield "--save-uncertain", options.save_uncertain / "collected.csv"


def _files(
    options: OutputOptions,
    session: "Session",
    sources: Sequence["Source"],
    decision: Decision,
    regions: Mapping[str, Sequence["Region"]],
    waits: bool,
) -> Iterator["Queued[Any]"]:
    """Yield the outputs that are local files."""
    from seqvision_edge.sinks.jsonl import JsonLines, run_header
    from seqvision_edge.sinks.outlet import Queued
    from seqvision_edge.sinks.video import VideoFiles

    if options.json_ is not None:
        outlet = JsonLines(options.json_, run_header(session, sources, decision, regions))
        yield Queued(outlet, _LINES, waits=waits)
    if options.save is not None:
        # An overlay of its own: the worker draws, not the run.
        drawn = _overlays(options, session, sources)
        film = {source.name: (drawn[source.name], source.fps) for source in sources}
        yield Queued(VideoFiles(options.save, film), _PICTURES, waits=waits)

    if options.clips is not None:
        from seqvision_edge.events import window_lag
        from seqvision_edge.sinks.event_clips import EventClips, Margins

        late = decision.minimum_seconds + window_lag(session.card.sequence)
        margins = Margins(options.clip_before, options.clip_after, late)
        yield Queued(
            EventClips(options.clips, sources, margins, bool(regions)), _PICTURES, waits=waits
        )
    if options.save_uncertain is not None:
        yield Queued(
            _collector(options.save_uncertain, options, session, sources), _PICTURES, waits=waits
        )


def _collector(
    folder: Path, options: OutputOptions, session: "Session", sources: Sequence["Source"]
) -> "UncertainClips":
    from seqvision_edge.sinks.active_learning import UncertainClips

    card = session.card
    if not isinstance(card.sequence, TimedSequence):
        raise SinkError(
            f"--save-uncertain {folder}: this model reads still images, which have no clips"
        )
    seconds = card.sequence.frames / card.sequence.fps
    budget = int(options.save_uncertain_mb * 1e6)
    return UncertainClips(folder, budget, sources, seconds, len(card.labels))


def _programs(
    options: OutputOptions,
    session: "Session",
    sources: Sequence["Source"],
    regions: Mapping[str, Sequence["Region"]],
) -> Iterator["Queued[Any]"]:
    """Yield the outputs that are other programs: a run never waits for one."""
    from seqvision_edge.sinks.outlet import Queued

    if options.webhook is not None:
        from seqvision_edge.sinks.webhook import Webhook

        url = _from_environment("--webhook", options.webhook)
        yield Queued(Webhook(url, options.webhook_states), _MESSAGES)
    if options.mqtt is not None:
        from seqvision_edge.sinks.mqtt import Mqtt

        names = [source.name for source in sources]
        views = {name: [region.name for region in own] for name, own in regions.items()}
        yield Queued(Mqtt(_from_environment("--mqtt", options.mqtt), names, views), _MESSAGES)
    if options.on_event:
        from seqvision_edge.sinks.command import AT_ONCE, Commands, reaction

        reactions = [reaction(text, session.card.labels) for text in options.on_event]
        yield Queued(Commands(reactions), _MESSAGES, workers=AT_ONCE)


def _metrics(
    options: OutputOptions,
    sources: Sequence["Source"],
    queued: Sequence["Queued[Any]"],
    regions: Mapping[str, Sequence["Region"]],
) -> Iterator["Sink"]:
    if options.metrics is not None:
        from seqvision_edge.sinks.metrics import PrometheusSink

        address = listen_address("--metrics", options.metrics, 9100)
        yield PrometheusSink(address, sources, queued, bool(regions))


def _page(
    options: OutputOptions,
    program: str,
    session: "Session",
    decision: Decision,
    sources: Sequence["Source"],
) -> Iterator["Sink"]:
    if options.web is not None:
        from seqvision_edge.server.auth import read_token, refuse_without_server

        refuse_without_server(program)
        from seqvision_edge.sinks.web_page import Page

        token = read_token(options.web_token, "--web-token")
        address = listen_address("--web", options.web, 8000)
        names = [source.name for source in sources]
        yield Page(address, session, token, program, decision, names)


def _from_environment(flag: str, text: str) -> str:
    """Return the given text, or the value of the variable in `env:NAME`: a process list shows the
    options of every process.
    """
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    if not os.environ.get(name):
        raise SinkError(f"{flag} {text}: environment variable {name} is not set")
    return os.environ[name]


def _screen(
    options: OutputOptions,
    session: "Session",
    sources: Sequence["Source"],
    decision: Decision,
    regions: Mapping[str, Sequence["Region"]],
) -> Iterator["Sink"]:
    """Yield the outputs on the screen; the window is last, since it can end the run."""
    from seqvision_edge.sinks.console import console_sink
    from seqvision_edge.sinks.window import WindowSink, can_show

    live = any(source.live for source in sources)
    pictures = not isinstance(session.card.sequence, TimedSequence) and not live
    titles = [
        (source.name, view)
        for source in sources
        for view in [region.name for region in regions.get(source.name, ())] or [""]
    ]
    yield console_sink(session.card, titles, decision, pictures)
    if options.window and session.card.vectors is None and can_show():
        yield WindowSink(_overlays(options, session, sources))


def _overlays(
    options: OutputOptions, session: "Session", sources: Sequence["Source"]
) -> dict[str, "Overlay"]:
    """Return the overlay of each source, by its name; a single source's name is not drawn."""
    from seqvision_edge.overlay import Overlay

    several = len(sources) > 1
    return {
        source.name: Overlay(session.card, options.top, source.name if several else "")
        for source in sources
    }


def listen_address(flag: str, text: str, usual: int) -> tuple[str, int]:
    """Parse `HOST:PORT`; a port alone is on the loopback interface.

    Args:
        flag: the option, for the error message.
        text: the given value.
        usual: the port of the example in the error message.

    Raises:
        SinkError: it is not such an address.
    """
    host, colon, port = text.rpartition(":")
    host = host.strip("[]") if colon else ""
    number = parse_whole_number(port)
    try:
        known = host if host in ("", "localhost") else str(ip_address(host))
    except ValueError:
        number, known = None, ""
    if number is None or number > 65535:
        raise SinkError(f"{flag} {text}: give ADDRESS:PORT, such as {LOOPBACK}:{usual}")
    return (LOOPBACK if known in ("", "localhost") else known), number
