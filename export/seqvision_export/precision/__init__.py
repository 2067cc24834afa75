"""The number format of a model's encoder: made, measured on this machine, and chosen."""
