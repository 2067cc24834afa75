"""Clips: found (`datasets`), decoded once (`decode`), divided, varied (`augment`), batched."""
