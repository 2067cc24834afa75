"""Choose a precision: make every candidate → time them → measure accuracy → select.

Which one is the fastest depends on the network and on the processor; what one costs in accuracy
depends on the clips.  Neither is guessed.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from rich.table import Table

from seqvision.config import ExportOptions
from seqvision.console import console, print_line, print_step, progress
from seqvision.errors import ExportError
from seqvision.statistics import is_better
from seqvision_edge.card import ModelCard
from seqvision_edge.sampling import Steps
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import finish_graph
from seqvision_export.quantize.calibration_data import Clips, Labelled, divided, random_windows
from seqvision_export.quantize.fp16 import to_fp16
from seqvision_export.quantize.int8 import plans, quantize, ranges_of
from seqvision_export.timing import Timing, interleaved_timing, ratio

# What is clearly faster: less may be chance, and fp32 answers as the training did.
CLEARLY = 1.05
# fp16 rounds to 11 bits: on random and trained networks its probabilities were at most 0.004 off.
HALF_TOLERANCE = 0.02

# For each candidate.
_SECONDS = 0.5

Probabilities = NDArray[np.float32]

Format = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Candidate:
    """A model in one number format.

    Attributes:
        name: `fp32`, `fp16`, or `int8` and its plan.
        content: the file.
    """

    name: str
    precision: Format
    content: bytes


@dataclass(frozen=True)
class Measured:
    """What was measured of a candidate.

    Attributes:
        milliseconds: of one live frame, its window full, undisturbed.
        ratio: how many times as fast as fp32, in the same rounds.
        accuracy: share of the clips whose label it names, 0 to 1; None without clips.
        drop: points of accuracy that it loses against fp32.
        agreement: share of the clips for which it names the same label as fp32.
        refused: why it may not be kept; empty where it may.
    """

    candidate: Candidate
    milliseconds: float
    ratio: float
    accuracy: float | None
    drop: float | None
    agreement: float | None
    refused: str

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.candidate.content)

    def to_json(self) -> dict[str, Any]:
        """Return the figures under their names."""
        return {
            "name": self.candidate.name,
            "precision": self.candidate.precision,
            "milliseconds": round(self.milliseconds, 4),
            "ratio": round(self.ratio, 3),
            "accuracy": self.accuracy,
            "drop": None if self.drop is None else round(self.drop, 3),
            "agreement": self.agreement,
            "size": self.size,
            "refused": self.refused,
        }


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what it rests on.

    Attributes:
        measured: every candidate, fp32 first.
        clips: how many clips judged the accuracy.
        same: whether the same clips calibrated int8.
    """

    chosen: Measured
    measured: tuple[Measured, ...]
    clips: int
    same: bool

    @property
    def content(self) -> bytes:
        """The file's content."""
        return self.chosen.candidate.content

    def to_json(self) -> dict[str, Any]:
        """Return everything for the saved report."""
        return {
            "chosen": self.chosen.candidate.name,
            "clips": self.clips,
            "calibration_clips_reused": self.same,
            "candidates": [one.to_json() for one in self.measured],
        }


def choose_precision(
    content: bytes, card: ModelCard, options: ExportOptions, clips: Clips
) -> Choice:
    """Write a model in the number format that the options ask for, and return what was measured.

    Args:
        content: the model in fp32, as `convert` returns it.
        clips: what calibrates and what judges; see `gather`.

    Raises:
        ExportError: no requested precision may be kept.
    """
    requested = options.precision
    formats: tuple[Format, ...] = ("int8", "fp16") if requested == "auto" else (requested,)
    print_step(f"making {' and '.join(formats)}; {divided(clips)}")
    made = list(make(content, card, formats, clips.calibrate.windows))
    if not made and requested != "auto":
        raise ExportError(
            f"--precision {options.precision}: the encoder computes nothing that could be smaller; "
            "use --precision fp32"
        )
    candidates = [Candidate("fp32", "fp32", content), *made]
    windows = clips.judge.windows or random_windows(card)
    print_step(f"timing {len(candidates)} candidates and asking each about {len(windows)} clips")
    measured = _judge(candidates, options, clips, windows)
    chosen = _pick(measured, options)
    show_candidates(measured, chosen, clips)
    if chosen is None:
        raise ExportError(_refusal(measured, options))
    return Choice(chosen, tuple(measured), len(clips.judge), clips.same)


def _judge(
    candidates: Sequence[Candidate],
    options: ExportOptions,
    clips: Clips,
    windows: Sequence[Steps],
) -> list[Measured]:
    """Time the candidates against fp32 and predict the clips with each."""
    sessions = {one.name: Session(one.content, device="cpu", trial=False) for one in candidates}
    times = time_live_frames(sessions, windows[0][-1:])
    answers = _predict_all(candidates, windows)
    expected, labels = answers["fp32"], sessions["fp32"].card.labels
    measured = []
    for one in candidates:
        found = answers[one.name]
        right = drop = agreement = None
        if clips.judge:
            right = accuracy(found, clips.judge, labels)
            drop = 100 * (accuracy(expected, clips.judge, labels) - right)
            agreement = agreement_between(found, expected)
        measured.append(
            Measured(
                candidate=one,
                milliseconds=times[one.name].undisturbed,
                ratio=ratio(times["fp32"], times[one.name]),
                accuracy=right,
                drop=drop,
                agreement=agreement,
                refused=_refused(drop, difference(found, expected), options),
            )
        )
    return measured


def _predict_all(
    candidates: Sequence[Candidate], windows: Sequence[Steps]
) -> dict[str, Probabilities]:
    """Return every candidate's probabilities for every window, by its name."""
    found: dict[str, Probabilities] = {}
    total = len(candidates) * len(windows)
    with progress("measuring") as advance:
        for one in candidates:
            session = Session(one.content, device="cpu", threads=os.cpu_count() or 1, trial=False)
            before = len(found) * len(windows)
            follow = partial(_advance_by, advance, before, total)
            found[one.name] = predict_clips(session, windows, follow)
    return found


def _advance_by(advance: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    advance(before + done, total)


def _refused(drop: float | None, difference: float, options: ExportOptions) -> str:
    """Return why a candidate may not be kept; empty where it may."""
    if not math.isfinite(difference):
        return "answers are not finite"
    if drop is None:
        return f"off by {difference:.2g}" if difference > HALF_TOLERANCE else ""
    # A drop is a difference of two shares: what is exactly as allowed is not above it.
    return f"costs {drop:.1f} points" if drop > options.max_accuracy_drop + 1e-9 else ""


def _pick(measured: Sequence[Measured], options: ExportOptions) -> Measured | None:
    """Return the fastest candidate that may be kept; None where there is none."""
    fp32, *others = measured
    best = max((one for one in others if not one.refused), key=lambda one: one.ratio, default=None)
    if options.precision != "auto":
        return best
    return best if best is not None and best.ratio >= CLEARLY else fp32


def _refusal(measured: Sequence[Measured], options: ExportOptions) -> str:
    """Return the reason why nothing may be kept, for the candidate that comes closest."""
    best = min(measured[1:], key=lambda one: math.inf if one.drop is None else one.drop)
    if best.drop is None:
        return f"--precision {options.precision}: {best.candidate.name}: {best.refused}"
    return (
        f"--precision {options.precision}: {best.candidate.name} {best.refused} of accuracy and "
        f"--max-accuracy-drop allows {options.max_accuracy_drop:g}; "
        "use --precision fp32, or raise --max-accuracy-drop"
    )


def make(
    content: bytes, card: ModelCard, formats: Sequence[Format], calibrate: Sequence[Steps]
) -> Iterator[Candidate]:
    """Yield a model in smaller formats; none where its encoder computes nothing.

    Args:
        content: the model in fp32, as `convert` returns it.
        card: its card.
        formats: which ones; fp32 is not made again.
        calibrate: windows by which the ranges of int8 are chosen.
    """
    possible = plans(onnx.load_from_string(content))
    if "int8" in formats and possible:
        with progress("calibrating") as advance:
            ranges = ranges_of(content, calibrate, advance)
        for plan in possible:
            quantized = finish_graph(quantize(content, plan, ranges), card, "int8")
            yield Candidate(f"int8, {plan.name}", "int8", quantized)
    if "fp16" in formats and possible:
        yield Candidate("fp16", "fp16", finish_graph(to_fp16(content), card, "fp16"))


def time_live_frames(sessions: Mapping[str, Session], frame: Steps) -> dict[str, Timing]:
    """Time one live frame, its window full, of every candidate in turns.

    Args:
        frame: `(1, height, width, channels)` uint8.
    """
    return interleaved_timing({name: _step(one, frame) for name, one in sessions.items()}, _SECONDS)


def predict_clips(
    session: Session, windows: Sequence[Steps], advance: Callable[[int], None] = lambda _: None
) -> Probabilities:
    """Return probabilities `(clips, labels)`, each clip in one call that `advance` follows."""
    found = []
    for number, window in enumerate(windows, 1):
        found.append(session.run(window[None])[0])
        advance(number)
    return np.concatenate(found)


def accuracy(found: Probabilities, clips: Labelled, labels: Sequence[str]) -> float:
    """Return the share of clips whose most probable label is theirs; 0 to 1."""
    named = [labels[index] for index in found.argmax(axis=1)]
    return sum(map(str.__eq__, named, clips.labels)) / len(clips)


def agreement_between(found: Probabilities, expected: Probabilities) -> float:
    """Return the share of clips for which both name the same label; 0 to 1."""
    return float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())


def difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference; infinite where one is no number."""
    worst = float(np.abs(found - expected).max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")


def _step(session: Session, frame: Steps) -> Callable[[], object]:
    stream = session.stream()
    stream.push(np.repeat(frame, session.card.sequence.window, axis=0))
    return lambda: stream.push(frame)


def show_candidates(measured: Sequence[Measured], chosen: Measured | None, clips: Clips) -> None:
    """Print a row for each candidate to stderr, and what the figures rest on."""
    table = Table(title="one live frame on this machine", title_justify="left")
    table.add_column("")
    for name in ("ms", "speed", "accuracy", "points lost", "MB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for one in measured:
        table.add_row(
            one.candidate.name,
            f"{one.milliseconds:.3f}",
            f"{one.ratio:.2f} ×",
            "" if one.accuracy is None else f"{one.accuracy:.1%}",
            "" if one.drop is None else f"{one.drop:.1f}",
            f"{one.size / 1e6:.1f}",
            "kept" if one is chosen else one.refused,
            style="bold" if one is chosen else "",
        )
    console.print(table)
    for line in _notes(measured, chosen, clips):
        print_line(line)


def _notes(measured: Sequence[Measured], chosen: Measured | None, clips: Clips) -> list[str]:
    lines = []
    if clips.judge:
        one = 100 / len(clips.judge)
        lines.append(
            f"accuracy on {len(clips.judge)} clips, each worth {one:.2g} points"
            + (", which also calibrated int8" if clips.same and _has_int8(measured) else "")
        )
        label, often = Counter(clips.judge.labels).most_common(1)[0]
        share, right = often / len(clips.judge), measured[0].accuracy
        if right is not None and not is_better(right, len(clips.judge), share):
            lines.append(
                f"warning: fp32 itself is right on {right:.1%}, not clearly more than chance "
                f"(always naming {label}: {share:.1%}), so a drop of accuracy means nothing here"
            )
    if chosen is not None and chosen.agreement is not None and chosen is not measured[0]:
        lines.append(
            f"{chosen.candidate.name} names {chosen.agreement:.1%} of the clips as fp32 does"
        )
    if chosen is not None and chosen.ratio < 1:
        lines.append(
            f"{chosen.candidate.name} is slower than fp32 here ({chosen.ratio:.2f} ×): "
            "--precision auto would keep fp32"
        )
    return lines


def _has_int8(measured: Sequence[Measured]) -> bool:
    return any(one.candidate.precision == "int8" for one in measured)
