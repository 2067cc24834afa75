"""What one writes first: JPEGs decoded and varied with imgaug in the data set, eager float32."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from seqvision.compat import iaa
from seqvision.models.encoders import BUILDERS
from seqvision_edge.opencv import cv2

# The same changes as the preset `light`.
VARIED = [iaa.Affine(scale=(0.9, 1.1), translate_percent={"x": (-0.08, 0.08), "y": (-0.08, 0.08)},
                     rotate=(-8, 8), mode="edge"),
          iaa.Multiply((0.8, 1.2)), iaa.Add((-12, 12), per_channel=0.5),
          iaa.Sometimes(0.3, iaa.AdditiveGaussianNoise(scale=(0, 8)))]  # fmt: skip


class Clips(Dataset[tuple[torch.Tensor, int]]):
    """Folders of JPEGs, `root/<label>/<clip>/00.jpg`."""

    def __init__(self, root: Path) -> None:
        self.clips = sorted(root.glob("*/*"))
        self.labels = sorted({clip.parent.name for clip in self.clips})
        self.varied = iaa.Sequential(VARIED)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        drawn = self.varied.to_deterministic()
        frames = []
        for path in sorted(self.clips[index].glob("*.jpg")):
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            frames.append(drawn.augment_image(cv2.resize(image, (112, 112))))
        clip = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
        return clip, self.labels.index(self.clips[index].parent.name)


class Network(nn.Module):
    """The encoder for each frame, an LSTM, a layer."""

    def __init__(self, encoder: str, labels: int) -> None:
        super().__init__()
        self.encoder = BUILDERS[encoder](3, 112, 112)
        self.lstm = nn.LSTM(128 if encoder == "small_cnn" else 576, 128, batch_first=True)
        self.classify = nn.Linear(128, labels)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        features = self.encoder(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])
        return self.classify(self.lstm(features)[0][:, -1])


def steps(encoder: str, loader: DataLoader | list) -> Iterator[None]:  # type: ignore[type-arg]
    """Train for ever, one step at a time."""
    network = Network(encoder, 9)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-4)
    while True:
        for clips, labels in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(clips), labels).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            yield
