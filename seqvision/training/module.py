"""One training step, one validation step, and how the learning rate goes."""

from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from seqvision.config import TrainingOptions
from seqvision.data.dataset import Batch
from seqvision.metrics import measure
from seqvision.models.classifier import Classifier
from seqvision.training.mixup import Mixed, mix


class ClassifierModule(L.LightningModule):
    """Trains a classifier with AdamW and cross-entropy."""

    def __init__(
        self,
        model: Classifier,
        options: TrainingOptions,
        labels: tuple[str, ...],
        lr: float,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self._lr = lr
        self.model = model
        self.labels = labels
        self._options = options
        self._loss = nn.CrossEntropyLoss(
            weight=class_weights, label_smoothing=options.label_smoothing
        )
        self._probabilities: list[Tensor] = []
        self._truth: list[Tensor] = []
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begin each step with its own random state, so that a resumed training goes on alike."""
        place = (self._options.seed, self.current_epoch, batch_idx)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        mixed = mix(batch, self._options.mixup) if self._options.mixup else Mixed.plain(batch)
        logits = self.model(mixed.batch.inputs, mixed.batch.lengths)
        answers = logits.argmax(dim=1)
        loss = mixed.over_labels(lambda labels: self._loss(logits, labels))
        correct = mixed.over_labels(lambda labels: (answers == labels).float().mean())
        size = len(batch.labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=size)
        self.log("train/accuracy", correct, on_step=False, on_epoch=True, batch_size=size)
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.log("train/lr", rate, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Collect the answers; the figures are of all clips at once, not a mean over batches."""
        logits = self.model(batch.inputs, batch.lengths)
        self._probabilities.append(logits.float().softmax(dim=1).cpu())
        self._truth.append(batch.labels.cpu())

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the whole validation part."""
        probabilities, truth = torch.cat(self._probabilities), torch.cat(self._truth)
        self._probabilities.clear()
        self._truth.clear()
        metrics = measure(probabilities, truth, self.labels)
        for name in ("loss", "accuracy", "f1"):
            self.log(f"val/{name}", getattr(metrics, name))
        # Here, not by Lightning, which steps after the checkpoint: a resumed run would miss a step.
        if self._plateau is not None:
            self._plateau.step(getattr(metrics, self._options.monitor))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what the plateau schedule has seen."""
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again, once the optimizer is there."""
        self._plateau_state = checkpoint.get("plateau")

    def configure_optimizers(self) -> Any:
        """Return AdamW and the schedule; biases and norms are not decayed."""
        options = self._options
        learning = [p for p in self.model.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in learning if p.ndim > 1]},
            {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            groups,
            lr=self._lr,
            weight_decay=options.weight_decay,
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
        # Smith & Topin 2018: one rise, one fall, step by step, momentum the other way round.
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._lr,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=options.warmup,
        )
        step = {"scheduler": cycle, "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": step}
