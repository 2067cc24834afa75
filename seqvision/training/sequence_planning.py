"""What one step is and how clips or images become sequences: options and data → card."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from seqvision.config import ClipOptions, TrainOptions
from seqvision.config.option_types import FROM_SCRATCH, LANDMARKS, is_onnx
from seqvision.data.clips import Clip
from seqvision.data.decode import Decoded, frame_shape
from seqvision.data.value_range import measure_range
from seqvision.errors import DataError
from seqvision_edge.card import (
    ChannelSequence,
    ImageSequence,
    ImageSpec,
    LengthSequence,
    PatchSequence,
    SequenceSpec,
    StripSequence,
    TimedSequence,
    VectorSequence,
    VideoSequence,
    WindowSequence,
    vector_step,
)
from seqvision_edge.errors import SourceError
from seqvision_edge.preprocess import ValueRange
from seqvision_edge.sampling import EARLY
from seqvision_edge.still_images import cut_steps
from seqvision_edge.vector_files import read_vectors

# What `--frames auto` takes where the clips are long enough ...
MOST_AUTO_FRAMES = 16
# ... and where most of them have to fit into the window.
_MOST_FRAMES_OF_WHOLE_CLIPS = 32
# A window of one frame reads no motion.
_LEAST_AUTO_FRAMES = 2
_VIDEO_SIZE = 112
# Of the sizes tried on clips of signs, hands are found best at 320 × 240.
_LANDMARKS_HEIGHT = 240
# A network from scratch has four strides of 2: a smaller frame leaves it no positions.
_LEAST_AUTO_VIDEO_SIZE = 32
_LARGEST_AUTO_SIZE = 224
_MOST_STEPS = 4096
_PEEKED = 64


def plan_sequence(options: TrainOptions, clips: Sequence[Clip]) -> tuple[ImageSpec, SequenceSpec]:
    """Return the size of a step and how steps come to be, as far as is known before decoding.

    Raises:
        DataError: the sizes do not go together, or no image can be read.
    """
    image, sequence = _sizes(options, clips)
    if options.clips.value_range == "auto" and not options.images.vectors:
        learnt = [clip for clip in clips if clip.split in (None, "train")] or clips
        image = image.model_copy(update={"value_range": measure_range(learnt)})
    return image, sequence


def _sizes(options: TrainOptions, clips: Sequence[Clip]) -> tuple[ImageSpec, SequenceSpec]:
    kind = options.images.sequence
    if kind == "vectors":
        return _vectors(options, clips)
    if kind == "video":
        fps = 1.0 if options.clips.fps == "auto" else options.clips.fps
        frames = MOST_AUTO_FRAMES if options.clips.frames == "auto" else options.clips.frames
        video = VideoSequence(kind="video", fps=fps, frames=frames)
        if options.model.encoder in LANDMARKS:
            return _whole_picture(options), video
        height, width = _video_size(options, clips)
        return _spec(options, height, width), video
    sizes = _peek(clips)
    wide = median(width / height for height, width in sizes) >= 1
    if kind in ("rows", "columns"):
        return _strips(options, sizes)
    if kind == "windows":
        return _windows(options, sizes, wide)
    size = _size(options, [min(pair) for pair in sizes])
    if kind == "patches":
        return _patches(options, size)
    spec = _spec(options, size, size).model_copy(update={"channels": 1})
    return spec, ChannelSequence(kind="channels")


def _vectors(options: TrainOptions, clips: Sequence[Clip]) -> tuple[ImageSpec, VectorSequence]:
    """Return what the first clip that can be read has; all others must have the same."""
    requested = options.clips
    for clip in clips:
        try:
            found = read_vectors(clip.path, clip.fps or requested.image_fps)
        except SourceError:
            continue
        features = found.values.shape[1]
        sequence = VectorSequence(
            kind="vectors",
            fps=1.0 if requested.fps == "auto" else requested.fps,
            frames=MOST_AUTO_FRAMES if requested.frames == "auto" else requested.frames,
            features=features,
            names=found.names,
            rate=found.fps,
        )
        return vector_step(features), sequence
    # Its own message is the best one.
    read_vectors(clips[0].path, requested.image_fps)
    raise DataError(f"{clips[0].path}: neither this nor the other clips can be read")


def _video_size(options: TrainOptions, clips: Sequence[Clip]) -> tuple[int, int]:
    """Return height and width of a frame.

    An ONNX encoder may be for one size.  A pretrained network keeps the size that its features are
    good at; one from scratch sees no more pixels than the clips have, in eighths.
    """
    if options.clips.size != "auto":
        return options.clips.size, options.clips.size
    if is_onnx(options.model.encoder):
        from seqvision.models.onnx_encoder import declared_image  # with torch

        declared = declared_image(Path(options.model.encoder))
        return declared.height or _VIDEO_SIZE, declared.width or _VIDEO_SIZE
    if options.model.encoder not in FROM_SCRATCH:
        return _VIDEO_SIZE, _VIDEO_SIZE
    own = median(math.sqrt(height * width) for height, width in _peek(clips))
    side = max(_LEAST_AUTO_VIDEO_SIZE, min(_VIDEO_SIZE, 8 * round(own / 8)))
    return side, side


def finalize_sequence(
    options: TrainOptions,
    image: ImageSpec,
    sequence: SequenceSpec,
    decoded: Sequence[Decoded],
    background: str | None,
) -> SequenceSpec:
    """Return the sequence with what only the decoded clips give: fps, frames, the most steps."""
    if isinstance(sequence, TimedSequence):
        lengths = [(len(clip.times), clip.seconds) for clip in decoded]
        if isinstance(sequence, VectorSequence):
            rates = [clip.source_fps for clip in decoded if clip.source_fps is not None]
            sequence = sequence.model_copy(update={"rate": round(median(rates), 6)})
        return settle_video(sequence, options.clips, lengths, background)
    if isinstance(sequence, LengthSequence) and options.images.max_steps == "auto":
        shapes = {clip.shape[1:] for clip in (item.frames for item in decoded)}
        longest = max(_count(shape, image, sequence) for shape in shapes)
        return sequence.model_copy(update={"steps": longest})
    return sequence


def settle_video(
    sequence: TimedSequence,
    options: ClipOptions,
    lengths: Sequence[tuple[int, float]],
    background: str | None,
) -> TimedSequence:
    """Return a window as long as the clips need, as far as fps and frames are auto.

    With a background label the model is for live streams, where an answer is for a full window: it
    is no longer than the clip at the lower quartile.  Without one, clips are judged one by one, and
    nine tenths of them fit into the window, if it need not be more than twice as long for that.
    The rate is no faster than the clips' own: repeated frames would only cost time.

    Args:
        sequence: as `plan` returned it.
        options: as they were given.
        lengths: the number of frames and the seconds of each clip.
        background: the label that stands for nothing happens, if any.
    """
    moving = [(count, seconds) for count, seconds in lengths if count > 1 and seconds > 0]
    fps, frames = sequence.fps, sequence.frames
    if options.fps == "auto":
        fps = _covering_fps(moving, frames)
    if options.frames == "auto" and moving:
        ticks = sorted(regular_ticks(*clip, fps) for clip in moving)
        filled = ticks[len(ticks) // 4]
        frames = max(_LEAST_AUTO_FRAMES, min(frames, filled))
        if background is None:
            longest = ticks[math.ceil(0.9 * len(ticks)) - 1]
            if longest > frames + 1:  # one more is rounding, where all are of one length
                frames = min(_MOST_FRAMES_OF_WHOLE_CLIPS, longest)
    return sequence.model_copy(update={"fps": fps, "frames": frames})


def regular_ticks(count: int, seconds: float, fps: float) -> int:
    """Return how many steps a clip of `count` evenly spaced frames gives at `fps`."""
    return 1 + math.floor((count - 1) / count * seconds * fps + EARLY)


def _covering_fps(moving: Sequence[tuple[int, float]], frames: int) -> float:
    """Return the rate at which `frames` cover the clip at the lower quartile.

    Rounded up, so that the card is readable and the clip still fills the window.
    """
    if not moving:
        return 10.0
    own = median(count / seconds for count, seconds in moving)
    covering = frames / _lower_quartile([seconds for _, seconds in moving])
    # A tenth is much of a rate below one.
    steps = 10 if covering >= 1 else 100
    if covering >= own:
        return max(1 / steps, round(own * steps) / steps)
    return math.ceil(steps * covering - 1e-6) / steps


def _lower_quartile(values: Sequence[float]) -> float:
    """Return the largest value that three quarters of the values reach."""
    return sorted(values)[len(values) // 4]


def _strips(
    options: TrainOptions, sizes: Sequence[tuple[int, int]]
) -> tuple[ImageSpec, StripSequence]:
    kind, step = options.images.sequence, options.images.step
    assert kind == "rows" or kind == "columns"
    across = _size(options, [width if kind == "rows" else height for height, width in sizes])
    height, width = (step, across) if kind == "rows" else (across, step)
    sequence = StripSequence(kind=kind, steps=_most(options), longer=options.images.longer)
    return _spec(options, height, width), sequence


def _windows(
    options: TrainOptions, sizes: Sequence[tuple[int, int]], wide: bool
) -> tuple[ImageSpec, WindowSequence]:
    across = _size(options, [height if wide else width for height, width in sizes])
    length = across if options.images.window == "auto" else options.images.window
    stride = max(1, length // 2) if options.images.stride == "auto" else options.images.stride
    height, width = (across, length) if wide else (length, across)
    sequence = WindowSequence(
        kind="windows",
        along="width" if wide else "height",
        stride=stride,
        steps=_most(options),
        longer=options.images.longer,
    )
    return _spec(options, height, width), sequence


def _patches(options: TrainOptions, size: int) -> tuple[ImageSpec, PatchSequence]:
    requested = options.images.patch
    patch = max(1, size // 4) if requested == "auto" else requested
    if requested == "auto" and options.clips.size == "auto":
        size = patch * (size // patch)
    if size % patch:
        near = max(patch, round(size / patch) * patch)
        raise DataError(f"--patch {patch} does not divide --size {size}; --size {near} would do")
    count = size // patch
    if count > 64:
        raise DataError(f"--patch {patch}: {count} × {count} patches are more than 64 × 64")
    order = options.images.order
    return _spec(options, patch, patch), PatchSequence(
        kind="patches", rows=count, columns=count, order=order
    )


def _most(options: TrainOptions) -> int:
    return _MOST_STEPS if options.images.max_steps == "auto" else options.images.max_steps


def _size(options: TrainOptions, own: Sequence[int]) -> int:
    if options.clips.size != "auto":
        return options.clips.size
    return min(_LARGEST_AUTO_SIZE, round(median(own)))


def _spec(options: TrainOptions, height: int, width: int) -> ImageSpec:
    fit = options.clips.fit
    requested = options.clips.value_range
    return ImageSpec(
        height=height,
        width=width,
        channels=1 if options.clips.grayscale else 3,
        fit=fit,
        value_range=None if requested == "auto" else _pair(requested),
    )


def _whole_picture(options: TrainOptions) -> ImageSpec:
    """Return a picture of 4:3 in which a detector finds hands: whole, its aspect ratio kept."""
    size = options.clips.size
    height = _LANDMARKS_HEIGHT if size == "auto" else size
    fit = "pad" if options.clips.fit == "stretch" else options.clips.fit
    spec = _spec(options, height, round(4 * height / 3))
    return spec.model_copy(update={"fit": fit})


def _pair(text: str) -> ValueRange:
    low, high = map(float, text.split(","))
    return low, high


def _count(shape: tuple[int, ...], image: ImageSpec, sequence: ImageSequence) -> int:
    """Return how many steps a sized image `(height, width, channels)` gives."""
    return len(cut_steps(np.zeros((*shape[:2], 1), np.uint8), image, sequence))


def _peek(clips: Sequence[Clip]) -> list[tuple[int, int]]:
    """Return the height and width of some of the images."""
    chosen = np.linspace(0, len(clips) - 1, min(_PEEKED, len(clips))).round().astype(int)
    sizes = [frame_shape(clips[number]) for number in chosen]
    known = [size for size in sizes if size is not None]
    if not known:
        raise DataError(f"{clips[0].path}: neither this nor the other images can be read")
    return known
