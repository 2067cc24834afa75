"""A camera or stream in a process of its own: what hangs or crashes there costs nothing else."""
