"""Decide whether an ONNX file may be loaded, before onnxruntime reads it: see `validate.py`.

A model is untrusted input.  An ONNX file may contain programs that never end, tensors of terabytes
made from a few bytes, and the names of other files.  Only the small part of ONNX that
`seqvision export` writes is accepted.
"""

from seqvision_edge.onnx_validation.operators import OPERATORS
from seqvision_edge.onnx_validation.validate import ModelFile, graph_sha256, read_model

__all__ = ["OPERATORS", "ModelFile", "graph_sha256", "read_model"]
