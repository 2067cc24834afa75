"""One training step (with mixup), one validation step, and the learning rate schedule."""

from seqvision.compat import torchvision as torchvision  # before lightning touches it

# isort: split

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from seqvision import rank
from seqvision.config import TrainingOptions
from seqvision.data.dataset import Batch
from seqvision.errors import CheckpointError
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier, Rival
from seqvision.training import distributed
from seqvision.training.distillation import TargetLoss, Targets
from seqvision.training.hardware import limit_head_threads


class ClassifierModule(L.LightningModule):
    """Trains a classifier with AdamW and cross-entropy."""

    def __init__(
        self,
        model: Classifier,
        options: TrainingOptions,
        labels: tuple[str, ...],
        lr: float,
        class_weights: Tensor | None = None,
        targets: Targets | None = None,
    ) -> None:
        """Prepare a training.

        With `targets` the labels of its batches are rows of these.
        """
        super().__init__()
        self._targets = None if targets is None else TargetLoss(targets, options, class_weights)
        self._lr = lr
        self.model = model
        limit_head_threads(model, math.ceil(options.batch_size / rank.count()))
        self.labels = labels
        self._options = options
        self._loss = nn.CrossEntropyLoss(
            weight=class_weights, label_smoothing=options.label_smoothing, reduction="sum"
        )
        self._sums: list[Tensor] = []
        self._rates: list[float] = []
        self._probabilities: list[list[Tensor]] = [[], []]
        self._truth: list[Tensor] = []
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None
        self._planned_steps: int | None = None
        self._peaks: list[float] = []

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, _: int) -> Batch:
        """Move frames and labels; lengths stay, because they are needed on the CPU."""
        return batch._replace(
            inputs=batch.inputs.to(device, non_blocking=True),
            labels=batch.labels.to(device, non_blocking=True),
        )

    def on_train_epoch_start(self) -> None:
        """Let a pretrained encoder learn from its epoch on; before, it only infers."""
        self._sums.clear()
        self._rates.clear()
        if self._options.unfreeze_at:
            learns = self.current_epoch >= self._options.unfreeze_at
            for network in self._networks:
                network.encoder.requires_grad_(learns)
                network.encoder.train(learns)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed each step by its number, so that a resumed training equals an uninterrupted one."""
        entropy = [self._options.seed, self.current_epoch, batch_idx]
        entropy += [rank.rank()] if rank.rank() else []  # each process drops other units
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        # Not `torch.manual_seed`: for devices that are not there, it keeps a stack trace each time.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        self._rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return this process's part of the loss of a batch: the weighted mean over its clips."""
        mixed = mix(batch, self._options.mixup) if self._options.mixup else Mixed.plain(batch)
        members = self.model.logits_of_members(mixed.batch.inputs, mixed.batch.padded).float()
        answers = members.mean(dim=0).argmax(dim=1)
        if self._targets is not None:
            return self._taught_step(self._targets, mixed, members, answers)
        # A sum: each member learns as it would alone.
        loss = mixed.over_labels(
            lambda labels: torch.stack([self._loss(logits, labels) for logits in members]).sum()
        )
        correct = mixed.over_labels(lambda labels: (answers == labels).sum().to(loss))
        clips = loss.new_tensor(len(batch.labels))
        # The other labels of a blend are the same ones in another order: as heavy in all.
        rarity = self._loss.weight
        own = clips if rarity is None else rarity[batch.labels].sum()
        # Gradients are averaged over the processes; their shares of a batch need not be equal.
        scaled = loss * (rank.count() / distributed.total(own.clone()))
        # Not `self.log` in every step, which costs more than a step on cached features.
        self._sums.append(torch.stack([loss.detach() / len(members), own, correct, clips]))
        return scaled

    def _taught_step(
        self, targets: TargetLoss, mixed: "Mixed", members: Tensor, answers: Tensor
    ) -> Tensor:
        """Return the same of clips with probabilities of teachers, some of them without a label."""
        rows = mixed.batch.labels
        loss = mixed.over_labels(
            lambda rows: torch.stack([targets(logits, rows) for logits in members]).sum()
        )
        correct = mixed.over_labels(lambda rows: (answers == targets.labels[rows]).sum().to(loss))
        clips = (targets.labels[rows] >= 0).sum().to(loss)
        own = targets.weights[rows].sum()
        scaled = loss * (rank.count() / distributed.total(own.clone()))
        self._sums.append(torch.stack([loss.detach() / len(members), own, correct, clips]))
        return scaled

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip here: Lightning refuses it for a fused optimizer, also where nothing is scaled."""
        if gradient_clip_val:
            for member in self.model.parameters_of_members():
                nn.utils.clip_grad_norm_(member, gradient_clip_val)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collect the answers; the figures are of all clips at once, not a mean over batches."""
        networks = self.model.learning(batch.inputs, batch.padded)
        for answers, members in zip(self._probabilities, networks, strict=False):
            logits = members.mean(dim=0)
            answers.append(logits.float().softmax(dim=1).cpu())
        self._truth.append(batch.labels.cpu())

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the epoch: of every clip once, whichever process had it."""
        loader: Any = self.trainer.val_dataloaders
        clips = len(loader.dataset)
        truth = distributed.gather_rows(torch.cat(self._truth), clips)
        self._truth.clear()
        of_networks = []
        for answers in self._probabilities:
            if answers:
                probabilities = distributed.gather_rows(torch.cat(answers), clips)
                of_networks.append(measure(probabilities, truth, self.labels))
                answers.clear()
        metrics = of_networks[0]
        if self.model.rival is not None and len(of_networks) == 2:
            metrics = self._compare(self.model.rival, of_networks[0], of_networks[1])
        if self._sums:
            sums = distributed.total(torch.stack(self._sums).double().sum(dim=0))
            loss, weight, correct, count = sums.tolist()
            self.log("train/loss", loss / weight)
            self.log("train/accuracy", correct / max(1.0, count))
            self.log("train/lr", sum(self._rates) / len(self._rates))
        for name in ("loss", "accuracy", "f1"):
            self.log(f"val/{name}", getattr(metrics, name))
        # Here, not by Lightning, which steps after the checkpoint: a resumed run would miss a step.
        if self._plateau is not None:
            self._plateau.step(getattr(metrics, self._options.monitor))

    def _compare(self, rival: Rival, first: Metrics, own: Metrics) -> Metrics:
        """Choose a network when half of the epochs are over; return the better one's figures."""
        rival.compare((first.loss, own.loss))
        epochs = int(self.trainer.max_epochs or self._options.epochs)
        if 2 * (self.current_epoch + 1) >= epochs:
            rival.chosen.fill_(True)
        return own if rival.is_better else first

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the plateau schedule has seen."""
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again, once the optimizer is there."""
        self._plateau_state = checkpoint.get("plateau")
        self._planned_steps = next(
            (each.get("total_steps") for each in checkpoint.get("lr_schedulers", ())), None
        )

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule."""
        options = self._options
        groups = self._parameter_groups()
        self._peaks = [float(group["lr"]) for group in groups]
        optimizer = torch.optim.AdamW(
            groups,
            lr=self._lr,
            weight_decay=options.weight_decay,
            # One pass over all parameters; with the loss scaling of fp16 it cannot be clipped.
            fused=options.precision != "16",
        )
        if options.schedule == "plateau":
            self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer,
                mode="min" if options.monitor == "loss" else "max",
                factor=0.3,
                patience=max(2, options.patience // 3),
            )
            if self._plateau_state is not None:
                self._plateau.load_state_dict(self._plateau_state)
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        if self._planned_steps not in (None, steps):
            raise CheckpointError(
                f"--resume: the training was planned for {self._planned_steps} steps, its options "
                f"now give {steps}; a cosine cannot be stretched: start anew, or from the "
                "beginning with --schedule plateau"
            )
        step = {"scheduler": self._cycle(optimizer, steps), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": step}

    def _cycle(
        self, optimizer: torch.optim.Optimizer, steps: int
    ) -> torch.optim.lr_scheduler.OneCycleLR:
        # torch divides by the steps of the rise less one, which five steps in all leave none of.
        options = self._options
        warmup = 0.0 if math.isclose(options.warmup * steps, 1) else options.warmup
        # Smith & Topin 2018: one rise, one fall, step by step, momentum the other way round.
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=list(self._peaks), total_steps=steps, pct_start=warmup
        )

    def plan(self, epochs: int) -> None:
        """Let the training have so many epochs from now on, the learning rate by its schedule.

        Called after an epoch: a cosine continues where one of so many epochs would be by then.
        """
        self.trainer.fit_loop.max_epochs = epochs
        for config in self.trainer.lr_scheduler_configs:
            done = config.scheduler.last_epoch
            steps = int(self.trainer.estimated_stepping_batches)
            config.scheduler = self._cycle(self.trainer.optimizers[0], steps)
            config.scheduler.last_epoch = done - 1
            config.scheduler.step()

    @property
    def _networks(self) -> list[Classifier]:
        rival = self.model.rival
        return [self.model] if rival is None else [self.model, rival.network]

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return head and encoder, each with its rate; biases and norms are not decayed.

        Rates by depth: Howard & Ruder 2018, with two depths.
        """
        encoder = {id(one) for each in self._networks for one in each.encoder.parameters()}
        groups: list[dict[str, Any]] = []
        for of_encoder, scale in ((False, 1.0), (True, self._options.encoder_lr_scale)):
            part = [
                parameter
                for parameter in self.model.parameters()
                if parameter.requires_grad and (id(parameter) in encoder) == of_encoder
            ]
            matrices = {"params": [p for p in part if p.ndim > 1], "lr": self._lr * scale}
            vectors = {"params": [p for p in part if p.ndim <= 1], "lr": self._lr * scale}
            groups += [matrices, vectors | {"weight_decay": 0.0}]
        return [group for group in groups if group["params"]]


class Mixed(NamedTuple):
    """A batch whose clips are blends.

    Attributes:
        batch: the blends; its labels are those of the first clip of each pair.
        others: `(batch,)` int64, the labels of the second.
        share: how much of each blend is the first, 0 to 1.
    """

    batch: Batch
    others: Tensor
    share: float

    @classmethod
    def plain(cls, batch: Batch) -> "Mixed":
        """Return a batch in which nothing is blended."""
        return cls(batch, batch.labels, 1.0)

    def over_labels(self, figure: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a figure of the labels of both clips, weighed by their shares."""
        of_first = figure(self.batch.labels)
        if self.share == 1:
            return of_first
        return self.share * of_first + (1 - self.share) * figure(self.others)


def mix(batch: Batch, alpha: float) -> Mixed:
    """Blend each clip with another one of the batch.

    The share comes from Beta(`alpha`, `alpha`), one for the batch, and the pairs are a permutation;
    both are drawn from torch's generator of the CPU, which each step seeds.  A blend is as long as
    its first clip; the second is resampled to that length, so that both are whole.  Frames stay
    uint8, as the network gets them otherwise; features stay float.
    """
    concentration = torch.tensor(float(alpha))
    share = float(torch.distributions.Beta(concentration, concentration).sample())
    order = torch.randperm(len(batch.labels))
    inputs = torch.empty_like(batch.inputs)
    lengths = batch.lengths.tolist()
    for index, partner in enumerate(order.tolist()):
        length, other = lengths[index], lengths[partner]
        steps = torch.arange(length, device=inputs.device) * other // length
        first = batch.inputs[index, :length]
        second = batch.inputs[partner] if other == length else batch.inputs[partner, steps]
        inputs[index, :length] = _blend(first, second[:length], share)
        inputs[index, length:] = batch.inputs[index, length:]
    order = order.to(batch.labels.device)
    return Mixed(batch._replace(inputs=inputs), batch.labels[order], share)


def _blend(first: Tensor, second: Tensor, share: float) -> Tensor:
    if first.is_floating_point():
        return torch.lerp(second, first, share)
    blended = torch.lerp(second.float(), first.float(), share)
    return blended.round_().to(first.dtype)
