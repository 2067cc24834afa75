"""The options of the commands that make clips."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from seqvision.config.base import UNSET, Options
from seqvision.config.parts import (
    Positive,
)
from seqvision_edge.recording.plan import Order


class RecordOptions(Options):
    """Record takes of your own gestures from a camera, label by label, for `seqvision train`.

    Each take has a countdown; Enter begins and pauses, r repeats the last take, s puts one off, q
    stops.  The same command goes on where the last one stopped.

    Exit codes: 0 done or stopped with q, 2 wrong use, 3 the file of --source is too short, 130
    Ctrl-C: whole takes stay, the torn one goes.
    """

    folder: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="TAKES")]]
    """Folder for the takes and their list clips.csv; it may have takes already."""
    labels: Annotated[str | None, tyro.conf.arg(metavar="LABEL,LABEL,…", help_behavior_hint="")] = (
        None
    )
    """What to record, such as wave,clap,none, where none is for nothing happens; by default those
    that the folder has, or they are asked for."""
    person: Annotated[str | None, UNSET] = None
    """Who is recorded: takes of one person never stand on both sides of a training's split."""
    takes: Positive = 10
    """Takes of each label, of this person; those that are there count."""
    seconds: Annotated[float, Field(ge=0.2, le=120)] | Literal["key"] = 2.0
    """Length of a take; key: until Enter."""
    countdown: Annotated[
        Annotated[float, Field(ge=0, le=60)] | None,
        tyro.conf.arg(help_behavior_hint="(default: 3, of a file 0)"),
    ] = None
    """Seconds before each take."""
    order: Order = "shuffled"
    """shuffled: every label is spread over the whole sitting, so that the light and a person's
    tiredness change with none of them; turn: label by label, none between the others."""
    seed: Annotated[Annotated[int, Field(ge=0)] | None, UNSET] = None
    """Seed of the shuffled order; by default another one each time."""
    camera: Annotated[str, tyro.conf.arg(metavar="NUMBER|DEVICE")] = "0"
    """Camera: its number, from 0, or its device; edge-run --list-cameras shows which there are."""
    source: Annotated[str | None, UNSET] = None
    """Record from this instead: a stream (rtsp:// http://), or a video file, which is cut into
    takes one after the other."""
    mirror: bool = True
    """Show the picture as a mirror would; takes are recorded as the camera sees them."""
    window: bool = True
    """Show a window, where there is a display."""
    review: Annotated[bool, tyro.conf.FlagCreatePairsOff, UNSET] = False
    """Go through the takes of the folder, or through clips that a run collected, instead: keep,
    relabel or delete each."""


class SegmentOptions(Options):
    """Cut labelled clips out of a long video, and clips of nothing from between them."""

    video: tyro.conf.Positional[Path]
    """The video."""
    events: Annotated[tyro.conf.Positional[Path | None], UNSET] = None
    """CSV start,end,label (or start_frame,end_frame,label), or the JSON of a truth; by default the
    one beside the video."""
    output: Path = Path("clips")
    """Folder for the clips and their clips.csv; clips are added, none is overwritten."""
    group: Annotated[str | None, UNSET] = None
    """Who or what the clips share, so that they stay on one side of a split; by default the video's
    name."""
    background: str = "none"
    """Label for the clips between the events."""
    backgrounds: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """How many of them at most; auto: as many as events."""
    margin: Annotated[float, Field(ge=0)] = 0.5
    """Seconds that they keep away from an event."""
