"""fp32 → fp16: the encoder's weights and arithmetic; inputs, outputs, state and head stay fp32.

The head answers from sums over a whole window, and a live answer must be that of the clip: what it
reads is rounded once, where it leaves the encoder.
"""

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from seqvision_export.quantize.encoder_graph import weighted_nodes, within
from seqvision_export.simplify import Nodes

# The largest half; what is beyond it would become infinite.
_LARGEST = float(np.finfo(np.float16).max)


def to_fp16(content: bytes) -> onnx.ModelProto:
    """Return the model with its encoder in half precision, from the second convolution on.

    The first one reads pixels from 0 to 255, and its weights are as small as those are large: both
    stay in fp32.

    Args:
        content: the model in fp32.
    """
    proto = onnx.load_from_string(content)
    nodes = Nodes(proto)
    kept = {node.name for node in weighted_nodes(proto)[:1]}
    inside = {node.name for node in within(proto)} - kept
    halved: set[str] = set()
    found: list[NodeProto] = []
    for node in list(proto.graph.node):
        if node.name not in inside:
            found.append(node)
            continue
        for index, name in enumerate(node.input):
            if not nodes.is_float(name):
                continue
            if name not in halved:
                halved.add(name)
                if name in nodes.constants:
                    proto.graph.initializer.append(_half(nodes, name))
                else:
                    found.append(_cast(name, _halved(name), TensorProto.FLOAT16))
            node.input[index] = _halved(name)
        found.append(node)
        for index, name in enumerate(node.output):
            if nodes.is_float(name):
                halved.add(name)
                node.output[index] = _halved(name)
                if any(user.name not in inside for user in nodes.users(name)):
                    found.append(_cast(_halved(name), name, TensorProto.FLOAT))
    nodes.replace(found)
    nodes.sweep()
    return proto


def _halved(name: str) -> str:
    return f"{name}_fp16"


def _half(nodes: Nodes, name: str) -> TensorProto:
    values = np.clip(nodes.constant(name).astype(np.float64), -_LARGEST, _LARGEST)
    return numpy_helper.from_array(values.astype(np.float16), _halved(name))


def _cast(name: str, called: str, kind: int) -> NodeProto:
    return helper.make_node("Cast", [name], [called], name=f"cast_{called}", to=kind)
