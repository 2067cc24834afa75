"""Clips: found (`datasets`), decoded once (`decode`), divided (`splits`), varied (`augment`), batched
(`dataset`).
"""
