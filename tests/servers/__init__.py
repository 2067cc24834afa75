"""Servers for tests, all on 127.0.0.1."""
