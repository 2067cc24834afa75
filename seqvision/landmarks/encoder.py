"""`--encoder hands`, `pose` and `hands+pose`: pictures → features of hands and of a body.

What finds them looks at the same small picture, which is made once.
"""

import torch
from torch import Tensor, nn

from seqvision.landmarks.hands import Hands
from seqvision.landmarks.letterbox import Letterbox
from seqvision.landmarks.pose import Pose
from seqvision.landmarks.runtime import run_encoder
from seqvision_edge.landmarks import PER_BODY, PER_HAND

# Raise it when the same networks give other features: caches are named by it.
_VERSION = 4


class LandmarkEncoder(nn.Module):
    """Pictures `(pictures, 3, height, width)`, 0 to 1 → features `(pictures, features)`.

    `seqvision_edge.landmarks` describes each feature; hands come first.
    """

    def __init__(
        self, name: str, height: int, width: int, hands: int = 2, kind: str = "lite"
    ) -> None:
        """Load the networks.

        Args:
            name: hands, pose or hands+pose.
            height, width: of a picture.
            hands: how many slots: 1 (the clearest hand), or 2 (left, right).
            kind: of the networks for hands: lite or full.

        Raises:
            WeightsError: the weights cannot be had.
        """
        super().__init__()
        parts = name.split("+")
        self.hands = Hands(height, width, hands, kind) if "hands" in parts else None
        self.pose = Pose() if "pose" in parts else None
        self.features = (hands * PER_HAND if self.hands else 0) + (PER_BODY if self.pose else 0)
        self.by_torch = False
        self._made_of = f"{name} {width}x{height}"
        if self.hands:
            self._made_of += f", hands={hands}, {kind}"
        (size,) = {part.size for part in (self.hands, self.pose) if part is not None}
        self.letterbox = Letterbox(height, width, size)

    def extra_repr(self) -> str:
        """Return what decides the features; caches are named by it."""
        return f"{self._made_of}, version={_VERSION}"

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the features of each picture, on a CPU by onnxruntime: a fifth of torch's time."""
        if self.by_torch or torch.compiler.is_exporting() or pictures.device.type != "cpu":
            return self._compute(pictures)
        return torch.from_numpy(run_encoder(self, pictures.detach().numpy()))

    def _compute(self, pictures: Tensor) -> Tensor:
        small = self.letterbox(pictures)
        found = []
        if self.hands is not None:
            found.append(self.hands(pictures, small))
        if self.pose is not None:
            found.append(self.pose(small))
        return torch.cat(found, 1) if len(found) > 1 else found[0]


def use_torch(model: nn.Module) -> bool:
    """Let encoders of landmarks compute by torch itself; return whether there is one."""
    found = [module for module in model.modules() if isinstance(module, LandmarkEncoder)]
    for module in found:
        module.by_torch = True
    return bool(found)
