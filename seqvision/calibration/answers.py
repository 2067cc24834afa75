"""A take's answers, computed once, on the way of a live run; then events at any settings.

Settings of the decision change nothing before it, so one pass of the model serves every trial.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seqvision.calibration.places import TruthVideo
from seqvision.calibration.temperature import probable
from seqvision.models.classifier import Classifier
from seqvision_edge.batch import run_batch
from seqvision_edge.card import Decision, ModelCard
from seqvision_edge.decision import NOTHING, Decider, EventUpdate, window_lag
from seqvision_edge.frame import Frame
from seqvision_edge.pipeline import preprocessed_frames
from seqvision_edge.pipeline.video import VideoPipeline
from seqvision_edge.result import Event
from seqvision_edge.score import TrueEvent
from seqvision_edge.sequence import VideoSequence
from seqvision_edge.session import Session, States
from seqvision_edge.sources import open_path
from seqvision_edge.sources.video_file import VideoFile

# Recorded frames have no age.
_NO_AGE = float("inf")


class TrainedSession(Session):
    """The model of a training where a run expects an exported file: it answers the same."""

    def __init__(self, model: Classifier, card: ModelCard, where: str) -> None:
        """Take a model that is ready for inference; `where` names it."""
        self.where, self.card = where, card
        self._model = model
        self._device = next(model.parameters()).device

    @torch.inference_mode()
    def run(
        self, frames: NDArray[np.uint8], state: States | None = None, **_: object
    ) -> tuple[NDArray[np.float32], States]:
        """Answer for the newest step, as `Session.run` does."""
        (kept,) = self.empty_state(len(frames)) if state is None else state
        seen = torch.from_numpy(np.ascontiguousarray(frames)).to(self._device)
        past = torch.from_numpy(kept).to(self._device)
        steps = torch.cat((past, self._model.remember(self._model.encode(seen))), dim=1)
        window = self.card.sequence.window
        logits = self._model.decide_from(steps[:, -window:])
        shares = (logits.float() / self.card.decision.temperature).softmax(dim=1)
        left = steps[:, max(0, steps.shape[1] - (window - 1)) :]
        return shares.cpu().numpy(), (left.cpu().numpy(),)


Answers = tuple[tuple[float, NDArray[np.float64] | None], ...]


@dataclass(frozen=True)
class TakePredictions:
    """What a model answered in the course of a take.

    Attributes:
        answers: times, each with `(labels,)` probabilities, or None where the past ends: a gap.
        truth: what happened, without the background.
        seconds: how long the take is.
    """

    where: str
    answers: Answers
    truth: tuple[TrueEvent, ...]
    seconds: float
    incomplete: str | None = None

    def events(self, decision: Decision, labels: Sequence[str], lag: float) -> list[Event]:
        """Return the events that a run with these settings reports."""
        decider = Decider(decision, labels, lag)
        ended: list[Event] = []
        for time, answer in self.answers:
            step = decider.close(time) if answer is None else decider.step(time, answer)
            ended += step.ended
        return [*ended, *decider.close(self.seconds).ended]

    def cooled(self, factor: float) -> "TakePredictions":
        """Return the course that a temperature lower by a factor would have given."""
        answers = tuple(
            (time, None if answer is None else probable(np.log(answer.clip(1e-30)), 1 / factor))
            for time, answer in self.answers
        )
        return replace(self, answers=answers)


def record(
    session: Session, take: TruthVideo, advance: Callable[[float], None] = lambda share: None
) -> TakePredictions:
    """Let a model see a take as a live run shows it, and keep its answers.

    `advance` is called with the share of the video that is done, 0 to 1.

    Raises:
        SourceError: the video cannot be read.
    """
    card = session.card
    assert isinstance(card.sequence, VideoSequence), "still images have no takes"
    recorder = _Recorder(card.decision, card.labels, window_lag(card.sequence))
    seconds = 0.0
    with open_path(take.video) as source:
        way = VideoPipeline(session, card.sequence, source, None, _NO_AGE, monotonic, recorder)
        for frame in preprocessed_frames(way, source):
            assert isinstance(frame, Frame), "a file has no states"
            frames = way.model_input(frame)
            if frames is not None:
                (answer,) = run_batch(session, [(way.stream, frames)])
                way.handle_output(frame, answer, inferred=True)
            else:
                way.handle_output(frame, None, inferred=False)
            seconds = frame.time
            if isinstance(source, VideoFile) and source.claimed:
                advance(min(1.0, source.decoded / source.claimed))
        incomplete = source.incomplete
    truth = tuple(true for true in take.truth if true.label != card.decision.background)
    return TakePredictions(str(take.video), tuple(recorder.answers), truth, seconds, incomplete)


class _Recorder(Decider):
    """Record the input of a decider without deciding."""

    def __init__(self, decision: Decision, labels: Sequence[str], lag: float) -> None:
        super().__init__(decision, labels, lag)
        self.answers: list[tuple[float, NDArray[np.float64] | None]] = []

    def step(self, time: float, probabilities: ArrayLike) -> EventUpdate:
        """Record the probabilities."""
        self.answers.append((time, np.asarray(probabilities, np.float64)))
        return NOTHING

    def close(self, time: float) -> EventUpdate:
        """Keep that the past ends here."""
        self.answers.append((time, None))
        return NOTHING
