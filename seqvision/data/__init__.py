"""Clips: found (`clips`), decoded once (`decode`), divided (`split`), varied (`augment`), batched
(`dataset`).
"""
