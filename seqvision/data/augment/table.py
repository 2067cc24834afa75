"""Augmenters that change each pixel by its value alone, as one table of 256 entries per draw."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.compat import iaa
from seqvision.data.augment.draw import drawn, seeded
from seqvision.data.augment.work import Step, Work
from seqvision_edge.opencv import cv2

_RAMP = np.arange(256, dtype=np.uint8)
_COLUMN = np.arange(256, dtype=np.float32)[:, None]

# Each asks imgaug what it makes of a ramp.
_POINTWISE = (
    iaa.Invert, iaa.Solarize, iaa.pillike.Solarize, iaa.pillike.EnhanceBrightness,
)  # fmt: skip
_CONTRAST = (iaa.GammaContrast, iaa.LinearContrast, iaa.LogContrast, iaa.SigmoidContrast)
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


def table_step(augmenter: Any) -> Step | None:
    """Return the augmenter as a table or a colour matrix, or None where it is neither."""
    kind = type(augmenter)
    if kind is iaa.Multiply:
        return _per_channel(augmenter, [augmenter.mul], lambda mul: _COLUMN * np.float32(mul))
    if kind is iaa.Add:
        return _per_channel(augmenter, [augmenter.value], lambda add: _COLUMN + _rounded(add))
    if kind in _CONTRAST:
        return _per_channel(augmenter, augmenter.params1d, _contrast(augmenter.func))
    if kind in _POINTWISE:
        return _asked(augmenter)
    if kind is iaa.Grayscale and augmenter.from_colorspace == iaa.CSPACE_RGB:
        return _grayscale(augmenter)
    return None


def _per_channel(augmenter: Any, parameters: list[Any], table: Callable[..., Any]) -> Step:
    """Draw one table for all channels, or, as often as `per_channel` says, one for each."""
    each = drawn(augmenter.per_channel)
    draws = [drawn(parameter) for parameter in parameters]

    def step(work: Work) -> None:
        random = work.random
        count = work.shape[3] if each(random) > 0.5 else 1
        # A column of the table is a channel.
        values = [[draw(random) for _ in range(count)] for draw in draws]
        entries = table(*values).clip(0, 255).astype(np.uint8)
        work.look_up(entries if count > 1 else entries[:, 0])

    return step


def _rounded(values: list[float]) -> NDArray[np.float32]:
    return np.array([round(value) for value in values], np.float32)


def _contrast(adjust: Callable[..., NDArray[np.uint8]]) -> Callable[..., Any]:
    def table(*values: list[float]) -> NDArray[np.uint8]:
        return np.stack([adjust(_RAMP, *each) for each in zip(*values, strict=True)], axis=1)

    return table


def _asked(augmenter: Any) -> Step:
    def step(work: Work) -> None:
        channels = work.shape[3]
        ramp = np.repeat(_RAMP[None, :, None], channels, axis=2)
        with seeded(augmenter, work.random.getrandbits(31)):
            table = augmenter.augment_image(ramp)[0]
        work.look_up(table if channels > 1 else table[:, 0])

    return step


def _grayscale(augmenter: Any) -> Step:
    alpha = drawn(augmenter.alpha)

    def step(work: Work) -> None:
        share = alpha(work.random)
        time, height, width, channels = work.shape
        if channels == 1 or share == 0:
            return
        mix = np.eye(3, dtype=np.float32) * np.float32(1 - share) + np.float32(share) * _GREY
        frames, grey = np.ascontiguousarray(work.frames()), work.room()
        rows = (time * height, width, 3)
        cv2.transform(frames.reshape(rows), mix, dst=grey.reshape(rows))
        work.replace(grey)

    return step
