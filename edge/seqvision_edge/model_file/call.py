"""One operator of a graph, with the shapes that go in and those that come out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqvision_edge.model_file.graph import Node
from seqvision_edge.model_file.refusal import Refused

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Tensor:
    """A shape, and the values where they are known."""

    shape: Shape
    value: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Call:
    """A node with what goes into it; an input that is left out is None."""

    node: Node
    inputs: tuple[Tensor | None, ...]

    def tensor(self, index: int) -> Tensor:
        """Return an input that must be there."""
        found = self.optional(index)
        if found is None:
            raise Refused(f"its {self.node.operator} has no input {index}")
        return found

    def optional(self, index: int) -> Tensor | None:
        """Return an input, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def numbers(self, index: int) -> list[int] | None:
        """Return the values of an input, which must be known; None where it is left out."""
        found = self.optional(index)
        if found is None:
            return None
        if found.value is None:
            raise Refused(f"a size in it depends on the data ({self.node.operator})")
        return [int(number) for number in found.value.ravel()]

    def attribute(self, name: str, absent: Any = None) -> Any:
        """Return an attribute, or what holds where it is left out."""
        return self.node.attributes.get(name, absent)


@dataclass(frozen=True)
class Made:
    """What a node makes: its outputs, its multiplications, and values that it needs meanwhile."""

    outputs: tuple[Tensor, ...]
    work: int = 0
    meanwhile: int = 0


# A rule returns None where the inputs do not fit.
Rule = Callable[[Call], Made | None]


def one(shape: Sequence[int], value: NDArray[np.int64] | None = None, work: int = 0) -> Made:
    """Return a single output."""
    return Made((Tensor(tuple(shape), value),), work)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the shape that all these spread to.

    Raises:
        ValueError: they do not fit together.
    """
    sizes = []
    for axis in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        different = {size for size in axis if size != 1}
        if len(different) > 1:
            raise ValueError("sizes differ")
        sizes.append(different.pop() if different else 1)
    return tuple(reversed(sizes))
