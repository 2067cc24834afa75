"""Features of the steps → logits: what reads a clip over time."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def centered(steps: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Subtract from each feature its mean over the steps of its clip.

    What is the same in all steps, such as the person or the room, is gone; what changes is left.

    Args:
        steps: `(batch, time, features)`.
        lengths: `(batch,)` steps that are not padding, which no mean counts; None: all.
    """
    if lengths is None:
        return steps - steps.mean(dim=1, keepdim=True)
    counted = steps.masked_fill(~step_mask(steps, lengths)[:, :, None], 0.0)
    return steps - counted.sum(dim=1, keepdim=True) / lengths[:, None, None].to(steps)


class Steps(nn.Module):
    """Encoder features as the head reads them: on one scale, with their change where enabled.

    The change is |x(t) − x(t−1)|, and 0 for the first step of a window.  A frozen encoder's
    features describe what is in a picture; their change describes how much moves, which a small
    head can hardly compute by itself from few clips.

    With `center` the features have the mean 0 over each window; a change has none of what stays
    the same anyway.  Without motion the head centers what its projection leaves of the features:
    a projection is linear, so this is the same, and each step is projected once.
    """

    def __init__(self, features: int, motion: str, center: bool = False) -> None:
        super().__init__()
        self.motion = motion
        self.center = center
        self.width = features * (2 if motion == "both" else 1)
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, features)` → `(batch, time, width)`; `lengths` leaves padding out."""
        if self.center and self.motion != "none":
            features = centered(features, lengths)
        return (self._read(features) - self.mean) * self.scale

    def carry(self, features: Tensor, before: Tensor) -> Tensor:
        """Read steps of which the one before is known: `before` is `(batch, 0 or 1, features)`."""
        kept = before.shape[1]
        previous = torch.cat((features[:, :1], before, features), dim=1)[:, kept:-1]
        return (self._join(features, previous) - self.mean) * self.scale

    def _read(self, features: Tensor) -> Tensor:
        return self._join(features, torch.cat((features[:, :1], features[:, :-1]), dim=1))

    def _join(self, features: Tensor, previous: Tensor) -> Tensor:
        if self.motion == "none":
            return features
        change = (features - previous).abs()
        return change if self.motion == "only" else torch.cat((features, change), dim=2)

    @torch.no_grad()
    def standardize(self, clips: Iterable[Tensor]) -> None:
        """Bring each feature to mean 0 and deviation 1 over training clips `(time, features)`."""
        count = 0
        # float64: a sum of squares loses what small deviations are.
        total, squares = torch.zeros(2, self.width, dtype=torch.float64)
        for clip in clips:
            whole = centered(clip[None]) if self.center else clip[None]
            steps = self._read(whole)[0].double()
            count += len(steps)
            total += steps.sum(dim=0)
            squares += steps.square().sum(dim=0)
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        # A feature that hardly ever fires must not be blown up when it does.
        self.scale.copy_(1 / (deviation + 1e-3))


class RecurrentHead(nn.Module):
    """An LSTM or GRU, then its last step or attention over all steps, then the classifier.

    Wide features are first brought to fewer, step by step: an LSTM reads every step of its window
    anew for each live frame, and its first product is as wide as they are.
    """

    def __init__(
        self,
        kind: str,
        features: int,
        labels: int,
        *,
        hidden: int,
        layers: int,
        bidirectional: bool,
        pool: str,
        dropout: float,
        project: int = 0,
        center: bool = False,
    ) -> None:
        super().__init__()
        self.center = center
        # A bias would be subtracted with the mean.
        self.project = nn.Linear(features, project, bias=not center) if project else None
        self.width = project or features
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[kind](
            self.width,
            hidden,
            layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if layers > 1 else 0.0,
        )
        self.bidirectional = bidirectional
        width = hidden * (2 if bidirectional else 1)
        self.pool = AttentionPool(width) if pool == "attention" else None
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(width, labels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, features)` → `(batch, labels)`; `lengths` leaves padding out."""
        return self.decide(self.per_step(features), lengths)

    def per_step(self, features: Tensor) -> Tensor:
        """Return each step's features, independent of its neighbours: `(batch, time, width)`."""
        return features if self.project is None else self.project(features)

    def decide(self, steps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Read steps that `per_step` gave over time: `(batch, time, width)` → `(batch, labels)`."""
        steps, last = self._read(steps, lengths)
        if self.pool is not None:
            summary = self.pool(steps, lengths)
        elif self.bidirectional:
            # Each direction's own last step: the first frame is the last one read backwards.
            summary = torch.cat((last[-2], last[-1]), dim=-1)
        else:
            summary = last[-1]
        return self.classify(self.dropout(summary))

    def attention(self, features: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        """Return how much each step counts, `(batch, time)`; None without attention pooling."""
        if self.pool is None:
            return None
        steps, _ = self._read(self.per_step(features), lengths)
        return self.pool.weights(steps, lengths)[:, :, 0]

    def carry(self, features: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Read on from where the past ended: of a head that reads forward and answers for the last
        step.

        Args:
            features: `(batch, time, features)`.
            state: h, and c of an LSTM, each `(batch, layers, hidden)`; zeros at the start.

        Returns:
            Logits `(batch, labels)` and the next state.
        """
        past = [tensor.transpose(0, 1).contiguous() for tensor in state]
        steps = self.per_step(features)
        _, last = self.rnn(steps, tuple(past) if len(past) > 1 else past[0])
        following = last if isinstance(last, tuple) else (last,)
        return self.classify(following[0][-1]), [tensor.transpose(0, 1) for tensor in following]

    def _read(self, features: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return every step `(batch, time, width)` and last states `(layers, batch, hidden)`."""
        if self.center:
            features = centered(features, lengths)
        if lengths is None:
            steps, state = self.rnn(features)
        elif not self.bidirectional:
            # Padding comes after a clip's last step and cannot reach it: packing, three times as
            # slow, is not needed.
            steps, _ = self.rnn(features)
            last = (lengths - 1).to(steps.device)
            return steps, steps[torch.arange(len(steps), device=steps.device), last][None]
        else:
            packed = nn.utils.rnn.pack_padded_sequence(
                features, lengths.cpu(), batch_first=True, enforce_sorted=False
            )
            packed_steps, state = self.rnn(packed)
            steps, _ = nn.utils.rnn.pad_packed_sequence(
                packed_steps, batch_first=True, total_length=features.shape[1]
            )
        return steps, state[0] if isinstance(state, tuple) else state


class AttentionPool(nn.Module):
    """Weighted mean over time: softmax(v · tanh(W h)), after Bahdanau et al. 2015."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, steps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, width)` → `(batch, width)`."""
        return (steps * self.weights(steps, lengths)).sum(dim=1)

    def weights(self, steps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return how much each step counts, `(batch, time, 1)`; padding counts 0."""
        scores = self.score(torch.tanh(self.project(steps)))
        if lengths is not None:
            scores = scores.masked_fill(~step_mask(steps, lengths)[:, :, None], float("-inf"))
        return torch.softmax(scores, dim=1)


class MeanHead(nn.Module):
    """The mean of the steps, whatever their order: the baseline that shows what order is worth."""

    def __init__(self, features: int, labels: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.width = hidden
        self.step = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(hidden, labels)

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, features)` → `(batch, labels)`; `lengths` leaves padding out."""
        return self.decide(self.per_step(features), lengths)

    def per_step(self, features: Tensor) -> Tensor:
        """Return each step's features, independent of its neighbours: `(batch, time, width)`."""
        steps: Tensor = self.step(features)
        return steps

    def decide(self, steps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Read steps that `per_step` gave over time: `(batch, time, width)` → `(batch, labels)`."""
        if lengths is None:
            summary = steps.mean(dim=1)
        else:
            mask = step_mask(steps, lengths)[:, :, None]
            summary = (steps * mask).sum(dim=1) / lengths[:, None].to(steps)
        return self.classify(self.dropout(summary))


class HeadEnsemble(nn.Module):
    """Heads of different random starts; their logits are averaged.

    A deep ensemble (Lakshminarayanan et al. 2017) in one network.  The mean of logits is, after the
    softmax, the normalised geometric mean of the members' probabilities.
    """

    def __init__(self, heads: Sequence[RecurrentHead | MeanHead], features: int | None) -> None:
        """Put heads side by side.

        Args:
            heads: of one kind and width.
            features: how many features the encoder of each member has; None: all heads read the
                same ones.
        """
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.features = features
        self.width = sum(head.width for head in heads)

    @property
    def members(self) -> list["RecurrentHead | MeanHead"]:
        """The heads with their type, which a ModuleList forgets."""
        return [head for head in self.heads if isinstance(head, RecurrentHead | MeanHead)]

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, features)` → `(batch, labels)`; `lengths` leaves padding out."""
        return self.of_members(features, lengths).mean(dim=0)

    def of_members(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """`(batch, time, features)` → each member's logits, `(members, batch, labels)`."""
        pairs = zip(self.members, self._features_of_members(features), strict=True)
        return torch.stack([head(part, lengths) for head, part in pairs])

    def per_step(self, features: Tensor) -> Tensor:
        """Return what each step is to all members: `(batch, time, width)`."""
        pairs = zip(self.members, self._features_of_members(features), strict=True)
        return torch.cat([head.per_step(part) for head, part in pairs], dim=2)

    def decide(self, steps: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Read steps that `per_step` gave over time: `(batch, time, width)` → `(batch, labels)`."""
        parts = torch.chunk(steps, len(self.heads), dim=2)
        pairs = zip(self.members, parts, strict=True)
        logits = [head.decide(part, lengths) for head, part in pairs]
        return torch.stack(logits).mean(dim=0)

    def attention(self, features: Tensor, lengths: Tensor | None = None) -> Tensor | None:
        """Return the mean of the members' attention, `(batch, time)`; None where they have none."""
        pairs = zip(self.members, self._features_of_members(features), strict=True)
        weights = [
            head.attention(part, lengths) for head, part in pairs if isinstance(head, RecurrentHead)
        ]
        found = [each for each in weights if each is not None]
        return torch.stack(found).mean(dim=0) if found else None

    def _features_of_members(self, features: Tensor) -> list[Tensor]:
        """Return what each member reads: its encoder's features, and their change where enabled."""
        count = len(self.heads)
        if self.features is None:
            return [features] * count
        parts = torch.split(features, self.features, dim=2)
        return [torch.cat(parts[index::count], dim=2) for index in range(count)]


def step_mask(steps: Tensor, lengths: Tensor) -> Tensor:
    """Return `(batch, time)` bool: true for steps, false for padding."""
    time = torch.arange(steps.shape[1], device=steps.device)
    return time[None, :] < lengths.to(steps.device)[:, None]
