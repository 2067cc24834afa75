"""The outputs that a user asks for: their options, and the sinks that these make."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import BaseModel, ConfigDict, Field

from seqvision_edge import __version__
from seqvision_edge.card import Decision
from seqvision_edge.errors import SinkError
from seqvision_edge.files import is_one_of

if TYPE_CHECKING:
    from seqvision_edge.overlay import Overlay
    from seqvision_edge.session import Session
    from seqvision_edge.sinks import Sink
    from seqvision_edge.sinks.queued import Queued
    from seqvision_edge.sinks.together import Together
    from seqvision_edge.sources import Source

# "(default: None)" tells nobody anything.
_Unset = tyro.conf.arg(help_behavior_hint="")

# How much may wait: lines are small, pictures are large.
_LINES, _PICTURES = 10_000, 16


class OutputOptions(BaseModel):
    """Where events and answers go."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    json_: Annotated[Path | None, tyro.conf.arg(name="json", help_behavior_hint="")] = None
    """Append one JSON line per answer, per event and per new state of a source to this file."""
    save: Annotated[Path | None, _Unset] = None
    """Save the annotated video as this .mp4, .avi or .mkv file; of several sources each has its
    own, with the source's name before the ending."""
    window: bool = True
    """Show a window where there is a display; q or Esc closes it."""
    top: Annotated[int, Field(ge=1)] = 3
    """How many labels the picture shows."""


def make_outputs(
    options: OutputOptions,
    program: str,
    session: "Session",
    sources: Sequence["Source"],
    decision: Decision,
) -> "Together":
    """Return all outputs that the options ask for, as one sink.

    Args:
        options: what was asked for.
        program: begins its messages.
        session: the model that runs.
        sources: what it runs on; their names tell them apart.
        decision: how answers become events.
    """
    from seqvision_edge.sinks.together import Together

    # A camera does not wait; of a recording every line counts.
    live = any(source.live for source in sources)
    queued = [*_files(options, session, sources, decision, waits=not live)]
    return Together(program, queued, [*_screen(options, session, sources)], live)


def refuse_to_overwrite(
    options: OutputOptions, program: str, sources: Sequence[str], read: Sequence[Path]
) -> None:
    """Refuse outputs that would destroy what is read.

    Raises:
        SinkError: one of them would.
    """
    for flag, path in _written(options, sources):
        if is_one_of(path, read):
            raise SinkError(f"{program}: {flag} {path}: that is a file that is read")


def _written(options: OutputOptions, sources: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield each option that names a file, and the files that it writes."""
    if options.json_ is not None:
        yield "--json", options.json_
    if options.save is not None:
        from seqvision_edge.sinks.video import video_paths

        for path in video_paths(options.save, sources).values():
            yield "--save", path


def _files(
    options: OutputOptions,
    session: "Session",
    sources: Sequence["Source"],
    decision: Decision,
    waits: bool,
) -> Iterator["Queued[Any]"]:
    """Yield the outputs that are files here."""
    from seqvision_edge.sinks.jsonl import JsonLines
    from seqvision_edge.sinks.queued import Queued
    from seqvision_edge.sinks.video import VideoFiles

    if options.json_ is not None:
        outlet = JsonLines(options.json_, about(session, sources, decision))
        yield Queued(outlet, _LINES, waits=waits)
    if options.save is not None:
        # An overlay of its own: the worker draws, not the run.
        drawn = _overlays(options, session, sources)
        film = {source.name: (drawn[source.name], source.fps) for source in sources}
        yield Queued(VideoFiles(options.save, film), _PICTURES, waits=waits)


def _screen(
    options: OutputOptions, session: "Session", sources: Sequence["Source"]
) -> Iterator["Sink"]:
    """Yield what a person looks at; the window is last, for it can end the run."""
    from seqvision_edge.sinks.console import console
    from seqvision_edge.sinks.window import Window, can_show

    live = any(source.live for source in sources)
    pictures = session.card.sequence.kind != "video" and not live
    yield console(session.card, [source.name for source in sources], pictures)
    if options.window and can_show():
        yield Window(_overlays(options, session, sources))


def _overlays(
    options: OutputOptions, session: "Session", sources: Sequence["Source"]
) -> dict[str, "Overlay"]:
    """Return what draws each source, by its name; a single one needs no name on its picture."""
    from seqvision_edge.overlay import Overlay

    several = len(sources) > 1
    return {
        source.name: Overlay(session.card, options.top, source.name if several else "")
        for source in sources
    }


def about(session: "Session", sources: Sequence["Source"], decision: Decision) -> dict[str, Any]:
    """Return what a reader of the JSON lines must know of the run."""
    card = session.card
    return {
        "version": __version__,
        "spec": card.spec,
        "model": session.where,
        "device": session.device,
        "sources": [
            {"name": source.name, "live": source.live, "fps": source.fps} for source in sources
        ],
        "labels": list(card.labels),
        "sequence": card.sequence.model_dump(),
        "decision": decision.model_dump(),
    }
