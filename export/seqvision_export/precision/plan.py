"""What of an encoder is computed in int8.

A convolution of three channels is often slower in int8 than in float, and so is a max-pool that
follows a float convolution; which of these plans is the fastest, only a clock can say.
"""

from dataclasses import dataclass

import onnx

from seqvision_export.nodes import Nodes
from seqvision_export.precision.encoder import weighted_nodes
from seqvision_export.precision.pixels import can_widen

_CLAMPS = ("Relu", "Clip")
# What lies between two integer convolutions and would cost two conversions in float.
BETWEEN = (*_CLAMPS, "Add", "Concat", "MaxPool")


@dataclass(frozen=True)
class Plan:
    """What int8 computes.

    Attributes:
        name: what the plan is called.
        nodes: the names of the nodes.
        keeps_pool: the max-pool after the first convolution is kept from it.
        reads_bytes: the first convolution reads the frames as they are.
    """

    name: str
    nodes: tuple[str, ...]
    keeps_pool: bool = False
    reads_bytes: bool = False


def plans(proto: onnx.ModelProto) -> list[Plan]:
    """Return the plans that this encoder allows; none where it has nothing to quantise."""
    names = [node.name for node in weighted_nodes(proto)]
    if not names:
        return []
    everything = _with_glue(proto, names)
    found = [Plan("all", everything)]
    if can_widen(proto):
        found.append(Plan("all, from bytes", everything, reads_bytes=True))
    if len(names) > 1:
        rest = _with_glue(proto, names[1:])
        found.append(Plan("first conv kept", rest))
        if pool_after_first(proto) is not None:
            found.append(Plan("first conv and pool kept", rest, keeps_pool=True))
    return found


def pool_after_first(proto: onnx.ModelProto) -> tuple[str, str] | None:
    """Return the names of the clamp and the max-pool that alone read the first convolution."""
    nodes = Nodes(proto)
    chain = [weighted_nodes(proto)[0]]
    for kinds in (_CLAMPS, ("MaxPool",)):
        users = nodes.users(chain[-1].output[0])
        if len(users) != 1 or users[0].op_type not in kinds:
            return None
        chain.append(users[0])
    return chain[1].name, chain[2].name


def keep_pool(proto: onnx.ModelProto) -> None:
    """Clamp after the first max-pool instead of before it: the same values, in any number format.

    onnxruntime moves a quantization up through a max-pool that is right before it, and its max-pool
    of bytes is many times as slow as that of floats.
    """
    found = pool_after_first(proto)
    if found is None:
        return
    nodes = Nodes(proto)
    order = [node.name for node in proto.graph.node]
    first, second = (order.index(name) for name in found)
    moved = list(proto.graph.node)
    moved[first], moved[second] = moved[second], moved[first]
    pool, clamp = moved[first], moved[second]
    before, between, after = clamp.input[0], clamp.output[0], pool.output[0]
    pool.input[0], pool.output[0] = before, between
    clamp.input[0], clamp.output[0] = between, after
    nodes.replace(moved)


def _with_glue(proto: onnx.ModelProto, names: list[str]) -> tuple[str, ...]:
    """Add what reads nothing but results of int8."""
    nodes = Nodes(proto)
    chosen = set(names)
    for node in proto.graph.node:
        makers = [nodes.maker(name) for name in node.input if name and name not in nodes.constants]
        if node.op_type in BETWEEN and all(maker and maker.name in chosen for maker in makers):
            chosen.add(node.name)
    return tuple(node.name for node in proto.graph.node if node.name in chosen)
