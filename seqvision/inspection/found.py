"""What is known of a model file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from seqvision_edge.card import ModelCard


@dataclass(frozen=True)
class Tensor:
    """One input or output; an axis with a name is as long as the caller likes."""

    name: str
    dtype: str
    axes: tuple[str | int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(map(str, self.axes))})"


@dataclass(frozen=True)
class GraphSummary:
    """What an export made of the network.

    Attributes:
        operators: how often each ONNX operator is there.
        opset: the ONNX operator set.
        ir_version: of the file format.
        producer: what wrote the file.
        integrity: whether the graph has the sha256 of its card; cards of spec 1 have none.
    """

    operators: dict[str, int]
    opset: int
    ir_version: int
    producer: str
    integrity: Literal["ok", "differs", "no hash"]


@dataclass(frozen=True)
class Inspection:
    """What a model file is.

    Attributes:
        file: its path.
        size: of the file, in bytes.
        parameters: how many numbers the network learnt; of a graph, those it computes with.
        inputs: of the exported graph; of a model.pt, those that an export will have.
        outputs: likewise.
        graph: None for a model.pt.
        card: the settings that every runner takes.
    """

    file: Path
    size: int
    parameters: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    graph: GraphSummary | None
    card: ModelCard

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        plain = {**asdict(self), "file": str(self.file), "card": json.loads(self.card.to_json())}
        plain["format"] = "torch" if self.graph is None else "onnx"
        return plain
