"""`--opset`: every operator set that is offered answers alike, in a file of the right version."""

import numpy as np
import onnx
import pytest
import torch
from export_models import MORE, exported

from seqvision.cli import main
from seqvision.config import ExportOptions
from seqvision_edge.onnx_validation import OPERATORS
from seqvision_edge.session import Session

# The newest file version that onnxruntime 1.17 reads, and the operator sets that it knows.
OLDEST_IR_VERSION, OLDEST_OPSETS = 9, range(18, 21)


def test_the_default_is_read_by_every_onnxruntime_since_1_17() -> None:
    assert ExportOptions().opset in OLDEST_OPSETS


@pytest.mark.slow
@pytest.mark.parametrize("opset", range(18, 25))
def test_every_operator_set_gives_the_same_outputs_and_is_accepted(opset: int) -> None:
    clip = np.random.default_rng(2).integers(0, 256, (2, 7, 32, 40, 3), np.uint8)
    _, model, _, content = exported(MORE[0], opset=opset)
    with torch.inference_mode():
        expected = model(torch.from_numpy(clip[:, -5:])).softmax(1).numpy()
    proto = onnx.load_from_string(content)
    assert {node.op_type for node in proto.graph.node} <= OPERATORS
    assert [entry.version for entry in proto.opset_import if not entry.domain] == [opset]
    assert (proto.ir_version <= OLDEST_IR_VERSION) == (opset in OLDEST_OPSETS)
    found, _ = Session(content).run(clip)
    assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("opset", [17, 25])
def test_other_operator_sets_are_refused_in_one_line(
    opset: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "model.pt", "--opset", str(opset)]) == 2
    assert capsys.readouterr().err.startswith(f"seqvision export: --opset {opset}: must be")
