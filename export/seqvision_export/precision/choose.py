"""The way to a number format: make every candidate → time them → let them answer → choose.

Which one is the fastest depends on the network and on the processor; what one costs in accuracy
depends on the clips.  Neither is guessed.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from seqvision.config import ExportOptions
from seqvision.console import print_step, progress
from seqvision.errors import ExportError
from seqvision_edge.card import ModelCard
from seqvision_edge.clip import Steps
from seqvision_edge.session import Session
from seqvision_export.precision import measure
from seqvision_export.precision.candidate import Candidate, Format, Measured
from seqvision_export.precision.clips import Clips, divided, random_windows
from seqvision_export.precision.make import make
from seqvision_export.precision.table import show
from seqvision_export.timing import ratio

# What is clearly faster: less may be chance, and fp32 answers as the training did.
CLEARLY = 1.05
# fp16 rounds to 11 bits: on random and trained networks its probabilities were at most 0.004 off.
HALF_TOLERANCE = 0.02


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


def choose(content: bytes, card: ModelCard, options: ExportOptions, clips: Clips) -> Choice:
    """Write a model in the number format that the options ask for, and say what was measured.

    Args:
        content: the model in fp32, as `convert` returns it.
        clips: what calibrates and what judges; see `gather`.

    Raises:
        ExportError: nothing that was asked for may be kept.
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
    show(measured, chosen, clips)
    if chosen is None:
        raise ExportError(_refusal(measured, options))
    return Choice(chosen, tuple(measured), len(clips.judge), clips.same)


def _judge(
    candidates: Sequence[Candidate],
    options: ExportOptions,
    clips: Clips,
    windows: Sequence[Steps],
) -> list[Measured]:
    """Time the candidates against fp32 and let them answer for the clips."""
    sessions = {one.name: Session(one.content, device="cpu", trial=False) for one in candidates}
    times = measure.time_live_frames(sessions, windows[0][-1:])
    answers = _ask(candidates, windows)
    expected, labels = answers["fp32"], sessions["fp32"].card.labels
    measured = []
    for one in candidates:
        found = answers[one.name]
        right = drop = agreement = None
        if clips.judge:
            right = measure.accuracy(found, clips.judge, labels)
            drop = 100 * (measure.accuracy(expected, clips.judge, labels) - right)
            agreement = measure.agreement(found, expected)
        measured.append(
            Measured(
                candidate=one,
                milliseconds=times[one.name].undisturbed,
                ratio=ratio(times["fp32"], times[one.name]),
                accuracy=right,
                drop=drop,
                agreement=agreement,
                refused=_refused(drop, measure.difference(found, expected), options),
            )
        )
    return measured


def _ask(
    candidates: Sequence[Candidate], windows: Sequence[Steps]
) -> dict[str, measure.Probabilities]:
    """Return every candidate's probabilities for every window, by its name."""
    found: dict[str, measure.Probabilities] = {}
    total = len(candidates) * len(windows)
    with progress("measuring") as advance:
        for one in candidates:
            session = Session(one.content, device="cpu", threads=os.cpu_count() or 1, trial=False)
            before = len(found) * len(windows)
            tell = partial(_tell, advance, before, total)
            found[one.name] = measure.answers(session, windows, tell)
    return found


def _tell(advance: Callable[[int, int], None], before: int, total: int, done: int) -> None:
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
    """Return the line that says why nothing may be kept, of the candidate that comes closest."""
    best = min(measured[1:], key=lambda one: math.inf if one.drop is None else one.drop)
    if best.drop is None:
        return f"--precision {options.precision}: {best.candidate.name}: {best.refused}"
    return (
        f"--precision {options.precision}: {best.candidate.name} {best.refused} of accuracy and "
        f"--max-accuracy-drop allows {options.max_accuracy_drop:g}; "
        "use --precision fp32, or raise --max-accuracy-drop"
    )
