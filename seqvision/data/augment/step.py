"""Augmenters as imgaug runs them: one draw for all frames of a clip, or one for each."""

from typing import Any

import numpy as np

from seqvision.compat import iaa
from seqvision.data.augment.draw import drawn, seeded
from seqvision.data.augment.noise import noise_step
from seqvision.data.augment.pixels import Frames
from seqvision.data.augment.table import table_step
from seqvision.data.augment.warp import warp_step
from seqvision.data.augment.work import Step, Work
from seqvision.errors import DataError
from seqvision_edge.opencv import cv2

# A pixel's new colour depends on its old one and the draw: the frames may be one tall image.
_COLOUR = (
    iaa.AddToBrightness, iaa.AddToHue, iaa.AddToHueAndSaturation, iaa.AddToSaturation,
    iaa.ChangeColorspace, iaa.ChannelShuffle, iaa.Dropout2d, iaa.Grayscale,
    iaa.MultiplyAndAddToBrightness, iaa.MultiplyBrightness, iaa.MultiplyHue,
    iaa.MultiplyHueAndSaturation, iaa.MultiplySaturation, iaa.RemoveSaturation, iaa.TotalDropout,
    iaa.pillike.EnhanceColor,
)  # fmt: skip
# A new value for every pixel: on one tall image the strength is drawn once, the pattern is not.
_NOISE = (
    iaa.AddElementwise, iaa.AdditiveLaplaceNoise, iaa.AdditivePoissonNoise, iaa.Dropout,
    iaa.ImpulseNoise, iaa.MultiplyElementwise, iaa.Pepper, iaa.ReplaceElementwise, iaa.Salt,
    iaa.SaltAndPepper, iaa.AdditiveGaussianNoise,
)  # fmt: skip


def once(augmenter: Any, needs_colour: bool) -> Step:
    """Return the step of one augmenter, the same for all frames."""
    if type(augmenter) in (iaa.Identity, iaa.Noop):
        return lambda work: None
    step = warp_step(augmenter) or table_step(augmenter) or _blur_step(augmenter)
    if step is not None:
        return step
    if type(augmenter) in _COLOUR:
        return lambda work: _as_tall_image(augmenter, work, needs_colour)

    def repeated(work: Work) -> None:
        frames = _coloured(work.frames(), needs_colour)
        with seeded(augmenter, work.random.getrandbits(31)):
            fixed = augmenter.to_deterministic()
            # Not `augment_images`: a deterministic augmenter draws anew for each image of a list.
            varied = [fixed.augment_image(frame) for frame in frames]
        work.replace(_like(varied, work, augmenter))

    return repeated


def anew(augmenter: Any, needs_colour: bool) -> Step:
    """Return the step of one augmenter, another draw for every frame."""
    kind = type(augmenter)
    if (noise := noise_step(augmenter)) is not None:
        return noise
    if kind in _NOISE:
        return lambda work: _as_tall_image(augmenter, work, needs_colour)
    per_frame = once(augmenter, needs_colour)

    def each(work: Work) -> None:
        parts = []
        for frame in work.frames():
            part = Work(frame[None], work.random)
            per_frame(part)
            parts.append(part.frames())
        work.replace(np.concatenate(parts))

    return each


def _blur_step(augmenter: Any) -> Step | None:
    if type(augmenter) is not iaa.GaussianBlur:
        return None
    sigma = drawn(augmenter.sigma)

    def step(work: Work) -> None:
        width = sigma(work.random)
        frames = [iaa.blur_gaussian_(frame.copy(), width) for frame in work.frames()]
        work.replace(np.stack(frames).reshape(work.shape))

    return step


def _as_tall_image(augmenter: Any, work: Work, needs_colour: bool) -> None:
    frames = np.ascontiguousarray(_coloured(work.frames(), needs_colour))
    time, height, width, channels = frames.shape
    with seeded(augmenter, work.random.getrandbits(31)):
        varied = augmenter.augment_image(frames.reshape(time * height, width, channels))
    work.replace(_like(np.split(varied, time), work, augmenter))


def _coloured(frames: Frames, needs_colour: bool) -> Frames:
    is_grey = frames.shape[3] == 1
    return np.repeat(frames, 3, axis=3) if needs_colour and is_grey else frames


def _like(varied: list[Frames], work: Work, augmenter: Any) -> Frames:
    """Return varied frames with the channels that the clip has."""
    shape = work.shape[1:]
    if varied[0].shape == (*shape[:2], 3) and shape[2] == 1:
        varied = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[:, :, None] for frame in varied]
    for frame in varied:
        if frame.shape != shape or frame.dtype != np.uint8:
            raise DataError(
                f"{type(augmenter).__name__} made {frame.shape} {frame.dtype} of a frame of "
                f"{shape} uint8; an augmenter must keep the size"
            )
    return np.stack(varied)
