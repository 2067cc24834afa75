"""Augmenters as steps: geometry as one matrix, values as one table, noise, or imgaug itself."""

import functools
import math
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision.compat import iaa, imgaug
from seqvision.data.augment.pixels import (
    IDENTITY,
    ClipEdit,
    Drawn,
    Edge,
    Frames,
    Matrix,
    Step,
    drawn,
    mirror_matrix,
    multiply,
    seeded,
)
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

_AFFINE = (
    iaa.Affine, iaa.Rotate, iaa.ScaleX, iaa.ScaleY, iaa.ShearX, iaa.ShearY, iaa.TranslateX,
    iaa.TranslateY,
)  # fmt: skip
_BORDERS = {
    "constant": cv2.BORDER_CONSTANT,
    "edge": cv2.BORDER_REPLICATE,
    "symmetric": cv2.BORDER_REFLECT,
    "reflect": cv2.BORDER_REFLECT_101,
    "wrap": cv2.BORDER_WRAP,
    "replicate": cv2.BORDER_REPLICATE,
}
_ORDERS = {0: cv2.INTER_NEAREST, 1: cv2.INTER_LINEAR, 3: cv2.INTER_CUBIC}

_RAMP = np.arange(256, dtype=np.uint8)
_COLUMN = np.arange(256, dtype=np.float32)[:, None]

# Each lookup table is what imgaug makes of a ramp.
_POINTWISE = (
    iaa.Invert, iaa.Solarize, iaa.pillike.Solarize, iaa.pillike.EnhanceBrightness,
)  # fmt: skip
_CONTRAST = (iaa.GammaContrast, iaa.LinearContrast, iaa.LogContrast, iaa.SigmoidContrast)
_GREY = np.array([0.299, 0.587, 0.114], np.float32)

_BANK = 1 << 17


def per_clip(augmenter: Any, needs_colour: bool) -> Step:
    """Return the step of one augmenter, the same for all frames."""
    if type(augmenter) in (iaa.Identity, iaa.Noop):
        return lambda work: None
    step = warp_step(augmenter) or table_step(augmenter) or _blur_step(augmenter)
    if step is not None:
        return step
    if type(augmenter) in _COLOUR:
        return lambda work: _as_tall_image(augmenter, work, needs_colour)

    def repeated(work: ClipEdit) -> None:
        frames = _coloured(work.frames(), needs_colour)
        with seeded(augmenter, work.random.getrandbits(31)):
            fixed = augmenter.to_deterministic()
            # Not `augment_images`: a deterministic augmenter draws anew for each image of a list.
            varied = [fixed.augment_image(frame) for frame in frames]
        work.replace(_like(varied, work, augmenter))

    return repeated


def per_frame(augmenter: Any, needs_colour: bool) -> Step:
    """Return the step of one augmenter, another draw for every frame."""
    kind = type(augmenter)
    if (noise := noise_step(augmenter)) is not None:
        return noise
    if kind in _NOISE:
        return lambda work: _as_tall_image(augmenter, work, needs_colour)
    per_frame = per_clip(augmenter, needs_colour)

    def each(work: ClipEdit) -> None:
        parts = []
        for frame in work.frames():
            part = ClipEdit(frame[None], work.random)
            per_frame(part)
            parts.append(part.frames())
        work.replace(np.concatenate(parts))

    return each


def _blur_step(augmenter: Any) -> Step | None:
    if type(augmenter) is not iaa.GaussianBlur:
        return None
    sigma = drawn(augmenter.sigma)

    def step(work: ClipEdit) -> None:
        width = sigma(work.random)
        frames = [iaa.blur_gaussian_(frame.copy(), width) for frame in work.frames()]
        work.replace(np.stack(frames).reshape(work.shape))

    return step


def _as_tall_image(augmenter: Any, work: ClipEdit, needs_colour: bool) -> None:
    frames = np.ascontiguousarray(_coloured(work.frames(), needs_colour))
    time, height, width, channels = frames.shape
    with seeded(augmenter, work.random.getrandbits(31)):
        varied = augmenter.augment_image(frames.reshape(time * height, width, channels))
    work.replace(_like(np.split(varied, time), work, augmenter))


def _coloured(frames: Frames, needs_colour: bool) -> Frames:
    is_grey = frames.shape[3] == 1
    return np.repeat(frames, 3, axis=3) if needs_colour and is_grey else frames


def _like(varied: list[Frames], work: ClipEdit, augmenter: Any) -> Frames:
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


def warp_step(augmenter: Any) -> Step | None:
    """Return the augmenter as a matrix, or None where it is not one."""
    kind = type(augmenter)
    if kind in _AFFINE and _is_for_opencv(augmenter):
        return _affine(augmenter)
    if kind in (iaa.Fliplr, iaa.Flipud):
        return _mirror(augmenter, horizontal=kind is iaa.Fliplr)
    if kind is iaa.PerspectiveTransform and augmenter.keep_size and not augmenter.fit_output:
        return _perspective(augmenter)
    return None


def _is_for_opencv(augmenter: Any) -> bool:
    order = augmenter.order
    orders = getattr(order, "a", [getattr(order, "value", None)])
    plain = not augmenter.fit_output and augmenter.backend != "skimage"
    return plain and all(order in _ORDERS for order in orders)


def affine_matrix(
    height: int,
    width: int,
    scale: tuple[float, float] = (1.0, 1.0),
    shift: tuple[float, float] = (0.0, 0.0),
    rotate: float = 0.0,
    shear: tuple[float, float] = (0.0, 0.0),
) -> Matrix:
    """Return the matrix of imgaug's Affine: shear along y, along x, scale, rotate, shift.

    Args:
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        scale: factors along x and y.
        shift: to the right and down, in pixels.
        rotate: clockwise, in degrees, about the frame's centre.
        shear: along x and y, in degrees.
    """
    turn = math.radians(rotate)
    cos, sin = math.cos(turn), math.sin(turn)
    along_x, along_y = math.tan(math.radians(shear[0])), math.tan(math.radians(shear[1]))
    a, b = scale[0] * cos, -scale[1] * (along_x * cos + sin)
    d, e = scale[0] * sin, -scale[1] * (along_x * sin - cos)
    a, d = a + b * along_y, d + e * along_y
    x, y = width / 2 - 0.5, height / 2 - 0.5
    return (
        (a, b, x + shift[0] - a * x - b * y),
        (d, e, y + shift[1] - d * x - e * y),
        IDENTITY[2],
    )


def _affine(augmenter: Any) -> Step:
    scale = _pair(augmenter.scale)
    shift = _pair(augmenter.translate[:2] if augmenter.translate[1] else augmenter.translate[0])
    is_share = augmenter.translate[2] == "percent"
    shear = _pair(augmenter.shear)
    if type(augmenter.shear) is imgaug.parameters.Deterministic:
        # A plain number shears along x alone.
        along_x = drawn(augmenter.shear)
        shear = lambda random: (along_x(random), 0.0)  # noqa: E731
    rotate, edge = drawn(augmenter.rotate), _edge(augmenter)

    def step(work: ClipEdit) -> None:
        random = work.random
        _, height, width, _ = work.shape
        x, y = shift(random)
        moved = (x * width, y * height) if is_share else (x, y)
        turn = rotate(random)
        matrix = affine_matrix(height, width, scale(random), moved, turn, shear(random))
        work.warp(matrix, edge(random))

    return step


def _mirror(augmenter: Any, horizontal: bool) -> Step:
    p = drawn(augmenter.p)

    def step(work: ClipEdit) -> None:
        if p(work.random) >= 0.5:
            _, height, width, _ = work.shape
            upside_down: Matrix = (IDENTITY[0], (0.0, -1.0, height - 1.0), IDENTITY[2])
            work.warp(mirror_matrix(width) if horizontal else upside_down)

    return step


def _perspective(augmenter: Any) -> Step:
    spread, edge = drawn(augmenter.scale), _edge(augmenter)

    def step(work: ClipEdit) -> None:
        random = work.random
        _, height, width, _ = work.shape
        deviation = spread(random)
        jitter = [[abs(random.gauss(0.0, deviation)) % 1 for _ in "xy"] for _ in range(4)]
        matrix = perspective_matrix(height, width, jitter)
        if matrix is not None:
            work.warp(matrix, edge(random))

    return step


def perspective_matrix(height: int, width: int, jitter: list[list[float]]) -> Matrix | None:
    """Return the matrix of imgaug's PerspectiveTransform, back at the frame's size.

    Args:
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        jitter: how far each corner moves inwards along x and y, as a share, clockwise from the top
            left.

    Returns:
        None where less than two pixels would be left.
    """
    ends = ((0, 0), (1, 0), (1, 1), (0, 1))
    points = [
        (abs(x - dx) * width, abs(y - dy) * height)
        for (x, y), (dx, dy) in zip(ends, jitter, strict=True)
    ]
    # Corners that crossed are taken in the order in which they now stand.
    left_top, right_bottom = min(points, key=sum), max(points, key=sum)
    right_top = min(points, key=lambda point: point[1] - point[0])
    left_bottom = max(points, key=lambda point: point[1] - point[0])
    wide = int(max(math.dist(left_top, right_top), math.dist(left_bottom, right_bottom)))
    high = int(max(math.dist(right_top, right_bottom), math.dist(left_top, left_bottom)))
    if wide < 2 or high < 2:
        return None
    seen = np.float32([left_top, right_top, right_bottom, left_bottom])  # type: ignore[arg-type]
    target = np.float32([(0, 0), (wide, 0), (wide, high), (0, high)])  # type: ignore[arg-type]
    rows = cv2.getPerspectiveTransform(seen, target).tolist()
    across, down = width / wide, height / high
    resize: Matrix = (
        (across, 0.0, across / 2 - 0.5),
        (0.0, down, down / 2 - 0.5),
        IDENTITY[2],
    )
    return multiply(resize, (tuple(rows[0]), tuple(rows[1]), tuple(rows[2])))


def _pair(parameter: Any) -> Drawn:
    """Draw x and y, each for itself; a parameter that is not a pair is one draw for both."""
    if isinstance(parameter, tuple):
        x, y = drawn(parameter[0]), drawn(parameter[1])
        return lambda random: (x(random), y(random))
    both = drawn(parameter)
    return lambda random: (both(random),) * 2


def _edge(augmenter: Any) -> Callable[[Random], Edge]:
    mode, fill = drawn(augmenter.mode), drawn(augmenter.cval)
    order = drawn(augmenter.order) if hasattr(augmenter, "order") else lambda random: 1

    def edge(random: Random) -> Edge:
        named = mode(random)
        # Perspective's mode may also be OpenCV's own number.
        border = _BORDERS[named] if isinstance(named, str) else int(named)
        flags = _ORDERS[order(random)]
        if border != cv2.BORDER_CONSTANT:
            return Edge(border, flags=flags)
        return Edge(border, (*(float(int(fill(random))) for _ in "rgb"), 0.0), flags)

    return edge


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
        return _measured_table(augmenter)
    if kind is iaa.Grayscale and augmenter.from_colorspace == iaa.CSPACE_RGB:
        return _grayscale(augmenter)
    return None


def _per_channel(augmenter: Any, parameters: list[Any], table: Callable[..., Any]) -> Step:
    """Draw one table for all channels, or, with the probability `per_channel`, one for each."""
    each = drawn(augmenter.per_channel)
    draws = [drawn(parameter) for parameter in parameters]

    def step(work: ClipEdit) -> None:
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


def _measured_table(augmenter: Any) -> Step:
    def step(work: ClipEdit) -> None:
        channels = work.shape[3]
        ramp = np.repeat(_RAMP[None, :, None], channels, axis=2)
        with seeded(augmenter, work.random.getrandbits(31)):
            table = augmenter.augment_image(ramp)[0]
        work.look_up(table if channels > 1 else table[:, 0])

    return step


def _grayscale(augmenter: Any) -> Step:
    alpha = drawn(augmenter.alpha)

    def step(work: ClipEdit) -> None:
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

    def step(work: ClipEdit) -> None:
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
    frame takes a piece with its own offset.  What is above 0 and what is below are
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
