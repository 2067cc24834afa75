"""Whether a file may be loaded, decided before onnxruntime sees a byte of it: `read.py` is the way.

A model is data from a stranger.  An ONNX file may hold programs that never end, tensors of
terabytes made from a few bytes, and the names of other files.  What is read here is a small part of
ONNX: what `seqvision export` writes, and nothing else.
"""

from seqvision_edge.model_file.read import ModelFile, graph_sha256, read_model
from seqvision_edge.model_file.schemas import OPERATORS

__all__ = ["OPERATORS", "ModelFile", "graph_sha256", "read_model"]
