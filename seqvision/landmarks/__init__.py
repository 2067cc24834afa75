"""Landmarks as a frozen encoder: networks fetched once, detector, crop and points as tensors.

`fetch` (packages of npm → our own files) → `tflite`, `graph_model` (networks → layers) → `network`
(layers → a torch module) → `hands`, `pose` (pictures → features) → `encoder` (both) → `runtime`
(the same by onnxruntime)
"""
