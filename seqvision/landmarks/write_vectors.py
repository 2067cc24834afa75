"""`seqvision landmarks`: clips → their landmarks as clips of vectors, with a list that trains.

find the clips → decode each → run the encoder of landmarks on every frame → write an .npz.
"""

import csv
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from seqvision.config import LandmarksOptions, ModelOptions, TrainOptions
from seqvision.console import print_line, print_note, progress
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.datasets import DataSet
from seqvision.data.datasets.clip_list import LIST_NAME
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.errors import DataError
from seqvision.models.classifier import Classifier
from seqvision.training.sequence_planning import plan_sequence
from seqvision_edge.files import temporary_folder
from seqvision_edge.sanitize import file_part

# Frames encoded at once, so that an interrupt is quick and memory small.
_PIECE: Final = 32


def write_landmarks(options: LandmarksOptions, data_set: DataSet) -> int:
    """Write the landmarks of every frame of clips, and return how many clips were written.

    The folder appears when it is complete.

    Raises:
        SeqvisionError: the weights or the clips cannot be used, or the folder cannot be written.
    """
    model_options = ModelOptions(
        encoder=options.encoder, hands=options.hands, landmarks=options.landmarks
    )
    image, _ = plan_sequence(TrainOptions(data=data_set.path, model=model_options), data_set.clips)
    model = Classifier(model_options, image, 2).eval()
    store = Store(Cache(options.cache), image, options.image_fps)
    for note in data_set.notes:
        print_note(note)
    with progress("decoding") as advance:
        clips, decoded, broken = decode_all(store, data_set.clips, advance)
    for line in broken:
        print_line(f"left out: {line}")
    if not clips:
        raise DataError(f"{data_set.path}: none of its {len(broken)} clips can be read")
    output = options.output
    try:
        with temporary_folder(output.absolute().parent) as folder:
            made = folder / "made"
            made.mkdir()
            _write(model, clips, decoded, made)
            made.rename(output)
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error.strerror})") from None
    return len(clips)


def _write(model: Classifier, clips: list[Clip], decoded: list[Decoded], folder: Path) -> None:
    total, done = sum(len(clip.times) for clip in decoded), 0
    with (
        (folder / LIST_NAME).open("w", newline="", encoding="utf-8") as file,
        progress("finding landmarks") as advance,
    ):
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group", "split"])
        for number, (clip, frames) in enumerate(zip(clips, decoded, strict=True)):
            pieces = []
            for begin in range(0, len(frames.times), _PIECE):
                pieces.append(_encode(model, frames.frames[begin : begin + _PIECE]))
                done += len(pieces[-1])
                advance(done, total)
            name = f"{file_part(clip.label)}/{number:05d}.npz"
            (folder / name).parent.mkdir(exist_ok=True)
            np.savez(folder / name, data=np.concatenate(pieces), time=frames.times)
            rows.writerow([name, clip.label, clip.group or "", clip.split or ""])


@torch.inference_mode()
def _encode(model: Classifier, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = model.encode(torch.from_numpy(pictures)[None])[0].float().numpy()
    return found
