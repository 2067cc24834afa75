"""Training: `train` is the way; `module` is one step of it; `checkpoint` is what it leaves."""
