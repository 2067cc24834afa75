"""Run model.onnx with onnxruntime and NumPy alone: python onnx_runner.py MODEL FRAMES

FRAMES is a .npy or .npz of `(time, height, width, channels)` uint8, or a folder of files with the
raw bytes of one frame each, all at the size and the frame rate of the model's card.  One line per
frame: its number, the label, the probability, and whether the window is full.
Set ORT_DISABLE_TELEMETRY=1, or onnxruntime 1.29 and newer reports to Microsoft what it loads.
docs/model-file.md describes the rest: how frames are sized and chosen, how answers become events.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def read_frames(path, image):
    """Return frames `(time, height, width, channels)`."""
    if path.is_dir():
        raw = [np.fromfile(file, np.uint8) for file in sorted(path.iterdir())]
        return np.concatenate(raw).reshape(-1, image["height"], image["width"], image["channels"])
    loaded = np.load(path)
    return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]


def empty_state(card):
    """Return what no past leaves: one stream, and nothing on every other axis that is free."""

    def size(axis):
        return axis if isinstance(axis, int) else int(axis == "batch")

    return {
        tensor["name"]: np.zeros([size(axis) for axis in tensor["axes"]], np.float32)
        for tensor in card["state"]["tensors"]
    }


def main(model, frames):
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # it spoils answers in onnxruntime 1.17 and 1.18
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["seqvision.card"])
    if card["spec"] not in (1, 2, 3, 4):
        sys.exit(f"{model}: this runner knows the card specs 1 to 4, not {card['spec']}")
    state, seen = empty_state(card), 0
    for number, frame in enumerate(read_frames(Path(frames), card["image"])):
        probabilities, *following = session.run(None, {"frames": frame[None, None], **state})
        if not all(np.isfinite(values).all() for values in (probabilities, *following)):
            state, seen = empty_state(card), 0  # one such value would stay for ever
            continue
        state, seen = dict(zip(state, following, strict=True)), seen + 1
        best, warm = probabilities[0].argmax(), seen >= card["sequence"].get("frames", 1)
        print(number, card["labels"][best], f"{probabilities[0][best]:.4f}", "warm" if warm else "")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Exception as error:  # onnxruntime and NumPy have many kinds; none is worth a traceback
        sys.exit(f"{' '.join(sys.argv[1:])}: cannot be run: {' '.join(str(error).split())[:300]}")
