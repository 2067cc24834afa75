"""The whole network: uint8 frames → logits."""

import torch
from torch import Tensor, nn

from seqvision.config import ModelOptions
from seqvision.models.encoders import EncoderEnsemble, Normalize, build_encoder, pixel_range
from seqvision.models.heads import HeadEnsemble, MeanHead, RecurrentHead, Steps, step_mask
from seqvision.models.timm_encoders import is_timm
from seqvision_edge.card import ImageSpec


class Classifier(nn.Module):
    """An encoder applied to every step (TimeDistributed), and a head over the steps."""

    def __init__(
        self,
        options: ModelOptions,
        image: ImageSpec,
        labels: int,
        frame_content: bytes | None = None,
    ) -> None:
        """Build the network.

        `frame_content` is the graph of an ONNX encoder that was read before.

        Raises:
            WeightsError: the encoder's weights cannot be had, or do not fit.
        """
        super().__init__()
        encoders = [
            build_encoder(
                options.encoder,
                options.weights,
                image.channels,
                image.height,
                image.width,
                frame_content,
                options.hands,
                options.landmarks,
            )
            for _ in range(1 if options.freeze else options.ensemble)
        ]
        first = encoders[0]
        self.normalize = Normalize(
            *pixel_range(options.encoder, options.normalize, first.channels),
            first.channels,
            saved=is_timm(options.encoder),
        )
        self.encoder = (
            first.module
            if len(encoders) == 1
            else EncoderEnsemble([encoder.module for encoder in encoders])
        )
        self.features = first.features * len(encoders)
        self.pretrained = first.pretrained
        self.notes = first.notes
        self.frozen = options.freeze
        self.layout = torch.channels_last
        self.center = options.center
        self.steps = Steps(self.features, options.reads, options.center)
        width = self.steps.width // len(encoders)
        heads = [_head(options, width, labels) for _ in range(options.ensemble)]
        self.head: MeanHead | RecurrentHead | HeadEnsemble = heads[0]
        if options.ensemble > 1:
            own = first.features if len(encoders) > 1 else None
            self.head = HeadEnsemble(heads, own)
        # A change needs the features of the step before: with motion they are what is kept.
        self._kept_as_features = options.reads != "none"
        self.memory = self.features if self._kept_as_features else self.head.width
        if self.frozen:
            self.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> "Classifier":
        """Switch between training and inference; a frozen encoder always infers."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encode(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, height, width, channels)` uint8 → features `(batch, time, features)`.

        Padding is not encoded: it costs nothing and cannot touch the batch statistics.
        """
        batch, time = frames.shape[:2]
        if lengths is None:
            return self._encode_images(frames.flatten(0, 1)).reshape(batch, time, self.features)
        mask = step_mask(frames, lengths)
        encoded = self._encode_images(frames[mask])
        features = encoded.new_zeros(batch, time, self.features)
        features[mask] = encoded
        return features

    def arrange(self, layout: torch.memory_format) -> None:
        """Choose how the encoder's pixels lie in memory: what it answers is the same."""
        self.layout = layout
        self.encoder.to(memory_format=layout)  # type: ignore[call-overload]

    def _encode_images(self, images: Tensor) -> Tensor:
        planes = self.normalize(images)
        if self.layout is not torch.channels_last:  # which they are
            planes = planes.contiguous(memory_format=self.layout)
        features: Tensor = self.encoder(planes).flatten(1)
        return features

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits `(batch, labels)`.

        Args:
            inputs: frames as for `encode`, or (float) features that `encode` gave.
            lengths: `(batch,)` steps that are not padding; None: all.
        """
        features = self.encode(inputs, lengths) if inputs.dtype == torch.uint8 else inputs
        return self.decide(features, lengths)

    def decide(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of a window `(batch, time, features)` → logits `(batch, labels)`."""
        logits: Tensor = self.head(self.steps(features, lengths), lengths)
        return logits

    def logits_of_members(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the logits of each member of an ensemble, `(members, batch, labels)`.

        Each learns by itself; a network that is no ensemble is its only member.
        """
        features = self.encode(inputs, lengths) if inputs.dtype == torch.uint8 else inputs
        steps = self.steps(features, lengths)
        if isinstance(self.head, HeadEnsemble):
            return self.head.of_members(steps, lengths)
        logits: Tensor = self.head(steps, lengths)
        return logits[None]

    def parameters_of_members(self) -> list[list[nn.Parameter]]:
        """Return the parameters that each member of an ensemble has for itself."""
        if not isinstance(self.head, HeadEnsemble):
            return [list(self.parameters())]
        parts = [list(head.parameters()) for head in self.head.heads]
        if isinstance(self.encoder, EncoderEnsemble):
            for part, encoder in zip(parts, self.encoder.encoders, strict=True):
                part += encoder.parameters()
        return parts

    def step_memory(self, features: Tensor) -> Tensor:
        """Return what of each step is worth keeping for later answers: `(batch, time, memory)`.

        It is all that can be computed of a step alone, so that no frame has it computed twice.
        """
        return features if self._kept_as_features else self.head.per_step(self.steps(features))

    def logits_from_memory(self, memory: Tensor) -> Tensor:
        """The `step_memory` of a window → logits `(batch, labels)`, as `decide` gives them."""
        return self.decide(memory) if self._kept_as_features else self.head.decide(memory)

    def attention(self, frames: Tensor) -> Tensor | None:
        """Return how much the head's pooling counts each step of unpadded clips.

        Args:
            frames: as for `encode`.

        Returns:
            `(batch, time)`, each row with the sum 1; None where the head has no attention pooling.
        """
        if isinstance(self.head, MeanHead):
            return None
        return self.head.attention(self.steps(self.encode(frames)))


def _head(options: ModelOptions, features: int, labels: int) -> MeanHead | RecurrentHead:
    if options.head == "mean":
        return MeanHead(features, labels, hidden=options.hidden, dropout=options.dropout)
    return RecurrentHead(
        options.head,
        features,
        labels,
        hidden=options.hidden,
        layers=options.layers,
        bidirectional=options.bidirectional,
        pool=options.pool,
        dropout=options.dropout,
        project=_projection(options, features),
        center=options.center and options.reads == "none",
    )


def _projection(options: ModelOptions, features: int) -> int:
    """Return how wide the head reads the features; 0: as they are.

    Four gates of the head's width make features up to four times as wide cheap enough.
    """
    if options.projection != "auto":
        return options.projection
    return options.hidden if features > 4 * options.hidden else 0
