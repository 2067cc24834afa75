"""Draw the labelled sample set: short clips of hand gestures, and long untrimmed takes.

Everything is drawn, nothing is downloaded, and the same options give the same pixels:

    python samples/make_samples.py OUT

    OUT/clips/clips.csv                          path,label,group,split,fps
    OUT/clips/<label>/<clip>/0001.jpg ...        a clip as a folder of frames
    OUT/clips/<label>/<clip>.mp4                 a clip as a video
    OUT/takes/<performer>.mp4, ….json            long takes of those who validate, to calibrate
                                                 with, and when their gestures happen
    OUT/untrimmed.mp4, OUT/untrimmed.json        the same of one who tests

`--world hard` draws what real rooms have: any skin and sleeve, lit and cluttered rooms in which
things and people move, a second hand, a camera held in a hand, light that changes.  There
OUT/train_takes has long takes of those who train, and marks.csv their gestures, and what lies
between these, as parts of the videos: path,label,group,start,end.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from drawing import (
    HARD,
    LABELS,
    NONE,
    PLAIN,
    WORLDS,
    Event,
    Performer,
    draw_clip,
    draw_session,
    harden_performer,
    make_performer,
)
from drawing.files import (
    CLIPS,
    INDEX,
    MARKS,
    TAKES,
    TRAIN_TAKES,
    UNTRIMMED,
    SamplesError,
    Size,
    put,
    refuse,
    write_frames,
    write_video,
)

UNTRIMMED_FPS = 20.0
FORMATS = ("both", "frames", "video")
NONE_TIMES = 3
"""Clips in which nothing happens, for each of a gesture: it looks like more than a gesture does."""
SHORTEST_GAP = 0.5
"""Seconds between two gestures that are marked as a part in which nothing happens."""
MOST_CLIPS = 9999 // NONE_TIMES
"""Clips of one gesture: as many as the four digits of the others can number."""


@dataclass(frozen=True)
class Options:
    """What to draw. `size` is (width, height); `minutes` is the untrimmed take's, 0 for none.

    `take_minutes` is that of each take to calibrate with.
    """

    clips_per_label: int = 60
    performers: int = 12
    seed: int = 0
    format: str = "both"
    size: Size = (160, 120)
    minutes: float = 3.0
    take_minutes: float = 4.0
    world: str = PLAIN

    def check(self) -> None:
        """Raise SamplesError for the first value that cannot be drawn."""
        if not 1 <= self.clips_per_label <= MOST_CLIPS:
            raise SamplesError(f"--clips-per-label must be 1 to {MOST_CLIPS}")
        if not 3 <= self.performers <= 99:
            raise SamplesError("--performers must be 3 to 99: each split needs its own")
        if self.seed < 0:
            raise SamplesError("--seed must be 0 or more")
        if self.format not in FORMATS:
            raise SamplesError(f"--format must be one of {', '.join(FORMATS)}")
        if not all(48 <= side <= 1920 and side % 2 == 0 for side in self.size):
            raise SamplesError("--size must be two even numbers from 48 to 1920, as in 160x120")
        if self.minutes != 0 and not 0.2 <= self.minutes <= 60:
            raise SamplesError("--minutes must be 0.2 to 60")
        if not 0.2 <= self.take_minutes <= 60:
            raise SamplesError("--take-minutes must be 0.2 to 60")
        if self.world not in WORLDS:
            raise SamplesError(f"--world must be one of {', '.join(WORLDS)}")

    def performer(self, index: int) -> Performer:
        """Return performer number `index` of this set."""
        performer = make_performer(index, self.seed)
        if self.world == HARD:
            return harden_performer(performer, index, self.seed)
        return performer


@dataclass(frozen=True)
class Row:
    """A clip's line in the CSV; `path` is relative to the CSV, with forward slashes."""

    path: str
    label: str
    group: str
    split: str
    fps: str


def make_samples(
    out: Path, options: Options | None = None, *, force: bool = False, talk: bool = False
) -> list[Row]:
    """Draw the sample set into a folder and return the CSV's rows.

    The folder must be missing or empty; `force` replaces a set drawn there before and leaves
    all else there alone. It is filled only when all is drawn. `talk` counts clips on stderr.
    """
    options = options or Options()
    options.check()
    refuse(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    built = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        rows = _draw_clips(built / CLIPS, options, talk)
        if options.minutes:
            _draw_untrimmed(built, options)
        put(built, out)
    finally:
        shutil.rmtree(built, ignore_errors=True)
    return rows


def split_of(performer: int, performers: int) -> str:
    """Return the split of a performer: about a sixth of them each for val and test."""
    held_out = max(1, round(performers / 6))
    if performer >= performers - held_out:
        return "test"
    return "val" if performer >= performers - 2 * held_out else "train"


def _draw_clips(folder: Path, options: Options, talk: bool) -> list[Row]:
    """Draw every clip and the CSV that lists them."""
    rows = []
    people = [options.performer(index) for index in range(options.performers)]
    for label in LABELS:
        (folder / label).mkdir(parents=True)
    total = (len(LABELS) - 1 + NONE_TIMES) * options.clips_per_label
    for number in range(NONE_TIMES * options.clips_per_label):
        person = number % options.performers
        for label in LABELS if number < options.clips_per_label else (NONE,):
            # Each clip has numbers of its own: no clip depends on how many others there are.
            frames, fps = draw_clip(label, people[person], (options.seed, number), options.size)
            name = f"{label}_{number + 1:04d}"
            if _is_video(number, options):
                name += ".mp4"
                write_video(folder / label / name, frames, fps, options.size)
            else:
                write_frames(folder / label / name, frames)
            split = split_of(person, options.performers)
            rows.append(Row(f"{label}/{name}", label, people[person].name, split, f"{fps:g}"))
            _count(talk, len(rows), total)
    rows.sort(key=lambda row: (LABELS.index(row.label), row.path))
    with (folder / INDEX).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([row.path, row.label, row.group, row.split, row.fps] for row in rows)
    return rows


def _is_video(number: int, options: Options) -> bool:
    """Return whether a clip is to be a video; for both formats, every performer gets both."""
    if options.format != "both":
        return options.format == "video"
    # An even number of performers would have each of them come round in one format only.
    rounds = number // options.performers if options.performers % 2 == 0 else 0
    return (number + rounds) % 2 == 1


def _draw_untrimmed(folder: Path, options: Options) -> None:
    """Draw a long take of each performer who validates, and one of the last of those who test.

    In the hard world also one of each who trains, with its marks.
    """
    (folder / TAKES).mkdir()
    marks: list[tuple[str, ...]] = []
    for index in range(options.performers):
        split, name = split_of(index, options.performers), options.performer(index).name
        seed, minutes = (options.seed, index), options.take_minutes
        if split == "val":
            _draw_take(folder / TAKES / name, index, seed, minutes, options)
        elif split == "train" and options.world == HARD:
            (folder / TRAIN_TAKES).mkdir(exist_ok=True)
            events = _draw_take(folder / TRAIN_TAKES / name, index, seed, minutes, options)
            marks += _marks(name, events, minutes * 60)
    if marks:
        with (folder / TRAIN_TAKES / MARKS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("path", "label", "group", "start", "end"))
            writer.writerows(marks)
    last = options.performers - 1
    _draw_take(folder / UNTRIMMED, last, (options.seed,), options.minutes, options)


def _marks(name: str, events: Sequence[Event], seconds: float) -> list[tuple[str, ...]]:
    """Return rows for the gestures of a take, and for what lies between them."""
    rows, free = [], 0.0
    for event in (*events, Event("", seconds, seconds)):
        if event.start - free >= SHORTEST_GAP:
            rows.append((f"{name}.mp4", NONE, name, f"{free:g}", f"{event.start:g}"))
        if event.label:
            rows.append((f"{name}.mp4", event.label, name, f"{event.start:g}", f"{event.end:g}"))
        free = event.end
    return rows


def _draw_take(
    path: Path, number: int, seed: tuple[int, ...], minutes: float, options: Options
) -> tuple[Event, ...]:
    """Draw one long take: a video, and next to it the times of its gestures, which it returns."""
    performer = options.performer(number)
    seconds = round(minutes * 60 * UNTRIMMED_FPS) / UNTRIMMED_FPS
    frames, events = draw_session(performer, seed, seconds, UNTRIMMED_FPS, options.size)
    video = path.with_suffix(".mp4")
    write_video(video, frames, UNTRIMMED_FPS, options.size)
    truth = {
        "video": video.name,
        "fps": UNTRIMMED_FPS,
        "duration": seconds,
        "performer": performer.name,
        "events": [
            {"label": event.label, "start": event.start, "end": event.end} for event in events
        ],
    }
    text = json.dumps(truth, indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    return events


def _count(talk: bool, done: int, of: int) -> None:
    """Show how many clips are drawn, on one line."""
    if talk:
        end = "\n" if done == of else ""
        print(f"\rdrawing clips: {done}/{of}", end=end, file=sys.stderr, flush=True)


def _size(text: str) -> Size:
    """Read WIDTHxHEIGHT."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as in 160x120")
    return int(match[1]), int(match[2])


def _parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    usual = Options()
    parser = argparse.ArgumentParser(
        description="Draw a labelled set of hand-gesture clips, and long untrimmed takes."
    )
    parser.add_argument("out", type=Path, help="folder to make; missing or empty")
    parser.add_argument(
        "--clips-per-label", type=int, default=usual.clips_per_label, metavar="N",
        help="clips of each gesture, and a third of those that are none (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--performers", type=int, default=usual.performers, metavar="N",
        help="people the clips are shared out to (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, default=usual.seed, help="another seed draws another set"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default=usual.format,
        help="write clips as folders of frames, as videos, or half and half (default)",
    )  # fmt: skip
    parser.add_argument(
        "--size", type=_size, default=usual.size, metavar="WxH",
        help="picture size in pixels (default: 160x120)",
    )  # fmt: skip
    parser.add_argument(
        "--minutes",
        type=float,
        default=usual.minutes,
        help="length of the untrimmed take (default: %(default)s)",
    )
    parser.add_argument(
        "--take-minutes", type=float, default=usual.take_minutes,
        help="length of each take to calibrate with (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--world", choices=WORLDS, default=usual.world,
        help="hard: clutter, things that move, any skin and sleeve, shaken cameras, changing light",
    )  # fmt: skip
    parser.add_argument("--no-untrimmed", action="store_true", help="draw no untrimmed takes")
    parser.add_argument("--force", action="store_true", help="replace a set drawn there before")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = _parser().parse_args(arguments)
    options = Options(
        clips_per_label=given.clips_per_label,
        performers=given.performers,
        seed=given.seed,
        format=given.format,
        size=given.size,
        minutes=0.0 if given.no_untrimmed else given.minutes,
        take_minutes=given.take_minutes,
        world=given.world,
    )
    try:
        rows = make_samples(given.out, options, force=given.force, talk=sys.stderr.isatty())
    except SamplesError as error:
        print(f"make_samples: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("make_samples: stopped; nothing is kept", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"make_samples: cannot write {given.out}: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{len(rows)} clips in {given.out / CLIPS / INDEX}")
    if options.minutes:
        print(f"untrimmed takes in {given.out / TAKES} and {given.out / UNTRIMMED}.mp4")
    return 0


if __name__ == "__main__":
    sys.exit(main())
