"""Verify that a file answers as the model does: `verify` is the way."""
