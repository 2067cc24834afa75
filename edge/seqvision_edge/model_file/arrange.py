"""Rules of the operators that put values in another order, or compute each one by itself.

They also work out the values of small int64 tensors, because the shapes of others depend on them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from seqvision_edge.model_file.call import Call, Made, Rule, Tensor, broadcast, one
from seqvision_edge.model_file.graph import INT64, MAX_KNOWN


def same(call: Call) -> Made:
    return one(call.tensor(0).shape)


def cast(call: Call) -> Made:
    first = call.tensor(0)
    # Any smaller type may change the numbers.
    return one(first.shape, first.value if call.attribute("to") == INT64 else None)


def elementwise(combine: Callable[..., Any] | None) -> Rule:
    def rule(call: Call) -> Made:
        tensors = [call.tensor(index) for index in range(len(call.inputs))]
        shape = broadcast([tensor.shape for tensor in tensors])
        values = [tensor.value for tensor in tensors]
        if combine is None or math.prod(shape) > MAX_KNOWN or any(one is None for one in values):
            return one(shape)
        value = values[0]
        for other in values[1:]:
            value = combine(value, other)
        return one(shape, None if value is None else np.asarray(value))

    return rule


def shape_of(call: Call) -> Made:
    shape = call.tensor(0).shape
    found = shape[call.attribute("start", 0) : call.attribute("end", len(shape))]
    return one((len(found),), np.array(found, np.int64))


def count_up(call: Call) -> Made | None:
    start, limit, step = ((call.numbers(index) or [0])[0] for index in range(3))
    count = len(range(start, limit, step)) if abs(limit) < 1 << 62 else None
    if count is None:
        return None
    return one((count,), np.arange(start, limit, step) if count <= MAX_KNOWN else None)


def reshape(call: Call) -> Made | None:
    data, wanted = call.tensor(0), call.numbers(1)
    if wanted is None or wanted.count(-1) > 1 or min(wanted, default=0) < -1:
        return None
    if not call.attribute("allowzero", 0):
        wanted = [size or data.shape[index] for index, size in enumerate(wanted)]
    total, given = math.prod(data.shape), math.prod(size for size in wanted if size != -1)
    shape = [size if size != -1 else total // given if given else 0 for size in wanted]
    if math.prod(shape) != total:
        return None
    return one(shape, None if data.value is None else data.value.reshape(shape))


def flatten(call: Call) -> Made:
    shape = call.tensor(0).shape
    axis = call.attribute("axis", 1)
    return one((math.prod(shape[:axis]), math.prod(shape[axis:])))


def _axes(call: Call, rank: int) -> list[int]:
    return [axis + rank if axis < 0 else axis for axis in call.numbers(1) or []]


def squeeze(call: Call) -> Made | None:
    data = call.tensor(0)
    ones = [index for index, size in enumerate(data.shape) if size == 1]
    axes = ones if call.optional(1) is None else _axes(call, len(data.shape))
    if not set(axes) <= set(ones):
        return None
    shape = [size for index, size in enumerate(data.shape) if index not in axes]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def unsqueeze(call: Call) -> Made | None:
    data = call.tensor(0)
    rank = len(data.shape) + len(call.numbers(1) or [])
    axes = set(_axes(call, rank))
    if rank - len(axes) != len(data.shape) or not axes <= set(range(rank)):
        return None
    own = iter(data.shape)
    shape = [1 if index in axes else next(own) for index in range(rank)]
    return one(shape, None if data.value is None else data.value.reshape(shape))


def transpose(call: Call) -> Made | None:
    shape = call.tensor(0).shape
    order = call.attribute("perm") or list(range(len(shape)))[::-1]
    return one([shape[axis] for axis in order]) if sorted(order) == [*range(len(shape))] else None


def concat(call: Call) -> Made | None:
    tensors = [call.tensor(index) for index in range(len(call.inputs))]
    rank, axis = len(tensors[0].shape), call.attribute("axis")
    axis += rank if axis < 0 else 0
    others = {tensor.shape[:axis] + tensor.shape[axis + 1 :] for tensor in tensors}
    if len(others) != 1 or any(len(tensor.shape) != rank for tensor in tensors):
        return None
    shape = list(tensors[0].shape)
    shape[axis] = sum(tensor.shape[axis] for tensor in tensors)
    values = [tensor.value for tensor in tensors if tensor.value is not None]
    known = len(values) == len(tensors) and math.prod(shape) <= MAX_KNOWN
    return one(shape, np.concatenate(values, axis) if known else None)


def cut(call: Call) -> Made | None:
    data = call.tensor(0)
    starts, ends = call.numbers(1) or [], call.numbers(2) or []
    axes = call.numbers(3) or [*range(len(starts))]
    steps = call.numbers(4) or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or min(steps, default=1) < 1:
        return None
    parts = [slice(None)] * len(data.shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    shape = [len(range(*part.indices(size))) for part, size in zip(parts, data.shape, strict=True)]
    return one(shape, None if data.value is None else data.value[tuple(parts)])


def gather(call: Call) -> Made | None:
    data, chosen = call.tensor(0), call.tensor(1)
    axis = call.attribute("axis", 0)
    axis += len(data.shape) if axis < 0 else 0
    shape = (*data.shape[:axis], *chosen.shape, *data.shape[axis + 1 :])
    if not data.shape[axis]:
        return None
    known = data.value is not None and chosen.value is not None and math.prod(shape) <= MAX_KNOWN
    return one(shape, np.take(data.value, chosen.value, axis) if known else None)  # type: ignore[arg-type]


def split(call: Call) -> Made | None:
    shape, count = call.tensor(0).shape, len(call.node.outputs)
    axis = call.attribute("axis", 0)
    axis += len(shape) if axis < 0 else 0
    parts = call.numbers(1)
    if parts is None:
        each = -(-shape[axis] // count)
        parts = [min(each, shape[axis] - each * index) for index in range(count)]
    if len(parts) != count or min(parts) < 0 or sum(parts) != shape[axis]:
        return None
    return Made(tuple(Tensor((*shape[:axis], part, *shape[axis + 1 :])) for part in parts))


def reduced(call: Call) -> Made | None:
    shape = call.tensor(0).shape
    axes = _axes(call, len(shape)) or [*range(len(shape))]
    if call.attribute("noop_with_empty_axes", 0) or not set(axes) <= set(range(len(shape))):
        return None
    keep = call.attribute("keepdims", 1)
    sizes = ((1 if index in axes else size, index in axes) for index, size in enumerate(shape))
    reduced = [size for size, gone in sizes if keep or not gone]
    return one(reduced, work=math.prod(shape))
