"""Comparisons on real clips: the figures of torch, of the file in one call, and of it live."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.console import progress
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.sampling import centre, whole
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import state_of
from seqvision_export.verify.parity import Answer, Reference, compare_answers, limits
from seqvision_export.verify.report import WAYS, Case, distance

# At every frame of so many clips, the longest, live is held against offline.
_LONG_CLIPS = 5
_LONG_FRAMES = 2000


@dataclass(frozen=True)
class Untrimmed:
    """What never forgetting changes: clips joined to one stream, each judged as it ends.

    `agreement` is the share of clips for which both name the same label.
    """

    clips: int
    frames: int
    window_accuracy: float
    carry_accuracy: float
    agreement: float


@dataclass(frozen=True)
class ClipsProof:
    """The centre windows of clips, three ways.

    Attributes:
        clips: how many.
        cases: the comparisons.
        metrics: of each of `WAYS`.
        agreement: share of clips on which the file, live, names the label that torch names.
        untrimmed: for a carried state, on the clips as one stream.
    """

    clips: int
    cases: tuple[Case, ...]
    metrics: dict[str, Metrics]
    agreement: float
    untrimmed: Untrimmed | None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        names = ("loss", "accuracy", "precision", "recall", "f1")
        data: dict[str, Any] = {
            "clips": self.clips,
            "agreement": self.agreement,
            "metrics": {
                way: {name: getattr(metrics, name) for name in names}
                for way, metrics in self.metrics.items()
            },
        }
        if self.untrimmed is not None:
            data["stream"] = vars(self.untrimmed)
        return data


def on_clips(
    model: Classifier, session: Session, clips: Sequence[Clip], decoded: Sequence[Decoded]
) -> ClipsProof:
    """Predict every clip with all three, and compare whole long clips at every frame."""
    card = session.card
    reference = Reference(model, card)
    answers: dict[str, list[Answer]] = {way: [] for way in WAYS}
    cases: list[Case] = []
    long = sorted(range(len(decoded)), key=lambda n: -len(decoded[n].times))[:_LONG_CLIPS]
    with progress("proving on clips") as advance:
        for number, clip in enumerate(decoded):
            steps = centre(clip, card.image, card.sequence)
            found = _three_ways(reference, session, steps)
            for way, answer in zip(WAYS, found, strict=True):
                answers[way].append(answer)
            cases += _agree(session, f"real clip {number + 1}", found)
            if number in long and isinstance(card.sequence, TimedSequence):
                frames = whole(clip, card.image, card.sequence)[:_LONG_FRAMES]
                name = f"real clip {number + 1}, all {len(frames)} frames"
                cases += compare_answers(reference, session, frames, name)
            advance(number + 1, len(decoded))
    truth = torch.tensor([card.labels.index(clip.label) for clip in clips])
    metrics = {
        way: measure(torch.from_numpy(np.stack(answers[way])), truth, card.labels) for way in WAYS
    }
    same = [
        a.argmax() == b.argmax()
        for a, b in zip(answers["torch"], answers["frame by frame"], strict=True)
    ]
    carried = card.state.kind == "carry" and isinstance(card.sequence, TimedSequence)
    return ClipsProof(
        clips=len(clips),
        cases=tuple(cases),
        metrics=metrics,
        agreement=float(np.mean(same)),
        untrimmed=_untrimmed(model, card, clips, decoded) if carried else None,
    )


def _three_ways(
    reference: Reference, session: Session, steps: NDArray[np.uint8]
) -> tuple[Answer, Answer, Answer]:
    """Return what torch, one call and one call per frame answer in the end."""
    offline = reference.answer(reference.features(steps[None]))[0]
    once, _ = session.run(steps[None])
    stream = session.stream()
    live = None
    for step in steps:
        live = stream.push(step[None])
    return offline, once[0], np.full_like(offline, np.nan) if live is None else live


def _agree(session: Session, name: str, found: tuple[Answer, Answer, Answer]) -> Iterator[Case]:
    offline, once, live = found
    own, torch_limit = limits(session)
    yield Case(f"{name}, one call", distance(once, offline), torch_limit)
    yield Case(f"{name}, frame by frame", distance(live, offline), torch_limit)
    yield Case(f"{name}, one call against frame by frame", distance(live, once), own)


def _untrimmed(
    model: Classifier, card: ModelCard, clips: Sequence[Clip], decoded: Sequence[Decoded]
) -> Untrimmed:
    """Join the clips to one stream, as a camera would show them, and ask as each one ends."""
    carrying = Reference(model, card)
    window_card = card.model_copy(update={"state": state_of(model, "window")})
    windowed = Reference(model, window_card)
    state, past = carrying.start(1), torch.zeros(1, 0, model.features)
    answers: list[tuple[int, int, int]] = []
    frames = 0
    order = np.random.default_rng(0).permutation(len(clips))
    with progress("clips in a row, carried and windowed") as advance:
        for number, index in enumerate(order.tolist()):
            features = carrying.features(whole(decoded[index], card.image, card.sequence)[None])
            carried, state = carrying.read_on(features, state)
            past = torch.cat((past, features), dim=1)[:, -card.sequence.window :]
            truth = card.labels.index(clips[index].label)
            answers.append((truth, int(windowed.answer(past).argmax()), int(carried.argmax())))
            frames += features.shape[1]
            advance(number + 1, len(clips))
    truths, windows, carries = np.array(answers).T
    return Untrimmed(
        clips=len(answers),
        frames=frames,
        window_accuracy=float((windows == truths).mean()),
        carry_accuracy=float((carries == truths).mean()),
        agreement=float((windows == carries).mean()),
    )
