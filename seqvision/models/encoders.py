"""One step's image → features: a table of networks, all called in the same way.

An encoder takes float32 images `(images, channels, height, width)` in its own pixel range and
returns `(images, features)`.  To add one, add a line to `BUILDERS` and its name to
`seqvision.config.option_types.EncoderName`.  Those of timm are in `timm_encoders`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from seqvision.config.option_types import (
    FROM_SCRATCH,
    LANDMARKS,
    NO_ENCODER,
    is_onnx,
    pixel_numbers,
)
from seqvision.errors import WeightsError
from seqvision.models.onnx_encoder import FrameModel, frame_model
from seqvision.models.timm_encoders import is_timm, size_error, timm_network, timm_pixel_range

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = ((0.5,), (0.5,))
UNIT = ((0.0,), (1.0,))
BYTES = ((0.0,), (1 / 255,))


class Standardize(nn.Module):
    """Vectors on one scale: mean 0 and deviation 1 over the training clips; what is missing is 0.

    A value is at most `LARGEST` deviations from the mean: a sensor's glitch, or a feature that was
    constant in the training, would else outweigh all others.
    """

    LARGEST = 10.0

    def __init__(self, features: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    @torch.no_grad()
    def fit(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the mean and deviation `(features,)` of the training clips' known values."""
        self.mean.copy_(mean)
        # A feature that was constant means nothing by a change of any size.
        constant = deviation <= 1e-6 * mean.abs().clamp(min=1e-6)
        self.scale.copy_(torch.where(constant, 1.0, 1 / deviation.clamp(min=1e-30)).clamp(max=1e30))

    def forward(self, vectors: Tensor) -> Tensor:
        """`(…, features)` float32, NaN where missing → the same shape."""
        known = torch.where(torch.isnan(vectors), self.mean, vectors)
        return ((known - self.mean) * self.scale).clamp(-self.LARGEST, self.LARGEST)


class Normalize(nn.Module):
    """uint8 images, channels last → float32 images, channels first, in the encoder's range."""

    def __init__(
        self,
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
        channels: int,
        saved: bool = False,
    ) -> None:
        """Keep the range; `saved`: with the weights, for it comes from another package."""
        super().__init__()
        count = max(len(mean), channels)
        shift = torch.tensor(mean).expand(count).reshape(1, -1, 1, 1)
        scale = 1 / (255 * torch.tensor(deviation).expand(count).reshape(1, -1, 1, 1))
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", 255 * shift, persistent=saved)
        self.register_buffer("scale", scale, persistent=saved)

    def forward(self, images: Tensor) -> Tensor:
        """`(images, height, width, channels)` → `(images, channels, height, width)`.

        A grey image becomes three equal channels where the encoder wants three.
        """
        if not torch.compiler.is_exporting():
            return self._by_rows(images)
        # Transposing bytes and then casting is 2.5 times as fast as the other order.  Planes that
        # lie one after the other keep the exporter from reordering what is pooled from them.
        planes = images.permute(0, 3, 1, 2).contiguous().float()
        return (planes - self.mean) * self.scale

    def _by_rows(self, images: Tensor) -> Tensor:
        """Do the same three times as fast in torch, which is slow where the innermost axis is 3.

        The result is channels last in memory, as the frames are: no byte moves.
        """
        width, channels = images.shape[2], self.mean.shape[1]
        rows = images.expand(-1, -1, -1, channels).flatten(2).float()
        rows = rows.sub_(self.mean.flatten().repeat(width)).mul_(self.scale.flatten().repeat(width))
        return rows.reshape(*images.shape[:3], channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Encoder:
    """A built encoder.

    Attributes:
        module: images → features.
        features: how many.
        channels: of the images that it takes.
        pretrained: whether its weights learnt something before.
        notes: what the user should know about its weights.
    """

    module: nn.Module
    features: int
    channels: int
    pretrained: bool
    notes: tuple[str, ...] = ()


class EncoderEnsemble(nn.Module):
    """Encoders of one kind on the same images, their features side by side."""

    def __init__(self, encoders: Sequence[nn.Module]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)

    def forward(self, images: Tensor) -> Tensor:
        """`(images, channels, height, width)` → `(images, encoders × features)`."""
        return torch.cat([encoder(images).flatten(1) for encoder in self.encoders], dim=1)


def _flatten(channels: int, height: int, width: int) -> nn.Module:
    return nn.Flatten()


def _small_cnn(channels: int, height: int, width: int) -> nn.Module:
    """Four convolutions of stride 2: no pooling between, ReLU only, fast in every runtime.

    The mean over positions at the end generalises to new people and rooms far better than a layer
    over all of them; where the hand is survives in the features, because padding marks the borders.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise((channels, 16, 32, 64, 96)):
        layers += [
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        ]
    # No ReLU at the end: a recurrent head learns far faster from features of both signs.
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 128))


def _torchvision(name: str) -> Callable[[int, int, int], nn.Module]:
    def build(channels: int, height: int, width: int) -> nn.Module:
        from seqvision.compat import torchvision

        network: nn.Module = torchvision.models.get_model(name, weights=None)
        if name.startswith("vgg"):
            # Its 7 × 7 grid would be 25088 features; a mean over the grid serves a head better.
            network.avgpool = nn.AdaptiveAvgPool2d(1)
        if name.startswith("squeezenet"):
            network.classifier = nn.AdaptiveAvgPool2d(1)
        elif name.startswith(("resnet", "shufflenet")):
            network.fc = nn.Identity()
        else:
            network.classifier = nn.Identity()
        return network

    return build


BUILDERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "flatten": _flatten,
    "small_cnn": _small_cnn,
    "mobilenet_v2": _torchvision("mobilenet_v2"),
    "mobilenet_v3_small": _torchvision("mobilenet_v3_small"),
    "mobilenet_v3_large": _torchvision("mobilenet_v3_large"),
    "resnet18": _torchvision("resnet18"),
    "resnet50": _torchvision("resnet50"),
    "vgg16": _torchvision("vgg16"),
    "efficientnet_b0": _torchvision("efficientnet_b0"),
    "shufflenet_v2_x1_0": _torchvision("shufflenet_v2_x1_0"),
    "squeezenet1_1": _torchvision("squeezenet1_1"),
}


def build_encoder(
    name: str,
    weights: str,
    channels: int,
    height: int,
    width: int,
    frame_content: bytes | None = None,
    hands: int = 2,
    landmarks: str = "lite",
) -> Encoder:
    """Build an encoder and load its weights.

    Args:
        name: a key of `BUILDERS`, `timm:` and a name of timm's, or the path of an ONNX file.
        weights: `none`, `imagenet`, the path of a state dict (.pth, .safetensors), or `auto`:
            ImageNet where it can be had, else none, with a line in `notes`.
        channels, height, width: of the images as the card has them.
        frame_content: the adapted graph, where the encoder is an ONNX file that was read before.
        hands, landmarks: how many hands, and which networks, of an encoder of landmarks.

    Raises:
        WeightsError: the given weights cannot be loaded, or do not fit; or a network of timm
            cannot be had, or does not take this size.
    """
    if is_onnx(name):
        return _of_file(name, channels, height, width, frame_content)
    if name in LANDMARKS:
        from seqvision.landmarks.encoder import LandmarkEncoder

        encoder = LandmarkEncoder(name, height, width, hands, landmarks)
        return Encoder(encoder, encoder.features, 3, pretrained=True)
    if name == NO_ENCODER:
        return Encoder(Standardize(width), width, 1, pretrained=False)
    from_scratch = name in FROM_SCRATCH
    pretrained = False
    module = (
        timm_network(name, height, width)
        if is_timm(name)
        else BUILDERS[name](channels, height, width)
    )
    notes: tuple[str, ...] = ()
    if from_scratch and weights == "imagenet":
        raise WeightsError(f"--weights imagenet: {name} has none; take an encoder of torchvision")
    if weights not in ("auto", "none", "imagenet"):
        _load(module, Path(weights), name)
        pretrained = True
    elif not from_scratch and weights != "none":
        try:
            if is_timm(name):
                module = timm_network(name, height, width, pretrained=True)
            else:
                _fit(module, _imagenet(name), f"the ImageNet weights of {name}")
            pretrained = True
        except WeightsError as error:
            if weights == "imagenet":
                raise
            notes = (f"{name} starts from random weights: {error}",)
    input_channels = channels if from_scratch else 3
    module.eval()
    try:
        with torch.no_grad():
            pixels = torch.zeros(1, input_channels, height, width)
            features = module(pixels).flatten(1).shape[1]
    except (AssertionError, RuntimeError, ValueError):
        if is_timm(name):
            raise size_error(name, height, width) from None
        raise WeightsError(f"--size {height}: too small for {name}") from None
    module.train()
    return Encoder(module, int(features), input_channels, pretrained, notes)


def _of_file(name: str, channels: int, height: int, width: int, content: bytes | None) -> Encoder:
    path = Path(name)
    if content is None:
        module = frame_model(path, channels, height, width)
    else:
        module = FrameModel(content, path.name)
        if (module.height, module.width) != (height, width) or module.channels < channels:
            raise WeightsError(f"--encoder {path.name}: its images are not those of the card")
    notes = (
        f"{path.name}: {module.features} features of images of {width}×{height}; it stays as it is",
    )
    return Encoder(module, module.features, module.channels, True, notes)


def pixel_range(
    name: str, normalize: str, channels: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]]:  # mean, deviation
    """Return mean and deviation of the encoder's pixels, on a scale of 0 to 1.

    Args:
        name: of the encoder.
        normalize: the option.
        channels: of the images that it takes.

    Raises:
        WeightsError: the range has more channels than the images.
    """
    if is_onnx(name):
        return _range_of_file(name, normalize, channels)
    if name in LANDMARKS:
        return UNIT
    if ":" in normalize:
        return pixel_numbers(normalize)
    if normalize == "auto" and is_timm(name):
        return timm_pixel_range(name)
    if normalize == "auto":
        normalize = "symmetric" if name in FROM_SCRATCH else "imagenet"
    return _RANGES[normalize]


_RANGES = {"imagenet": IMAGENET, "symmetric": SYMMETRIC, "unit": UNIT, "bytes": BYTES}


def _range_of_file(
    name: str, normalize: str, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if normalize == "auto":  # most models of pictures in colour are of ImageNet
        normalize = "imagenet" if channels == 3 else "unit"
    found = pixel_numbers(normalize) if ":" in normalize else _RANGES[normalize]
    if len(found[0]) > channels:
        raise WeightsError(
            f"--normalize {normalize}: has three channels, {Path(name).name} takes grey images"
        )
    return found


def _imagenet(name: str) -> dict[str, Tensor]:
    """Return torchvision's ImageNet weights from torch's cache, or download them."""
    from seqvision.compat import torchvision

    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"ImageNet weights could not be had from {weights.url} ({_reason(error)}); "
            "give a file with --weights PATH.pth, or --weights none"
        ) from None
    return state


def _reason(error: BaseException) -> str:
    return " ".join(str(getattr(error, "reason", error)).split())[:100] or type(error).__name__


def _load(module: nn.Module, path: Path, name: str) -> None:
    if not path.is_file():
        raise WeightsError(f"--weights {path}: no such file (or: imagenet, none)")
    try:
        if path.suffix.lower() == ".safetensors":
            state: Any = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # both raise many unrelated types for a damaged or hostile file
        raise WeightsError(f"--weights {path}: not a file of weights") from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"--weights {path}: not a state dict (names → tensors)")
    _fit(module, state, f"--weights {path}, encoder {name}")


def _fit(module: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load all that the encoder has; the layers of the old classifier may be left over."""
    own = module.state_dict()
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise WeightsError(f"{where}: {len(missing)} tensors are missing, first {missing[0]}")
    for key, tensor in own.items():
        if key in state and state[key].shape != tensor.shape:
            found = list(state[key].shape)
            raise WeightsError(f"{where}: {key} is {found}, must be {list(tensor.shape)}")
    module.load_state_dict({key: state[key] for key in own if key in state}, strict=False)
