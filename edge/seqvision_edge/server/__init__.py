"""A model behind HTTP: predictions, streams with state, a page; needs the extra `serve`.

pip install './edge[serve]'
edge-serve model.onnx
"""
