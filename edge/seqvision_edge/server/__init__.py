"""Serve a model over HTTP: predictions, stateful streams, a web page; needs the extra `serve`.

pip install './edge[serve]'
edge-serve model.onnx
"""
