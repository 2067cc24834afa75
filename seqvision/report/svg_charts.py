"""Drawings of the page as inline SVG; their colours are the page's, light or dark."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil, floor, isfinite, log10

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from seqvision.metrics import Calibration
from seqvision.report.html import element
from seqvision.statistics import Interval

Points = Sequence[tuple[float, float]]
Scale = Callable[[float], float]

_WIDTH, _HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 10, 34
_MOST_DOTS = 40


def curves(series: Mapping[str, Points], top: float | None, best: int | None) -> Markup:
    """Draw figures over epochs, from 0 upwards.

    Args:
        series: `train` and `val`, or one of them, with `(epoch, value)` each.
        top: upper end of the axis; None fits the values.
        best: the epoch that was kept.
    """
    kept = {name: [(x, y) for x, y in points if isfinite(y)] for name, points in series.items()}
    every = [point for points in kept.values() for point in points]
    last = max((x for x, _ in every), default=0)
    highest = top or max((y for _, y in every), default=0) * 1.05 or 1
    across = _scale(0, max(last, 1), _LEFT, _WIDTH - _RIGHT)
    up = _scale(0, highest, _HEIGHT - _BOTTOM, _TOP)
    drawn = [_frame(across, up, _ticks(max(last, 1), whole=True), _ticks(highest), "epoch")]
    if best is not None:
        x = across(best)
        drawn.append(_line(x, up(0), x, up(highest), "best"))
    for name, points in kept.items():
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        drawn.append(element("polyline", points=path, class_=f"curve {name}"))
        drawn += (
            element(
                "circle",
                element("title", f"{name}, epoch {x:g}: {y:.4g}"),
                cx=f"{across(x):.1f}", cy=f"{up(y):.1f}", r=2.2, class_=name,
            )
            for x, y in (points if len(points) <= _MOST_DOTS else points[-1:])
        )  # fmt: skip
    return _svg(f"{' and '.join(series)} by epoch", _WIDTH, _HEIGHT, *drawn)


# Curves of one clip: more would hide each other.
MOST_FEATURES = 6
_CLIP_WIDTH, _CLIP_HEIGHT = 400, 110


def vector_curves(steps: NDArray[np.float32], names: Sequence[str] | None) -> Markup:
    """Draw the features of a clip that change most, each in deviations from its own mean.

    Args:
        steps: `(time, features)`; where a value is missing a curve has a gap.
        names: of the features, for the title of each curve.
    """
    # Where nothing is known there is no mean.
    known = ~np.isnan(steps)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, steps, 0).sum(axis=0) / count
    spread = np.sqrt(np.where(known, (steps - mean) ** 2, 0).sum(axis=0) / count)
    chosen = sorted(np.argsort(-spread, kind="stable")[:MOST_FEATURES].tolist())
    drawn = []
    for number, feature in enumerate(chosen):
        values = (steps[:, feature] - mean[feature]) / (spread[feature] or 1)
        name = names[feature] if names is not None else f"feature {feature + 1}"
        ink = f"hsl({round(360 * number / len(chosen))} 65% 50%)"
        drawn += [
            element("polyline", element("title", name), points=points, class_="feature", stroke=ink)
            for points in _unbroken(values)
        ]
    return _svg("features over time", _CLIP_WIDTH, _CLIP_HEIGHT, *drawn)


def _unbroken(values: NDArray[np.float32]) -> Iterator[str]:
    """Yield the points of a curve between its gaps, in units of the drawing."""
    across = (_CLIP_WIDTH - 4) / max(1, len(values) - 1)
    heights = _CLIP_HEIGHT / 2 - values.clip(-3, 3) * (_CLIP_HEIGHT / 2 - 4) / 3
    points: list[str] = []
    for index, height in enumerate(heights.tolist()):
        if isfinite(height):
            points.append(f"{2 + index * across:.1f},{height:.1f}")
        elif points:
            yield " ".join(points)
            points = []
    if points:
        yield " ".join(points)


def reliability(calibration: Calibration) -> Markup:
    """Draw a reliability diagram (Guo et al. 2017), with the clips per bin below."""
    side, strip = 300, 46
    width, height = _LEFT + side + _RIGHT, side + strip + 56
    across = _scale(0, 1, _LEFT, _LEFT + side)
    up = _scale(0, 1, _TOP + side, _TOP)
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    drawn = [_frame(across, up, [], ticks, "")]
    most = max(bin_.clips for bin_ in calibration.bins)
    floor_ = height - _BOTTOM
    step = side / len(calibration.bins)
    for index, bin_ in enumerate(calibration.bins):
        if not bin_.clips:
            continue
        x, bar = _LEFT + index * step + 1, step - 2
        title = element(
            "title",
            f"{bin_.clips} clips: probability {bin_.confidence:.2f}, right {bin_.accuracy:.2f}",
        )
        tall, middle = strip * bin_.clips / most, x + bar / 2
        drawn += (
            _box(x, up(bin_.accuracy), bar, up(0) - up(bin_.accuracy), "bar", title),
            _line(middle, up(bin_.confidence), middle, up(bin_.accuracy), "gap"),
            _line(x, up(bin_.confidence), x + bar, up(bin_.confidence), "gap"),
            _box(x, floor_ - tall, bar, tall, "count", title),
        )
    drawn.append(_line(across(0), up(0), across(1), up(1), "ideal"))
    drawn.append(_line(across(0), floor_, across(1), floor_, "axis"))
    drawn += (_text(across(x), floor_ + 14, f"{x:g}", "middle") for x in ticks)
    drawn.append(_text(across(0.5), height - 4, "probability of the answer", "middle"))
    drawn.append(_text(_LEFT + 6, _TOP + 14, "share that is right", "start"))
    drawn.append(_text(_LEFT - 6, floor_ - strip / 2 + 4, "clips", "end"))
    caption = "share that is right, by the probability of the answer"
    return _svg(caption, width, height, *drawn, class_="reliability")


def whisker(value: float, interval: Interval) -> Markup:
    """Draw a share with its interval on a line from 0 to 1."""
    across = _scale(0, 1, 4, 116)
    parts = [_line(across(x), 3, across(x), 13, "grid") for x in (0, 0.5, 1)]
    parts.append(_line(across(interval.low), 8, across(interval.high), 8, "reach"))
    parts.append(element("circle", cx=f"{across(value):.1f}", cy=8, r=3.5, class_="val"))
    caption = f"{value:.2f}, interval {interval.low:.2f} to {interval.high:.2f}"
    return _svg(caption, 120, 16, *parts, class_="whisker")


def bars(weights: Sequence[float]) -> Markup:
    """Draw a bar for each step, the largest as high as there is room; the width is the strip's."""
    most = max(weights)
    drawn = (
        element(
            "rect", element("title", f"step {step + 1}: {weight:.3f}"),
            x=f"{step + 0.1:.1f}", y=f"{1 - weight / most:.3f}", width=0.8,
            height=f"{weight / most:.3f}",
        )
        for step, weight in enumerate(weights)
    )  # fmt: skip
    return element(
        "svg", *drawn, viewBox=f"0 0 {len(weights)} 1", preserveAspectRatio="none", class_="weights"
    )


def _frame(
    across: Scale, up: Scale, xs: Sequence[float], ys: Sequence[float], below: str
) -> Markup:
    """Return axes with their ticks."""
    left, right = across(0), _WIDTH - _RIGHT if xs else across(1)
    drawn = []
    for y in ys:
        drawn.append(_line(left, up(y), right, up(y), "grid"))
        drawn.append(_text(left - 6, up(y) + 4, f"{y:g}", "end"))
    drawn += (_text(across(x), up(0) + 15, f"{x:g}", "middle") for x in xs)
    if below:
        drawn.append(_text(_WIDTH - _RIGHT, up(0) + 29, below, "end"))
    return element("g", *drawn)


def _ticks(highest: float, whole: bool = False) -> list[float]:
    """Return about five round numbers from 0 to `highest`."""
    rough = highest / 4
    magnitude = 10 ** floor(log10(rough))
    step = min((m * magnitude for m in (1, 2, 2.5, 5, 10)), key=lambda step: abs(step - rough))
    if whole:
        step = max(1, ceil(step))
    return [round(number * step, 12) for number in range(floor(highest / step + 1e-9) + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    return element("line", **{key: f"{at:.1f}" for key, at in ends.items()}, class_=kind)


def _box(x: float, y: float, width: float, height: float, kind: str, title: Markup) -> Markup:
    sides = {"x": x, "y": y, "width": width, "height": height}
    return element("rect", title, **{key: f"{at:.1f}" for key, at in sides.items()}, class_=kind)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return element("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _svg(
    caption: str, width: float, height: float, *drawn: Markup, class_: str = "chart"
) -> Markup:
    """Return a drawing; `caption` describes it for screen readers."""
    box = f"0 0 {width} {height}"
    return element("svg", *drawn, viewBox=box, class_=class_, role="img", aria_label=caption)
