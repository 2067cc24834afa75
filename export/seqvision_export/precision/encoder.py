"""Which nodes of an exported graph are the encoder's.

They are known by their weights, which keep the names that they have in `Classifier.encoder`.
"""

import onnx
from onnx import NodeProto

from seqvision_export.nodes import Nodes

PREFIX = "model.encoder."
WEIGHED = ("Conv", "Gemm", "MatMul")


def weighted_nodes(proto: onnx.ModelProto) -> list[NodeProto]:
    """Return the encoder's convolutions and matrix products, in the order of the graph."""
    return [
        node
        for node in proto.graph.node
        if node.op_type in WEIGHED and any(name.startswith(PREFIX) for name in node.input)
    ]


def within(proto: onnx.ModelProto) -> list[NodeProto]:
    """Return all nodes from the encoder's first convolution to its last weights, in order."""
    nodes = Nodes(proto)
    ends = {node.name for node in weighted_nodes(proto)}
    inside = ends | (nodes.reached(ends) & nodes.reached(ends, backward=True))
    return [node for node in proto.graph.node if node.name in inside]
