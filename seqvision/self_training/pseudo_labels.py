"""A teacher's calibrated answers on clips, and which of them become labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from seqvision.calibration.temperature import Logits, fit_temperature, probable
from seqvision.config import SelfTrainOptions
from seqvision.console import progress
from seqvision.data.augment import Augmenter
from seqvision.data.dataset import ClipDataset, EpochSampler, collate
from seqvision.data.decode import Decoded
from seqvision.evaluation import predict_probabilities
from seqvision.metrics import Metrics, before_temperature, measure
from seqvision.models.classifier import Classifier
from seqvision.training.data import Data
from seqvision_edge.card import ModelCard


@dataclass(frozen=True)
class TeacherPredictions:
    """Pseudo-labels of clips.

    Attributes:
        labels: `(clips,)` index of the most probable label.
        confidence: `(clips,)` its calibrated probability.
        agreement: `(clips,)` share of the varied views with the same prediction; 1 where
            there are none.
    """

    labels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    agreement: NDArray[np.float64]


def calibrate_teacher(
    model: Classifier, card: ModelCard, labelled: Data, batch_size: int
) -> tuple[float, Metrics]:
    """Return the temperature that suits the validation clips, and the figures under it.

    Networks are surer than they are right (Guo et al. 2017): without it, of what a threshold of 0.9
    takes far fewer than nine in ten are right.
    """
    decoded, truth = labelled.part(labelled.split.val)
    logits = _logits(model, card, decoded, batch_size)
    temperature = fit_temperature(logits, np.asarray(truth, np.int64))
    probabilities = torch.from_numpy(probable(logits, temperature))
    return temperature, measure(probabilities, torch.tensor(truth), labelled.labels)


def predict_pool(
    model: Classifier,
    card: ModelCard,
    clips: Sequence[Decoded],
    temperature: float,
    augmenter: Augmenter | None,
    views: int,
    seed: int,
    batch_size: int,
) -> TeacherPredictions:
    """Return pseudo-labels of clips, predicted without augmentation and dropout.

    Noise is the student's (Xie et al. 2020).  `views` varied copies of each clip only show whether
    the answer holds: one that a small change of the clip turns is not to be believed, however
    probable it is.  A view that a mirror gave another label must be given that one.

    Args:
        augmenter: what varies a clip; None: nothing does, and no view is made.
        seed: what the variations depend on.
    """
    probabilities = probable(_logits(model, card, clips, batch_size), temperature)
    labels = probabilities.argmax(axis=1)
    agreement = np.ones(len(clips))
    if augmenter is not None and views:
        data = ClipDataset(clips, labels.tolist(), card.image, card.sequence, augmenter, seed)
        agreement = _agreement(model, data, views, batch_size)
    return TeacherPredictions(labels, probabilities.max(axis=1), agreement)


def _logits(
    model: Classifier, card: ModelCard, clips: Sequence[Decoded], batch_size: int
) -> Logits:
    """Return `(clips, labels)`, before any temperature; softmax forgets what they lack."""
    predicted = predict_probabilities(model, card, clips, batch_size)
    logits: Logits = before_temperature(predicted, card.decision.temperature).log().numpy()
    return logits


@torch.inference_mode()
def _agreement(
    model: Classifier, data: ClipDataset, views: int, batch_size: int
) -> NDArray[np.float64]:
    """Return the share of the varied views of each clip whose answer is the one expected."""
    device = next(model.parameters()).device
    same = np.zeros(len(data))
    model.eval()
    with progress("comparing views") as advance:
        for view in range(views):
            order = EpochSampler(data, data.seed, shuffle=False)
            order.set_epoch(view)
            done = 0
            for batch in DataLoader(data, batch_size, sampler=order, collate_fn=collate):
                answers = model(batch.inputs.to(device), batch.padded).argmax(dim=1).cpu()
                end = done + len(batch.labels)
                same[done:end] += (answers == batch.labels).numpy()
                done = end
                advance(view * len(data) + done, views * len(data))
    return same / views


def choose_confident(
    answers: TeacherPredictions, options: SelfTrainOptions, learnt: Sequence[int], labels: int
) -> NDArray[np.bool_]:
    """Return which clips get their pseudo-label (Lee 2013): `(clips,)`.

    Every view must agree.  `fixed`: what is as sure as the threshold.  `balanced`: as many clips in
    all, but of each label in its share of the labelled clips, the surest first (class-balanced
    self-training, Zou et al. 2018): otherwise easy labels crowd out the hard ones, round by round.
    So a label that is rarely sure has a lower threshold of its own, down to the floor, and one that
    often is has a higher one.

    Args:
        learnt: label indices of the labelled clips that train.
        labels: how many labels there are.
    """
    steady = answers.agreement >= 1
    sure = steady & (answers.confidence >= options.threshold)
    if options.select == "fixed":
        return sure
    candidates = steady & (answers.confidence >= min(options.floor, options.threshold))
    shares = np.bincount(np.asarray(learnt), minlength=labels) / max(1, len(learnt))
    chosen = np.zeros(len(sure), bool)
    for label, quota in enumerate(_quotas(int(sure.sum()), shares)):
        own = np.flatnonzero(candidates & (answers.labels == label))
        surest = own[np.argsort(-answers.confidence[own], kind="stable")]
        chosen[surest[:quota]] = True
    return chosen


def thresholds(
    answers: TeacherPredictions, chosen: NDArray[np.bool_], labels: int
) -> list[float | None]:
    """Return the least probability that was chosen of each label; None where nothing was."""
    found: list[float | None] = []
    for label in range(labels):
        own = answers.confidence[chosen & (answers.labels == label)]
        found.append(float(own.min()) if len(own) else None)
    return found


def _quotas(total: int, shares: NDArray[np.float64]) -> list[int]:
    """Divide a number in shares, the largest remainders first."""
    exact = total * shares
    quotas = np.floor(exact).astype(int)
    rest = total - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return quotas.tolist()
