"""The whole network: uint8 frames → logits."""

import torch
from torch import Tensor, nn

from seqvision.config import ModelOptions
from seqvision.config.option_types import NO_ENCODER
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

        Args:
            options: a `center` that is still to be measured is off.
            image: a step's image.
            labels: how many there are.
            frame_content: the graph of an ONNX encoder that was read before.

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
            for _ in range(
                1 if options.freeze or options.encoder == NO_ENCODER else options.ensemble
            )
        ]
        first = encoders[0]
        self.reads_vectors = options.encoder == NO_ENCODER
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
        self.center = options.centers
        self.steps = Steps(self.features, options.reads, self.center)
        own = first.features if len(encoders) > 1 else None
        width = self.steps.width // len(encoders)
        self.head = _heads(options, width, labels, own)
        self.rival: Rival | None = None
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

        Vectors are `(batch, time, features)` float32.  Padding is not encoded: it costs nothing and
        cannot touch the batch statistics.
        """
        if self.reads_vectors:
            standard: Tensor = self.encoder(frames)
            if lengths is None:
                return standard
            return standard.masked_fill(~step_mask(frames, lengths)[:, :, None], 0.0)
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
        if self.rival is not None:
            self.rival.network.arrange(layout)

    def _encode_images(self, images: Tensor) -> Tensor:
        planes = self.normalize(images)
        if self.layout is not torch.channels_last:  # which they are
            planes = planes.contiguous(memory_format=self.layout)
        features: Tensor = self.encoder(planes).flatten(1)
        return features

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return logits `(batch, labels)`.

        Args:
            inputs: frames as for `encode`, or (float) features that `encode` gave; of a model of
                vectors always what `encode` takes.
            lengths: `(batch,)` steps that are not padding; None: all.
        """
        return self.decide(self._features(inputs, lengths), lengths)

    def _is_raw(self, inputs: Tensor) -> bool:
        return self.reads_vectors or inputs.dtype == torch.uint8

    def decide(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features of a window `(batch, time, features)` → logits `(batch, labels)`."""
        logits: Tensor = self.head(self.steps(features, lengths), lengths)
        return logits

    def logits_of_members(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the logits of each member of an ensemble, `(members, batch, labels)`.

        Each learns by itself; a network that is no ensemble is its only member.
        """
        return torch.cat(self.learning(inputs, lengths))

    def learning(self, inputs: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Return the logits of the members of each network that learns.

        There is one, or two while it is not known which is better.
        """
        rival = self.rival
        if rival is None:
            return [self._of_members(self._features(inputs, lengths), lengths)]
        features = inputs
        if rival.shares_features:
            inputs = features = self._features(inputs, lengths)
        found = []
        if not (rival.chosen and rival.is_better):
            if not rival.shares_features:
                features = self._features(inputs, lengths)
            found.append(self._of_members(features, lengths))
        if rival.is_better or not rival.chosen:
            found += rival.network.learning(inputs, lengths)
        return found

    def _features(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        return self.encode(inputs, lengths) if self._is_raw(inputs) else inputs

    def _of_members(self, features: Tensor, lengths: Tensor | None) -> Tensor:
        steps = self.steps(features, lengths)
        if isinstance(self.head, HeadEnsemble):
            return self.head.of_members(steps, lengths)
        logits: Tensor = self.head(steps, lengths)
        return logits[None]

    def parameters_of_members(self) -> list[list[nn.Parameter]]:
        """Return the parameters that each member of an ensemble has for itself.

        An encoder belongs to the first of the heads that read it.
        """
        heads = self.head.members if isinstance(self.head, HeadEnsemble) else [self.head]
        parts = [list(head.parameters()) for head in heads]
        encoders = self.encoder.encoders if isinstance(self.encoder, EncoderEnsemble) else ()
        for part, encoder in zip(parts, encoders or (self.encoder,), strict=False):
            part += encoder.parameters()
        return parts + (self.rival.network.parameters_of_members() if self.rival else [])

    def add_rival(self, network: "Classifier") -> None:
        """Let another network of the same options, which centers, learn beside this one.

        Its encoder begins with the same weights; one that has none to learn is used by both.
        """
        shares = not any(weights.requires_grad for weights in self.encoder.parameters())
        if shares:
            network.encoder = nn.Identity()
        else:
            network.encoder.load_state_dict(self.encoder.state_dict())
        self.rival = Rival(network, shares)

    def end_rivalry(self) -> None:
        """Become the better one of the two networks, and forget the other."""
        assert self.rival is not None
        if self.rival.is_better:
            better = self.rival.network
            self.steps, self.head = better.steps, better.head
            self.center, self.memory = better.center, better.memory
            if not self.rival.shares_features:
                self.encoder = better.encoder
        self.rival = None

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


class Rival(nn.Module):
    """A second network, which centers, and how both do.

    Both learn until one is chosen; then that one alone.

    Attributes:
        network: it.
        shares_features: whether it reads the features of the first one's encoder.
        losses: on validation clips, of the first network and of this one: the mean over epochs, of
            which later ones count more; NaN before the first.
        chosen: whether only the better one learns from now on.
    """

    # How much the losses so far count against those of an epoch.
    _DECAY = 0.7

    def __init__(self, network: Classifier, shares_features: bool) -> None:
        super().__init__()
        self.network = network
        self.shares_features = shares_features
        self.losses: Tensor
        self.chosen: Tensor
        self.register_buffer("losses", torch.full((2,), float("nan"), dtype=torch.float64))
        self.register_buffer("chosen", torch.tensor(False))

    @property
    def is_better(self) -> bool:
        """Whether this network is the better one so far."""
        first, own = self.losses.tolist()
        return bool(own < first)

    def compare(self, losses: tuple[float, float]) -> None:
        """Count the losses of an epoch, of the first network and of this one."""
        new = torch.tensor(losses, dtype=torch.float64, device=self.losses.device)
        before = torch.where(self.losses.isnan(), new, self.losses)
        self.losses.copy_(self._DECAY * before + (1 - self._DECAY) * new)


def _heads(
    options: ModelOptions, features: int, labels: int, own: int | None
) -> MeanHead | RecurrentHead | HeadEnsemble:
    heads = [_head(options, features, labels) for _ in range(options.ensemble)]
    return heads[0] if len(heads) == 1 else HeadEnsemble(heads, own)


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
        center=options.centers and options.reads == "none",
    )


def _projection(options: ModelOptions, features: int) -> int:
    """Return how wide the head reads the features; 0: as they are.

    Four gates of the head's width make features up to four times as wide cheap enough.
    """
    if options.projection != "auto":
        return options.projection
    return options.hidden if features > 4 * options.hidden else 0
