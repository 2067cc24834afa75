"""Rules of the operators that sum products: how many they make, and what they need meanwhile."""

import math

from seqvision_edge.model_file.call import Call, Made, Rule, Shape, Tensor, broadcast, one


def global_pool(call: Call) -> Made:
    shape = call.tensor(0).shape
    return one((*shape[:2], *[1] * len(shape[2:])), work=math.prod(shape))


def _places(call: Call, shape: Shape, kernel: Shape) -> list[int] | None:
    """Return how many places a kernel has along each axis."""
    rank = len(kernel)
    pads, strides = (
        call.attribute("pads") or [0] * 2 * rank,
        call.attribute("strides") or [1] * rank,
    )
    dilations = call.attribute("dilations") or [1] * rank
    lengths = [len(shape) - 2, len(pads) // 2, len(strides), len(dilations)]
    if call.attribute("auto_pad", "NOTSET") != "NOTSET" or set(lengths) != {rank}:
        return None
    if min(pads) < 0 or min((*strides, *dilations, *kernel)) < 1:
        return None
    found = []
    for axis, size in enumerate(shape[2:]):
        room = size + pads[axis] + pads[axis + rank] - dilations[axis] * (kernel[axis] - 1) - 1
        found.append(room // strides[axis] + 1 + call.attribute("ceil_mode", 0))
    return found


def convolve(call: Call) -> Made | None:
    data, weight = call.tensor(0).shape, call.tensor(1).shape
    groups = call.attribute("group", 1)
    positions = _places(call, data, weight[2:])
    given = call.attribute("kernel_shape", list(weight[2:]))
    if positions is None or data[1] != weight[1] * groups or tuple(given) != weight[2:]:
        return None
    bias = call.optional(2)
    if weight[0] % groups or (bias is not None and bias.shape != weight[:1]):
        return None
    shape = (data[0], weight[0], *positions)
    kernel = math.prod(weight[1:])
    # Where nothing better fits, the pixels of every place are laid out in rows.
    unfolded = kernel * groups * data[0] * math.prod(positions)
    return Made((Tensor(shape),), math.prod(shape) * kernel, unfolded)


def max_pool(call: Call) -> Made | None:
    data, kernel = call.tensor(0).shape, tuple(call.attribute("kernel_shape"))
    positions = _places(call, data, kernel)
    if positions is None:
        return None
    shape = (*data[:2], *positions)
    return one(shape, work=math.prod(shape) * math.prod(kernel))


def gemm(call: Call) -> Made | None:
    (rows, inner), (other, columns) = (
        call.tensor(index).shape[:: -1 if call.attribute(flag, 0) else 1]
        for index, flag in enumerate(("transA", "transB"))
    )
    bias = call.optional(2)
    if inner != other or (bias and broadcast([bias.shape, (rows, columns)]) != (rows, columns)):
        return None
    return one((rows, columns), work=rows * inner * columns)


def matmul(call: Call) -> Made | None:
    left, right = call.tensor(0).shape, call.tensor(1).shape
    if min(len(left), len(right)) < 2 or left[-1] != right[-2]:
        return None
    shape = (*broadcast([left[:-2], right[:-2]]), left[-2], right[-1])
    return one(shape, work=math.prod(shape) * left[-1])


def recurrent(gates: int) -> Rule:
    def rule(call: Call) -> Made | None:
        (time, batch, features) = call.tensor(0).shape
        (directions, rows, width), (_, _, hidden) = call.tensor(1).shape, call.tensor(2).shape
        expected = (directions, gates * hidden, hidden)
        if width != features or rows != gates * hidden or call.tensor(2).shape != expected:
            return None
        both = 2 if call.attribute("direction", "forward") == "bidirectional" else 1
        if (both, call.attribute("hidden_size"), call.attribute("layout", 0)) != (
            directions, hidden, 0,
        ):  # fmt: skip
            return None
        last = Tensor((directions, batch, hidden))
        bias, lengths, peepholes = (call.optional(index) for index in (3, 4, 7))
        if bias is not None and bias.shape != (directions, 2 * gates * hidden):
            return None
        # The state before the first step: h, and c of an LSTM.
        before = [call.optional(index) for index in (5, 6)]
        if lengths is not None or peepholes is not None or 0 in (time, batch):
            return None
        if any(state is not None and state.shape != last.shape for state in before):
            return None
        steps = Tensor((time, directions, batch, hidden))
        work = time * batch * directions * rows * (features + hidden)
        # onnxruntime keeps the gates of all steps.
        return Made((steps, last, last)[: gates - 1], work, time * batch * directions * rows)

    return rule
