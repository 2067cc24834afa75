"""model.pt → model.onnx: `export` is the way."""
