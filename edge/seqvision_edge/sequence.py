"""How a clip or a still image becomes a sequence: the part of the card that says it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """What all parts of a card share: frozen, exact types, no unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


Count = Annotated[int, Field(ge=1, le=4096)]
Longer = Literal["crop", "subsample"]


class VideoSequence(Part):
    """Frames of a video: chosen by timestamp at `fps`, the newest `frames` of them are read."""

    kind: Literal["video"]
    fps: Annotated[float, Field(gt=0, le=1000)]
    frames: Count

    @property
    def window(self) -> int:
        """The most steps that one answer reads."""
        return self.frames

    def __str__(self) -> str:
        return f"window of {self.frames} frames at {self.fps:g} fps"


class LengthSequence(Part):
    """A still image that gives as many steps as its length allows.

    The image keeps its aspect ratio: one twice as long gives twice as many steps.  Of one with more
    than `steps` the middle is read (`crop`), or steps at equal distances (`subsample`).
    """

    kind: str
    steps: Count
    longer: Longer

    @property
    def window(self) -> int:
        """The most steps that one answer reads."""
        return self.steps


class StripSequence(LengthSequence):
    """A still image cut into bands: groups of rows from the top, or of columns from the left.

    A band is one step, so its size is that of the step.
    """

    kind: Literal["rows", "columns"]

    def __str__(self) -> str:
        return f"{self.kind}, at most {self.steps} steps"


class WindowSequence(LengthSequence):
    """Windows that slide over a still image, `stride` pixels from one to the next.

    `along` is the side of the image that they slide along.
    """

    kind: Literal["windows"]
    along: Literal["width", "height"]
    stride: Count

    def __str__(self) -> str:
        return f"windows {self.stride} pixels apart, at most {self.steps} steps"


class PatchSequence(Part):
    """A still image cut into a grid of patches.

    `raster` reads every row of the grid from the left; `snake` reads every second one from the
    right, so that neighbours in the sequence are neighbours in the image.
    """

    kind: Literal["patches"]
    rows: Annotated[int, Field(ge=1, le=256)]
    columns: Annotated[int, Field(ge=1, le=256)]
    order: Literal["raster", "snake"]

    @property
    def window(self) -> int:
        """The most steps that one answer reads."""
        return self.rows * self.columns

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns} patches in {self.order} order"


class ChannelSequence(Part):
    """The red, the green and the blue channel of a still image, one after the other."""

    kind: Literal["channels"]

    @property
    def window(self) -> int:
        """The most steps that one answer reads."""
        return 3

    def __str__(self) -> str:
        return "colour channels"


ImageSequence = StripSequence | WindowSequence | PatchSequence | ChannelSequence
SequenceSpec = VideoSequence | ImageSequence
