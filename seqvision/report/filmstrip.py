"""Clips as strips of small pictures: what the model saw, what it answered, where it looked."""

import base64

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from seqvision.data.decode import Decoded
from seqvision.models.classifier import Classifier
from seqvision.report.contents import ReportContents, SplitResult
from seqvision.report.html import element
from seqvision.report.svg_charts import bars, vector_curves
from seqvision_edge.card import ModelCard, TimedSequence
from seqvision_edge.landmarks import draw_skeletons, layout_of, skeletons_in
from seqvision_edge.opencv import cv2
from seqvision_edge.sampling import Steps, centre

FRAMES = 8
_SIDE = 64
# A hand is a small part of a picture.
_LARGER_FRAMES, _LARGER_SIDE = 4, 240
_WIDEST = 320
_QUALITY = 60


def seen(clip: Decoded, card: ModelCard) -> Steps:
    """Return the steps that the model reads, `(time, height, width, channels)`."""
    return centre(clip, card.image, card.sequence)


def filmstrip(
    report: ReportContents, part: SplitResult, index: int, with_attention: bool = False
) -> Markup:
    """Return one clip as a figure: pictures, labels, probabilities, file.

    A still image is shown whole: its steps may be single rows.
    """
    card, clip = report.card, part.decoded[index]
    steps = seen(clip, card)
    if card.vectors is not None:
        return _figure(report, part, index, vector_curves(steps, card.vectors.names), steps,
                       with_attention)  # fmt: skip
    is_video = isinstance(card.sequence, TimedSequence)
    picture = _strip(steps, report) if is_video else _small(clip.frames[0], _WIDEST)
    image = element("img", src=_jpeg(picture), alt="frames of the clip" if is_video else "image")
    kind = "strip" if is_video else "strip still"
    return _figure(report, part, index, image, steps, with_attention, kind)


def _figure(
    report: ReportContents,
    part: SplitResult,
    index: int,
    image: Markup,
    steps: Steps,
    with_attention: bool,
    kind: str = "strip",
) -> Markup:
    """Return a picture of a clip with its labels, and the weights of its steps above it."""
    weights = attention(report.model, steps) if with_attention else None
    chart = bars(weights.tolist()) if weights is not None else ""
    where = element("span", report.shown(part.clips[index]), class_="path")
    words = [_answer(part, index, report.card.labels), element("br"), where]
    if weights is not None:
        words[1:1] = [_most_weight(weights)]
    return element("figure", chart, image, element("figcaption", *words), class_=kind)


@torch.inference_mode()
def attention(model: Classifier, steps: Steps) -> NDArray[np.float32] | None:
    """Return how much the model's pooling counts each step, `(time,)`; None without pooling."""
    device = next(model.parameters()).device
    weights = model.eval().attention(torch.from_numpy(steps)[None].to(device))
    return None if weights is None else weights[0].float().cpu().numpy()


def _answer(part: SplitResult, index: int, labels: tuple[str, ...]) -> Markup:
    truth, answer = int(part.truth[index]), int(part.answers[index])
    confidence, true = (float(part.probabilities[index, label]) for label in (answer, truth))
    if truth == answer:
        return element("span", element("b", labels[truth]), f" answered so, with {confidence:.2f}")
    wrong = element("b", labels[answer], class_="mistaken")
    rest = f" {confidence:.2f} (true label {true:.2f})"
    return element("span", element("b", labels[truth]), " answered as ", wrong, rest)


def _most_weight(weights: NDArray[np.float32]) -> Markup:
    step = int(weights.argmax())
    text = f"; most weight, {weights[step]:.2f}, at step {step + 1} of {len(weights)}"
    return element("span", text)


def _strip(steps: NDArray[np.uint8], report: ReportContents) -> NDArray[np.uint8]:
    """Return up to eight steps side by side, each where it stands in time, as BGR or grey.

    Of a model of landmarks four larger ones, with its skeletons.
    """
    count = min(_LARGER_FRAMES if layout_of(report.card) else FRAMES, len(steps))
    chosen = steps[((np.arange(count) + 0.5) * len(steps) / count).astype(int)]
    if layout_of(report.card) is None:
        return np.concatenate([_small(step, _SIDE) for step in chosen], axis=1)
    pictures = [np.ascontiguousarray(_small(step, _LARGER_SIDE)) for step in chosen]
    spec = report.card.image.model_copy(update={"fit": "stretch"})  # a step is the whole picture
    for picture, features in zip(pictures, _landmarks(report.model, chosen), strict=True):
        size = picture.shape[1], picture.shape[0]
        draw_skeletons(picture, skeletons_in(features, spec, size))
    return np.concatenate(pictures, axis=1)


@torch.inference_mode()
def _landmarks(model: Classifier, steps: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the features of steps, `(time, features)`."""
    device = next(model.parameters()).device
    features = model.eval().encode(torch.from_numpy(np.ascontiguousarray(steps))[None].to(device))
    return features[0].float().cpu().numpy()


def _small(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return an RGB or grey image as BGR or grey, its longer side at most `side`."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small if small.ndim == 2 else small[:, :, ::-1]


def _jpeg(image: NDArray[np.uint8]) -> str:
    good, data = cv2.imencode(
        ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    assert good, "OpenCV writes JPEG"
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
