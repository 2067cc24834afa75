"""Report of a verification: printed, and saved next to the file."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from seqvision.console import console, print_line
from seqvision.errors import ExportError
from seqvision_edge.hints import join_and
from seqvision_edge.landmarks import IN_WORDS

if TYPE_CHECKING:
    from seqvision_export.verify.clips import ClipsProof

# In which a clip is answered for.
WAYS = ("torch", "one call", "frame by frame")
# Of probabilities.  fp16 has three digits; in int8 the two ways through the same file still agree,
# only torch does not.
TOLERANCES = {"fp32": 1e-4, "int8": 1e-4, "fp16": 5e-3}


@dataclass(frozen=True)
class Case:
    """One comparison: what it was, and how far apart the answers are.

    `limit` is how far they may be; None: it is only reported, because the precision was reduced.
    """

    name: str
    difference: float
    limit: float | None

    @property
    def holds(self) -> bool:
        """Whether the answers are as near as they must be; a NaN is not."""
        return self.limit is None or self.difference <= self.limit


@dataclass(frozen=True)
class Proof:
    """All comparisons of a file with its model.

    `clips` is None where no real clips took part.
    """

    cases: tuple[Case, ...]
    clips: "ClipsProof | None" = None

    @property
    def all_cases(self) -> tuple[Case, ...]:
        """The comparisons on random frames, and those on clips."""
        return self.cases + (self.clips.cases if self.clips else ())

    @property
    def worst(self) -> Case:
        """The comparison that is nearest to its limit, or beyond it."""
        bound = [case for case in self.all_cases if case.limit is not None]
        return max(bound, key=lambda case: case.difference / (case.limit or 1))

    def require(self) -> None:
        """Refuse a file that answers differently.

        Raises:
            ExportError: some answers differ by more than they may, or are not numbers.
        """
        if not self.worst.holds:
            raise ExportError(
                f"the exported model answers differently: {self.worst.name} is off by "
                f"{self.worst.difference:.2g}, allowed are {self.worst.limit:g}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the proof as plain data."""
        return {
            "passed": self.worst.holds,
            "worst": vars(self.worst),
            "clips": self.clips.to_json() if self.clips else None,
            "environment": environment(),
            "comparisons": [vars(case) for case in self.all_cases],
        }


def environment() -> dict[str, str]:
    """Return the versions and the machine that a proof holds for."""
    import onnxruntime
    import torch

    import seqvision

    return {
        "seqvision": seqvision.__version__,
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def print_summary(report: dict[str, Any]) -> None:
    """Print a report's figures for a person, on stderr."""
    worst, clips = report["worst"], report["clips"]
    real = f" ({clips['clips']} real clips)" if clips else ""
    print_line(
        f"proven in a fresh process: torch, one call and frame by frame agree in "
        f"{len(report['comparisons'])} comparisons{real}; largest difference "
        f"{worst['difference']:.1g} ({worst['name']})"
    )
    if report["pictures"]:
        print_line(_pictures_line(**report["pictures"]))
    if clips:
        console.print(_clips_table(clips))
    if clips and "stream" in clips:
        found = clips["stream"]
        print_line(
            f"the clips as one stream of {found['frames']:,} frames, judged as each ends: "
            f"a carried state is right on {found['carry_accuracy']:.1%}, "
            f"a window on {found['window_accuracy']:.1%}; they agree on {found['agreement']:.1%}"
        )


def _pictures_line(real: int, found: dict[str, int]) -> str:
    """Return on which pictures a file of landmarks was proven."""
    missing = [IN_WORDS[part] for part, frames in found.items() if not frames]
    if missing:
        return (
            f"no picture with {' or '.join(missing)} took part in the proof; give it clips: "
            "--verify CLIPS, or seqvision verify"
        )
    seen = [f"{IN_WORDS[part]} in {frames}" for part, frames in found.items()]
    return f"{real} real pictures took part, {join_and(seen)} frames"


def _clips_table(clips: dict[str, Any]) -> Table:
    title = f"{clips['clips']} clips; live names torch's label on {clips['agreement']:.1%}"
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    names = ("accuracy", "precision", "recall", "f1", "loss")
    for name in names:
        table.add_column(name, justify="right")
    for way in WAYS:
        figures = clips["metrics"][way]
        shown = [f"{figures['accuracy']:.1%}", *(f"{figures[name]:.4f}" for name in names[1:])]
        table.add_row(way, *shown)
    return table


def save_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def distance(
    found: NDArray[np.float32], expected: NDArray[np.float32], relative: bool = False
) -> float:
    """Return the largest difference; infinite for another shape or a value that is no number.

    `relative` divides by the largest expected value, for features, which have no scale.
    """
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    if not expected.size:
        return 0.0
    scale = max(1.0, float(np.abs(expected).max())) if relative else 1.0
    return float(np.abs(found - expected).max()) / scale
