"""How a running training keeps its checkpoints: the old one stays until the new one is whole."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import TorchCheckpointIO

from seqvision.errors import ResourceError
from seqvision.training.containers import save
from seqvision_edge.files import atomic_write


class WholeCheckpoints(TorchCheckpointIO):
    """Write beside the old file, then rename.

    Lightning's own way collects the file in the system's temporary folder; where that is another
    disk, a full disk or a power cut destroys the checkpoint that it was to replace.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            ResourceError: the disk is full, or the folder cannot be written to.
        """
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(target) as unfinished:
                save(unfinished, checkpoint)
        except OSError as error:
            raise ResourceError(f"{target}: cannot be written ({error.strerror})") from None
