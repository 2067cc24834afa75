"""What a data set is, before a model is trained on it; `survey` is the way."""
