"""An emulated camera for tests; see `camera.py`."""
