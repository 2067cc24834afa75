"""Training: `train` is the way; `module` is one step of it; `checkpoint` is what it leaves."""

# Before any module here imports lightning, which touches torchvision.
import seqvision.compat  # noqa: F401
