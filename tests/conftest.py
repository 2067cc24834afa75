"""Puts this folder on the import path, for the rooms that several test folders share."""
