"""What lies in an ONNX file, read without running any of it.

Only the few fields of onnx.proto that are needed are declared; the parser is protobuf's own, which
comes with onnxruntime.
"""

import hashlib
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from seqvision_edge.errors import ModelError

_Field = descriptor_pb2.FieldDescriptorProto
# message → (number, name, type or message, repeated), as in onnx.proto.
_MESSAGES: dict[str, tuple[tuple[int, str, int | str, bool], ...]] = {
    "Property": ((1, "key", _Field.TYPE_STRING, False), (2, "value", _Field.TYPE_STRING, False)),
    # The graph stays bytes here: they are what is hashed.
    "Model": ((7, "graph", _Field.TYPE_BYTES, False), (14, "metadata_props", "Property", True)),
}


def graph_sha256(content: bytes, where: str) -> str:
    """Return the hash of a model's graph, as 64 hexadecimal digits.

    Raises:
        ModelError: `content` is not an ONNX file; `where` names it.
    """
    return hashlib.sha256(_parse("Model", content, where).graph).hexdigest()


def _parse(message: str, content: bytes, where: str) -> Any:
    try:
        return _classes()[message].FromString(content)
    except DecodeError:
        raise ModelError(f"{where}: not an ONNX model, or damaged") from None


@cache
def _classes() -> dict[str, Any]:
    package = "seqvision_edge"
    file = descriptor_pb2.FileDescriptorProto(name="seqvision_edge/model_file.proto")
    file.package, file.syntax = package, "proto2"
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field_name, kind, repeated in fields:
            label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                field.type, field.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _MESSAGES
    }
