"""Training: `trainer` runs all stages, `loop` sets up Lightning, `module` is one step of it."""
