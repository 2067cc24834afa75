"""`seqvision calibrate`: how sure a model is, when it tells an event; calibrate.py is the way."""
