"""A strict parser of protocol buffers: only known fields, no duplicates, a bounded count.

A general parser merges a message that occurs twice, keeps unknown fields, and turns two bytes of
the file into a hundred bytes of memory.  onnxruntime could see what it merges or skips while these
checks do not; so all of that is refused.  Contents are views of the file, never copies.

Source: https://protobuf.dev/programming-guides/encoding/
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

# The largest export, EfficientNet-B0 in INT8, has about 40 thousand.
MAX_FIELDS: Final = 400_000
MAX_TEXT: Final = 1 << 22

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# message → number → (name, kind, repeated): what `seqvision export` writes, out of onnx.proto.
# `view` is content that is not parsed here.  `never` is listed only to name what is refused.
_Field = tuple[str, str, bool]
_MESSAGES: dict[str, dict[int, _Field]] = {
    "Model": {
        1: ("ir_version", "int", False),
        2: ("producer_name", "text", False),
        3: ("producer_version", "text", False),
        4: ("domain", "text", False),
        5: ("model_version", "int", False),
        6: ("doc_string", "text", False),
        7: ("graph", "view", False),
        8: ("opset_import", "Opset", True),
        14: ("metadata_props", "Property", True),
        20: ("training information", "never", True),
        25: ("functions", "never", True),
    },
    "Opset": {1: ("domain", "text", False), 2: ("version", "int", False)},
    "Property": {1: ("key", "text", False), 2: ("value", "text", False)},
    "Graph": {
        1: ("node", "Node", True),
        2: ("name", "text", False),
        5: ("initializer", "Tensor", True),
        10: ("doc_string", "text", False),
        11: ("input", "Value", True),
        12: ("output", "Value", True),
        15: ("sparse tensors", "never", True),
    },
    "Node": {
        1: ("input", "text", True),
        2: ("output", "text", True),
        3: ("name", "text", False),
        4: ("op_type", "text", False),
        5: ("attribute", "Attribute", True),
        6: ("doc_string", "text", False),
        7: ("domain", "text", False),
    },
    "Attribute": {
        1: ("name", "text", False),
        2: ("f", "float", False),
        3: ("i", "int", False),
        4: ("s", "text", False),
        5: ("a tensor as an attribute", "never", False),
        6: ("a graph as an attribute", "never", False),
        7: ("floats", "float", True),
        8: ("ints", "int", True),
        10: ("tensors as an attribute", "never", True),
        11: ("graphs as an attribute", "never", True),
        20: ("type", "int", False),
        22: ("a sparse tensor as an attribute", "never", False),
        23: ("sparse tensors as an attribute", "never", True),
    },
    "Tensor": {
        1: ("dims", "int", True),
        2: ("data_type", "int", False),
        4: ("float_data", "view", False),
        5: ("int32_data", "view", False),
        7: ("int64_data", "view", False),
        8: ("name", "text", False),
        9: ("raw_data", "view", False),
        12: ("doc_string", "text", False),
        13: ("data in another file", "never", True),
        14: ("data_location", "int", False),
    },
    "Value": {
        1: ("name", "text", False),
        2: ("type", "Type", False),
        3: ("doc_string", "text", False),
    },
    "Type": {1: ("tensor_type", "TensorType", False)},
    "TensorType": {1: ("elem_type", "int", False), 2: ("shape", "Shape", False)},
    "Shape": {1: ("dim", "Dimension", True)},
    "Dimension": {1: ("dim_value", "int", False), 2: ("dim_param", "text", False)},
}
_WIRE_TYPES = {"int": _VARINT, "float": _FIXED32}

Message = dict[str, Any]


class ProtobufReader:
    """Parse the messages of one file, with at most `MAX_FIELDS` fields in all."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def read(self, message: str, data: memoryview) -> Message:
        """Return a message as a dict: lists for repeated fields, no key for absent ones.

        Raises:
            Damaged: the bytes are not such a message.
            Refused: an unknown or duplicate field, or too many fields.
        """
        known = _MESSAGES[message]
        found: Message = {field[0]: [] for field in known.values() if field[2]}
        for index, (number, wire_type, value) in enumerate(self._fields(data)):
            if number == 0:
                raise Damaged("a field without a number")
            if number not in known and message == "Model" and index == 0:
                # A text, a picture or a model.pt begins like this.
                raise Damaged("it is another kind of file")
            if number not in known:
                raise Refused(f"it has a field {number} in a {message.lower()}")
            name, kind, repeated = known[number]
            if kind == "never":
                raise Refused(f"it has {name}")
            values = self._values(kind, wire_type, value)
            if repeated:
                found[name] += values
            elif name in found or len(values) != 1:
                raise Refused(f"it has {name} twice in a {message.lower()}")
            else:
                found[name] = values[0]
        return found

    def _values(self, kind: str, wire_type: int, value: Any) -> list[Any]:
        if kind in _WIRE_TYPES and wire_type == _BYTES:  # numbers packed together
            return list(self._packed(kind, value))
        if wire_type != _WIRE_TYPES.get(kind, _BYTES):
            raise Damaged("a field of another type")
        if kind == "text":
            return [_text(value)]
        return [value] if kind in ("int", "float", "view") else [self.read(kind, value)]

    def _packed(self, kind: str, data: memoryview) -> Iterator[int | float]:
        offset = 0
        while offset < len(data):
            self._count()
            read = _varint if kind == "int" else _fixed32
            number, offset = read(data, offset)
            yield number

    def _fields(self, data: memoryview) -> Iterator[tuple[int, int, Any]]:
        """Yield number, wire type and value of each field."""
        offset = 0
        while offset < len(data):
            self._count()
            tag, offset = _varint(data, offset)
            number, wire_type = tag >> 3, tag & 7
            value: Any
            if wire_type == _VARINT:
                value, offset = _varint(data, offset)
            elif wire_type == _FIXED32:
                value, offset = _fixed32(data, offset)
            elif wire_type == _BYTES:
                size, offset = _varint(data, offset)
                if not 0 <= size <= len(data) - offset:
                    raise Damaged("its end is missing")
                value, offset = data[offset : offset + size], offset + size
            else:
                raise Damaged("a field of no known type")
            yield number, wire_type, value

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Refused(f"it has more than {MAX_FIELDS} parts")


def _varint(data: memoryview, index: int) -> tuple[int, int]:
    """Return a signed 64-bit number and the index after it."""
    value = 0
    for shift in range(0, 70, 7):
        if index >= len(data):
            raise Damaged("its end is missing")
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise Damaged("a number of more than 64 bits")
            return (value - (1 << 64) if value >> 63 else value), index
    raise Damaged("a number of more than 64 bits")


def _fixed32(data: memoryview, index: int) -> tuple[float, int]:
    if len(data) - index < 4:
        raise Damaged("its end is missing")
    return struct.unpack_from("<f", data, index)[0], index + 4


def _text(data: memoryview) -> str:
    if len(data) > MAX_TEXT:
        raise Refused(f"it has a text of {len(data)} bytes")
    try:
        return bytes(data).decode()
    except UnicodeDecodeError:
        raise Damaged("a name that is no text") from None


class Refused(Exception):  # noqa: N818
    """The file contains something that `seqvision export` never writes."""


class Damaged(Refused):
    """The file is not an ONNX model, or is incomplete."""


def quoted(name: str) -> str:
    """Return a name from the file, made safe and short enough for one line of a terminal."""
    return repr(name if len(name) <= 40 else f"{name[:40]}…").encode("ascii", "replace").decode()
