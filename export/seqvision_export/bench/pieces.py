"""An exported graph in two: the encoder alone, and the head that reads its features."""

import onnx
from onnx.utils import Extractor

_RECURRENT = ("LSTM", "GRU")


def encoder_of(content: bytes) -> bytes:
    """Return the part of a model that turns frames into features."""
    proto = onnx.load_from_string(content)
    # The size of the batch may be asked of the state as well as of the frames.
    inputs = [value.name for value in proto.graph.input]
    return _piece(content, inputs, [features_of(proto)])


def head_of(content: bytes) -> tuple[bytes, str]:
    """Return the part of a model that reads features and state, and its name for the features."""
    proto = onnx.load_from_string(content)
    features = features_of(proto)
    inputs = [value.name for value in proto.graph.input]
    outputs = [value.name for value in proto.graph.output]
    return _piece(content, [features, *inputs], outputs), features


def features_of(proto: onnx.ModelProto) -> str:
    """Return the name of the step features `(batch, time, features)`.

    They are what the window's past is joined to, or else what the recurrent head is led to from.
    """
    makers = {name: node for node in proto.graph.node for name in node.output}
    for node in proto.graph.node:
        if node.op_type == "Concat" and node.input[0] == "past":
            return str(node.input[1])
    node = next(node for node in proto.graph.node if node.op_type in _RECURRENT)
    while node.op_type != "Reshape":
        node = next(makers[name] for name in node.input if name in makers)
    return str(node.output[0])


def _piece(content: bytes, inputs: list[str], outputs: list[str]) -> bytes:
    proto = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    piece: bytes = Extractor(proto).extract_model(inputs, outputs).SerializeToString()
    return piece
