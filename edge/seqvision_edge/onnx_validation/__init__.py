"""Whether an ONNX file may be loaded, before onnxruntime sees it: `validate.py` is the way.

A model is data from a stranger.  An ONNX file may hold programs that never end, tensors of
terabytes made from a few bytes, and the names of other files.  What is read here is a small part of
ONNX: what `seqvision export` writes, and nothing else.
"""

from seqvision_edge.onnx_validation.operators import OPERATORS
from seqvision_edge.onnx_validation.validate import ModelFile, graph_sha256, read_model

__all__ = ["OPERATORS", "ModelFile", "graph_sha256", "read_model"]
