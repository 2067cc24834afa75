"""What the exporter emits and what the runner accepts are one list."""

from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from export_models import Exported, every_network
from landmark_weights import OF_LANDMARKS

from seqvision_edge.onnx_validation import OPERATORS
from seqvision_edge.session import Session
from seqvision_export.quantize.select_precision import make

# Files that were exported before graphs were simplified must load for ever.
EARLIER = {"Range", "Unsqueeze"}
# Where the package timm is not installed, an extra, its networks are not exported.
OF_TIMM = {"AveragePool", "Erf", "LayerNormalization", "Pow"}
# Only an encoder is made smaller; the others are built of the layers of these.
SMALLER = ("flatten", "small_cnn", "mobilenet_v3_small", "resnet18")


def operators(content: bytes) -> set[str]:
    """Return the operators of a file, with what a runner may not know marked by its domain."""
    graph = onnx.load_from_string(content).graph
    return {node.op_type if not node.domain else str((node.domain, node)) for node in graph.node}


def smaller(network: Exported) -> dict[str, bytes]:
    """Return a network in every plan of int8 and in fp16."""
    image = network.card.image
    shape = (3, image.height, image.width, image.channels)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    made = make(network.content, network.card, ("int8", "fp16"), [frames])
    return {one.name: one.content for one in made}


@pytest.mark.slow
def test_the_operator_list_is_exactly_that_of_the_exports() -> None:
    emitted: set[str] = set()
    formats: set[str] = set()
    left = set(SMALLER)
    for network in every_network():
        files = {"fp32": network.content}
        if network.options.encoder in left:
            left.remove(network.options.encoder)
            files |= smaller(network)
        for form, content in files.items():
            found = operators(content)
            assert found <= OPERATORS, f"{network.options}, {network.card.state.kind}, {form}"
            assert Session(content).card.labels == network.card.labels
            emitted |= found
        formats |= files.keys()
    assert formats == {
        "fp32", "fp16", "int8, all", "int8, all, from bytes",
        "int8, first conv kept", "int8, first conv and pool kept",
    }  # fmt: skip
    # Those of landmarks are emitted where their networks can be had, in test_landmarks.py.
    earlier = EARLIER | OF_LANDMARKS if find_spec("timm") else EARLIER | OF_LANDMARKS | OF_TIMM
    assert emitted | earlier == OPERATORS, "an operator that no export needs is one more way in"
