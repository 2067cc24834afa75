"""What a model costs on this machine: `bench` is the way."""
