"""`seqvision record`: a camera → a folder of takes that `seqvision train` reads.  No torch.

What records is in the edge package (`seqvision_edge.recording`): a device can do it too.
"""

import contextlib
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqvision.config import RecordOptions
from seqvision.errors import DataError
from seqvision_edge.background_label import backgrounds
from seqvision_edge.command_line import print_message, print_text
from seqvision_edge.recording.review import (
    LinePrompt,
    WindowPrompt,
    items_of,
    review,
    unreviewed,
)
from seqvision_edge.recording.session import RecordingSession, TakeSettings, View
from seqvision_edge.recording.session import run_session as sit
from seqvision_edge.recording.take_folder import Takes
from seqvision_edge.recording.take_list import (
    Take,
    clean_label,
    clean_person,
    recording_order,
    still_to_record,
)
from seqvision_edge.recording.terminal_view import TerminalView
from seqvision_edge.recording.window_view import Mirror
from seqvision_edge.sinks.window import can_show
from seqvision_edge.sources.address import Address
from seqvision_edge.sources.capture_process import FrameFormat
from seqvision_edge.sources.factory import ReadSettings, open_sources, refuse_missing
from seqvision_edge.sources.parse import parse_camera, parse_source

# More than any model reads, and little enough that no frame is late.
_LONGEST_SIDE = 640
_COUNTDOWN = 3.0
# With fewer no person is left for validation whom the model has not seen.
_PERSONS = 3


@dataclass(frozen=True)
class Recorded:
    """Result of a recording session; `incomplete` where a file had fewer takes than requested."""

    takes: list[Take]
    incomplete: bool


def record(options: RecordOptions) -> Recorded:
    """Record the missing takes of a folder and print what it has.

    Raises:
        SeqvisionError: the labels, the folder or the source cannot be used, or a take could not be
            written.
        KeyboardInterrupt: Ctrl-C; its message names what was kept.
    """
    if options.person is not None:
        clean_person(options.person)
    if options.labels is not None:
        _split(options.labels)
    takes = Takes(options.folder)
    if options.review:
        _review(options, takes)
        return Recorded(takes.all(), incomplete=False)
    address = parse_source(options.source) if options.source else parse_camera(options.camera)
    refuse_missing([address])
    takes.check()
    labels = _labels(options.labels, takes)
    person = _person(options.person)
    counts = takes.counts()
    done = {label: counts[label, person] for label in labels}
    missing = still_to_record(labels, options.takes, done)
    planned = recording_order(missing, options.order, options.seed)
    already = sum(min(options.takes, done[label]) for label in labels)
    incomplete = False
    if planned:
        incomplete = _record(options, address, takes, (labels, planned), person, already)
    _print_summary(takes)
    return Recorded(takes.all(), incomplete)


def _record(
    options: RecordOptions,
    address: Address,
    takes: Takes,
    plan: tuple[list[str], list[str]],
    person: str,
    already: int,
) -> bool:
    """Record; return whether the source ended before all was recorded."""
    labels, planned = plan
    (source,) = open_sources(
        [address], ReadSettings(frame_format=FrameFormat(longest=_LONGEST_SIDE))
    )
    with contextlib.ExitStack() as opened:
        # What cannot be recorded leaves no folder, and a folder that cannot be, no camera.
        opened.push(source)
        takes.open()
        opened.pop_all()
    _hint([*labels, *(take.label for take in takes.all())])
    countdown = options.countdown
    if countdown is None:
        countdown = _COUNTDOWN if source.live else 0.0
    seconds = None if options.seconds == "key" else options.seconds
    sitting = TakeSettings(person, seconds, countdown, waits=source.live)
    session = RecordingSession(takes, planned, sitting, source.fps, already)
    has_window = options.window and can_show()
    views: list[View] = [TerminalView(labels, alone=not has_window)]
    if has_window:
        views.append(Mirror(labels, options.mirror))
    try:
        sit(source, session, views)
    except KeyboardInterrupt as stopped:
        kept = f"{_takes(len(session.kept))} of this sitting are kept"
        stopped.args = (f"stopped; {kept} in {takes.folder}; run the same command to continue",)
        raise
    if session.missing and not session.was_stopped:
        print_message(f"{source.name}: source ended early; {_takes(session.missing)} missing")
        return True
    return False


def _review(options: RecordOptions, takes: Takes) -> None:
    """Review what a run collected and was not reviewed yet, or else the takes."""
    if not takes.folder.is_dir():
        raise DataError(f"{takes.folder}: no such folder; record takes first")
    takes.open()
    picked = _split(options.labels) if options.labels else []
    waiting = unreviewed(takes)
    items = items_of(takes, waiting, picked)
    known = sorted({take.label for take in takes.all()} | {clip.guess for clip in waiting} - {""})
    if not items:
        raise DataError(f"{options.folder}: no clips to go through")
    by_line = LinePrompt()
    by_window = WindowPrompt(by_line, options.mirror) if options.window and can_show() else None
    try:
        done = review(takes, items, [*known, *picked], by_window or by_line, print_message)
    finally:
        if by_window is not None:
            by_window.close()
    print_message(f"kept {done['keep']}, relabelled {done['relabel']}, deleted {done['delete']}")
    _print_summary(takes)


def _labels(given: str | None, takes: Takes) -> list[str]:
    """Return the labels to record: given, or there already, or typed at a prompt."""
    if given is not None:
        return _split(given)
    there = list(dict.fromkeys(take.label for take in takes.all()))
    if there:
        return there
    if sys.stdin is None or not sys.stdin.isatty():
        raise DataError("the labels are missing: --labels wave,clap,none")
    return _split(_prompt("labels, separated by commas (none: nothing happens): "))


def _split(given: str) -> list[str]:
    labels = list(dict.fromkeys(clean_label(label) for label in given.split(",") if label.strip()))
    if not labels:
        raise DataError(f"--labels {given!r}: no label; such as --labels wave,clap,none")
    return labels


def _person(given: str | None) -> str:
    if given is None and sys.stdin is not None and sys.stdin.isatty():
        given = _prompt("name of the performer (may be empty): ")
    return clean_person(given or "")


def _prompt(question: str) -> str:
    try:
        return input(question)
    except EOFError:
        raise DataError("no input; give --labels and --person") from None


def _hint(labels: Sequence[str]) -> None:
    if not backgrounds(labels):
        print_message(
            "no label for nothing happens: a camera watches all the time, so record none too, "
            "with hands that come, go and rest"
        )


def _print_summary(takes: Takes) -> None:
    """Print what the folder has, and what to do next."""
    found = takes.all()
    for label in dict.fromkeys(take.label for take in found):
        persons = Counter(take.person for take in found if take.label == label)
        who = ", ".join(f"{person} {count}" for person, count in persons.items() if person)
        print_text(f"{label}  {_takes(persons.total())}{f'  ({who})' if who else ''}")
    print_text(_next(takes.folder, found))


def _next(folder: Path, found: Sequence[Take]) -> str:
    folder_name = shlex.quote(str(folder))
    if not found:
        return f"no take is kept; begin again: seqvision record {folder_name}"
    if len({take.label for take in found}) < 2:
        return f"one label only; next: seqvision record {folder_name} --labels none"
    persons = {take.person for take in found if take.person}
    if not persons or len(persons) >= _PERSONS:
        return f"next: seqvision train {folder_name}"
    return (
        f"next: seqvision train {folder_name} --split-by none "
        "(its metrics do not hold for other people; "
        f"with {_PERSONS} persons or more leave --split-by out)"
    )


def _takes(count: int) -> str:
    return f"{count} take{'' if count == 1 else 's'}"
