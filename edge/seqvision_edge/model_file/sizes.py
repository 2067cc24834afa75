"""How large every tensor of a graph gets, worked out before anything is run.

A few bytes can ask for terabytes: a Range up to 2⁴⁰, a MatMul of two long vectors, forty times a
Concat with itself.  So each operator has a rule that gives the shapes of its outputs; an operator
without a rule is not accepted.  Source of the rules: the operators of ONNX, versions 13 to 24.
"""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from seqvision_edge.model_file.arrange import (
    cast,
    concat,
    count_up,
    cut,
    elementwise,
    flatten,
    gather,
    reduced,
    reshape,
    same,
    shape_of,
    split,
    squeeze,
    transpose,
    unsqueeze,
)
from seqvision_edge.model_file.call import Call, Made, Rule, Shape, Tensor
from seqvision_edge.model_file.graph import MAX_RANK, Graph, Node
from seqvision_edge.model_file.multiply import (
    convolve,
    gemm,
    global_pool,
    matmul,
    max_pool,
    recurrent,
)
from seqvision_edge.model_file.refusal import Refused, quoted

# Per frame.  VGG16 at 1024 pixels, the largest that can be trained, makes 0.6 × 2³⁰ values of all
# its tensors together, and its largest convolution 2³⁵ products.
MAX_VALUES: Final = 1 << 30
MAX_WORK: Final = 1 << 38

_RULES: Final[dict[str, Rule]] = {
    "Abs": same,
    "Add": elementwise(np.add),
    "Cast": cast,
    "Clip": same,
    "Concat": concat,
    "Conv": convolve,
    "DequantizeLinear": same,
    "Div": elementwise(None),
    "Flatten": flatten,
    "GRU": recurrent(3),
    "Gather": gather,
    "Gemm": gemm,
    "GlobalAveragePool": global_pool,
    "HardSigmoid": same,
    "HardSwish": same,
    "LSTM": recurrent(4),
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Min": elementwise(np.minimum),
    "Mul": elementwise(np.multiply),
    "QuantizeLinear": same,
    "Range": count_up,
    "ReduceMean": reduced,
    "ReduceSum": reduced,
    "Relu": same,
    "Reshape": reshape,
    "Shape": shape_of,
    "Sigmoid": same,
    "Slice": cut,
    "Softmax": same,
    "Split": split,
    "Squeeze": squeeze,
    "Sub": elementwise(np.subtract),
    "Tanh": same,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
# What is empty may be put together with what is not: no past yet, beside new features.  onnxruntime
# crashes where some of the others get nothing.
_TAKES_NOTHING: Final = frozenset({"Cast", "Concat", "Shape", "Slice"})


def sizes(graph: Graph, inputs: Mapping[str, Shape], frames: int) -> tuple[list[Shape], int]:
    """Return the shapes of a graph's outputs, and how many values all its tensors have.

    Args:
        graph: as it was read.
        inputs: by name.
        frames: how many there are in the call and its past: so much more may it take.

    Raises:
        Refused: the graph does not fit together, a size depends on the data, or it takes more than
            `MAX_VALUES` values or `MAX_WORK` multiplications of one operator for each frame.
    """
    known = {name: Tensor(item.shape, item.value) for name, item in graph.constants.items()}
    known.update((name, Tensor(shape)) for name, shape in inputs.items())
    values = largest = 0
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in known:
                raise Refused(f"nothing before its {node.operator} makes {quoted(name)}")
        call = Call(node, tuple(known[name] if name else None for name in node.inputs))
        empty = any(item is not None and 0 in item.shape for item in call.inputs)
        if empty and node.operator not in _TAKES_NOTHING:
            raise Refused(f"its {node.operator} gets an empty tensor")
        made = _made(call)
        values += sum(math.prod(tensor.shape) for tensor in made.outputs)
        most = max(values, made.meanwhile)
        largest = max(largest, most)
        if most > MAX_VALUES * frames or made.work > MAX_WORK * frames:
            raise Refused(
                f"up to its {node.operator} it takes {most / frames:.1e} values and "
                f"{made.work / frames:.1e} products for each frame; "
                f"at most are {MAX_VALUES:.1e} and {MAX_WORK:.1e}"
            )
        # An operator may have outputs that nobody named.
        known.update(zip(filter(None, node.outputs), _named(node, made), strict=True))
    missing = [value.name for value in graph.outputs if value.name not in known]
    if missing:
        raise Refused(f"nothing makes its output {quoted(missing[0])}")
    return [known[value.name].shape for value in graph.outputs], largest


def _made(call: Call) -> Made:
    try:
        made = _RULES[call.node.operator](call)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        made = None
    if made is None or any(_is_odd(tensor.shape) for tensor in made.outputs):
        shapes = ", ".join(str(list(item.shape)) for item in call.inputs if item is not None)
        raise Refused(f"its {call.node.operator} does not fit its inputs {shapes[:100]}")
    return made


def _is_odd(shape: Shape) -> bool:
    return len(shape) > MAX_RANK or any(size < 0 for size in shape)


def _named(node: Node, made: Made) -> list[Tensor]:
    if len(node.outputs) > len(made.outputs):
        raise Refused(f"its {node.operator} has {len(node.outputs)} outputs")
    return [tensor for name, tensor in zip(node.outputs, made.outputs, strict=False) if name]
