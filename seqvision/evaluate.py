"""`seqvision evaluate`: a model's figures on clips, by the functions that training uses."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from seqvision.config import EvaluateOptions, place_of
from seqvision.data.cache import Cache
from seqvision.data.clips import Clip
from seqvision.data.dataset import ClipDataset, EpochSampler, collate
from seqvision.data.decode import Decoded, Store, decode_all
from seqvision.data.readers import find_data_set
from seqvision.errors import DataError
from seqvision.metrics import Metrics, measure
from seqvision.models.classifier import Classifier
from seqvision.progress import progress
from seqvision.report import metrics_table
from seqvision.training.checkpoint import load_model
from seqvision.training.device import pick_device
from seqvision_edge.card import ModelCard


def evaluate(options: EvaluateOptions) -> Metrics:
    """Measure `options.model` on `options.data`, print a table and write the JSON.

    Raises:
        SeqvisionError: the model or the clips cannot be used.
    """
    device = pick_device(options.device)
    model, card = load_model(options.model)
    place = place_of(options)
    clips, decoded = load_clips(
        place, card, options.image_fps, options.cache, options.split,
        options.dataset, options.official,
    )  # fmt: skip
    truth = torch.tensor([card.labels.index(clip.label) for clip in clips])
    probabilities = predict(model.to(device), card, decoded, options.batch_size)
    metrics = measure(probabilities, truth, card.labels)
    metrics_table(metrics, f"{options.model} on {len(clips)} clips of {place}")
    if options.output is not None:
        write_json(options.output, metrics)
    return metrics


def load_clips(
    data: Path,
    card: ModelCard,
    image_fps: float,
    cache: Path,
    split: str = "all",
    dataset: str = "auto",
    official: int = 1,
) -> tuple[list[Clip], list[Decoded]]:
    """Find and decode the clips of a data set as the card wants them; say which cannot be read.

    Raises:
        DataError: none is left, or a label that the model does not know.
    """
    data_set = find_data_set(data, dataset, card.sequence.kind != "video", official)
    for note in data_set.notes:
        print(f"note: {note}", file=sys.stderr)  # noqa: T201
    found = [clip for clip in data_set.clips if split in ("all", clip.split)]
    if not found:
        raise DataError(f"{data}: no clip has the split {split}")
    strange = sorted({clip.label for clip in found} - set(card.labels))
    if strange:
        raise DataError(
            f"{data}: the model does not know the label {strange[0]!r} "
            f"(it knows {', '.join(card.labels)})"
        )
    with progress("decoding") as advance:
        clips, decoded, broken = decode_all(
            Store(Cache(cache), card.image, image_fps, card.sequence), found, advance
        )
    for line in broken:
        print(f"left out: {line}", file=sys.stderr)  # noqa: T201
    if not clips:
        raise DataError(f"{data}: none of its {len(found)} clips can be read")
    return clips, decoded


@torch.inference_mode()
def predict(
    model: Classifier, card: ModelCard, clips: Sequence[Decoded], batch_size: int
) -> Tensor:
    """Return probabilities `(clips, labels)` for the centre window of each clip."""
    data = ClipDataset(clips, [0] * len(clips), card.image, card.sequence)
    order = EpochSampler(data, seed=0, shuffle=False)
    device = next(model.parameters()).device
    model.eval()
    answers = []
    for batch in DataLoader(data, batch_size, sampler=order, collate_fn=collate):
        logits = model(batch.inputs.to(device), batch.lengths)
        answers.append((logits.float() / card.decision.temperature).softmax(dim=1).cpu())
    return torch.cat(answers)


def write_json(path: Path, metrics: Metrics) -> None:
    """Write metrics as JSON.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(metrics.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"--output {path}: cannot be written ({error.strerror})") from None
