"""What classes of options share: the headings of the help, and options that are the same."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from seqvision_edge.options import Arg, FramesPerSecond

DATA, CLIPS, STILLS, VARIETY, MODEL, TRAINING, OUTPUT, MACHINE = (
    "Data", "Clips", "Still images", "Variety", "Model", "Training", "Output", "This machine"
)  # fmt: skip

Positive = Annotated[int, Field(ge=1)]
DataArgument = Annotated[Path | None, Arg("DATA", positional=True, needed=True, unless=("root",))]
Root = Annotated[Path | None, Arg("FOLDER", DATA)]
ImageFps = Annotated[FramesPerSecond, Arg("FPS", DATA)]
BatchSize = Annotated[int, Field(ge=1), Arg(group=MACHINE)]
Cache = Annotated[Path, Arg("FOLDER", MACHINE)]
TorchDevice = Annotated[Literal["auto", "cpu", "cuda"], Arg(group=MACHINE)]
