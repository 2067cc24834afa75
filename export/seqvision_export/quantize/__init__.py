"""The number format of a model's encoder: made, measured and selected by `select`."""
