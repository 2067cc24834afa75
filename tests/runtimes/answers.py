"""Answer cases with the edge session of this Python: `python answers.py CASES.json DEVICE`.

A case is {"name", "model", "frames", "shape"}: a model file, and a file of raw uint8 of the shape
(batch, time, height, width, channels).  Prints one JSON: what runs, and for each case the answers
`whole` (batch, labels) for the clips in one call and `live` (time, labels) for the first clip,
frame by frame.  `answers.mjs` does the same with onnxruntime-web.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from seqvision_edge.session import Session


def main(cases: str, device: Any) -> None:
    """Print the answers."""
    answers = {}
    for case in json.loads(Path(cases).read_text()):
        session = Session(case["model"], device)
        assert session.device == device, session.device
        clips = np.fromfile(case["frames"], np.uint8).reshape(case["shape"])
        whole, _ = session.run(clips)
        stream = session.stream()
        live = [stream.push(frame[None]) for frame in clips[0]]
        answers[case["name"]] = {"whole": whole.tolist(), "live": [one.tolist() for one in live]}
    print(json.dumps({"runtime": f"onnxruntime {onnxruntime.__version__}", "answers": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
