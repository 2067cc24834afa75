"""`seqvision data`: what a data set is, before a model is trained on it; analyze.py is the way."""
