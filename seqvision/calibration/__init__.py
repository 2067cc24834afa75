"""`seqvision calibrate`: a model's confidence and event settings; calibrate.py runs all stages."""
