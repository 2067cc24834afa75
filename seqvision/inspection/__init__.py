"""What a model file is: `inspect` is the way."""
