"""A model behind HTTP: answers for what is sent, streams with a memory, a page; needs the extra.

pip install './edge[serve]'
edge-serve model.onnx
"""
