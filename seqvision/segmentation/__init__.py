"""`seqvision segment`: long videos → labelled clips; segment.py is the way."""
