"""Gaussian noise for every frame, from a bank that is drawn once per process."""

import functools
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.compat import iaa, imgaug
from seqvision.data.augment.draw import drawn
from seqvision.data.augment.pixels import Frames
from seqvision.data.augment.work import Step, Work
from seqvision_edge.opencv import cv2

_BANK = 1 << 17


def noise_step(augmenter: Any) -> Step | None:
    """Return the augmenter as noise from the bank, or None where it is not Gaussian noise.

    The strength is drawn once: a sensor does not change it from frame to frame.  The pattern is
    another one in every frame.
    """
    if type(augmenter) is not iaa.AdditiveGaussianNoise:
        return None
    assert type(augmenter.value) is imgaug.parameters.Normal
    each, loc = drawn(augmenter.per_channel), drawn(augmenter.value.loc)
    scale = drawn(augmenter.value.scale)

    def step(work: Work) -> None:
        random = work.random
        is_colour = each(random) > 0.5
        mean, deviation = loc(random), scale(random)
        if deviation == 0 and mean == 0:
            return
        noise = mean, deviation, is_colour
        work.replace(add_noise(work.frames(), *noise, random, work.room()))

    return step


def add_noise(
    frames: Frames, mean: float, deviation: float, is_colour: bool, random: Random, noisy: Frames
) -> Frames:
    """Add Gaussian noise to each frame `(time, height, width, channels)`; return `noisy`.

    `noisy` takes the result; it may be the frames themselves.

    A part of the bank is brought to the mean and deviation once, twice as large as a frame; each
    frame takes the piece that begins at a place of its own.  What is above 0 and what is below are
    added and subtracted as bytes: OpenCV does that three times as fast as adding floats.
    """
    time, height, width, channels = frames.shape
    per_pixel = channels if is_colour else 1
    spread = height * width * (0 if time == 1 else 1)
    above, below = _part(height * width + spread, per_pixel, mean, deviation, random)
    if per_pixel < channels:
        above, below = (cv2.merge([part] * channels) for part in (above, below))
    for source, target in zip(frames, noisy, strict=True):
        begin = int(random.random() * (spread + 1)) * channels
        piece = slice(begin, begin + source.size)
        cv2.add(source, above.reshape(-1)[piece].reshape(source.shape), dst=target)
        cv2.subtract(target, below.reshape(-1)[piece].reshape(source.shape), dst=target)
    return noisy


def _part(
    pixels: int, per_pixel: int, mean: float, deviation: float, random: Random
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return noise for `(pixels, 1, per_pixel)`: what is above 0, and what is below, as bytes."""
    count = pixels * per_pixel
    bank = _bank(max(_BANK, 2 * count))
    begin = int(random.random() * (len(bank) - count))
    part = bank[begin : begin + count].reshape(pixels, 1, per_pixel)
    above, below = np.empty((2, pixels, 1, per_pixel), np.uint8)
    for sign, target in ((1, above), (-1, below)):
        cv2.addWeighted(part, sign * deviation, part, 0, sign * mean, dst=target, dtype=cv2.CV_8U)
    return above, below


@functools.cache
def _bank(size: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(size, np.float32)
