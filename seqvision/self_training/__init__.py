"""A model's sure answers as labels of clips that have none; `self_train.py` is the way."""
