"""A carried state: the head reads on from where it was, for ever."""

from typing import Any

import numpy as np
import pytest
import torch
from export_models import FORWARD, build, exported, forward, name

from seqvision.config import ModelOptions
from seqvision.errors import ExportError
from seqvision_edge.session import Session
from seqvision_export.onnx_graph import state_of


@pytest.mark.parametrize("options", FORWARD, ids=name)
def test_carried_chunks_give_the_outputs_of_torch_on_the_whole_clip(
    options: ModelOptions,
) -> None:
    _, model, _, content = exported(options, "carry")
    session = Session(content)
    clip = np.random.default_rng(5).integers(0, 256, (2, 23, 32, 40, 3), np.uint8)
    answers = []
    for end in (1, 2, 5, 9, 23):  # the window of 5 is long past: nothing is forgotten
        with torch.inference_mode():
            expected = model(torch.from_numpy(clip[:, :end])).softmax(1).numpy()
        once, _ = session.run(clip[:, :end])
        state: Any = None
        for piece in np.array_split(clip[:, :end], max(1, end // 3), axis=1):
            pieces, state = session.run(piece, state)
        stream = session.stream()
        for frame in clip[0, :end]:
            live = stream.push(frame[None])
        assert live is not None
        for found, target in ((once, expected), (pieces, expected), (live, expected[0])):
            assert np.abs(found - target).max() <= 1e-4
        answers.append(expected)
    assert np.ptp(answers, axis=0).max() > 5e-4, "the answers depend on the clip"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (forward(head="mean"), "mean"),
        (ModelOptions(bidirectional=True), "both directions"),
        (forward(pool="attention"), "attention"),
        (forward(center=True), "mean over the window .--center."),
    ],
)
def test_a_head_that_needs_the_whole_window_cannot_carry_state(
    options: ModelOptions, reason: str
) -> None:
    model, _ = build(options)
    with pytest.raises(ExportError, match=f"--state carry.*{reason}.*--state window"):
        state_of(model, "carry")
