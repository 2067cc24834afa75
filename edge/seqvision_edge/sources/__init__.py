"""Cameras, streams, video files, images, standard input; `factory.py` opens them."""
