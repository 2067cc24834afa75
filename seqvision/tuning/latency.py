"""How long a live frame takes: asked once for each architecture, whatever its weights."""

import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress

import onnxruntime
import torch

from seqvision import __version__
from seqvision.config import ModelOptions, TrainOptions
from seqvision.data.cache import Cache, touch
from seqvision.models.classifier import Classifier
from seqvision.training.autotune import processor
from seqvision.training.card import make_card
from seqvision.training.data import Data
from seqvision_edge.card import ModelCard
from seqvision_edge.files import atomic_write

# Exports a network and times a live frame of it, in milliseconds.
Measure = Callable[[Classifier, ModelCard], float]

# What does not change the graph but for the numbers in it.
_NOT_THE_GRAPH = {"weights", "normalize", "freeze", "views", "dropout"}


def machine() -> str:
    """Return what a time holds for."""
    return f"{processor()}, {os.cpu_count()} cores"


def milliseconds(measure: Measure, options: TrainOptions, data: Data, cache: Cache) -> float:
    """Return what a live frame of a network of these options takes on this machine.

    The network has random weights: how long it takes does not depend on them, and a network that
    is too slow need not be trained.
    """
    about = [
        "live frame",
        __version__,
        onnxruntime.__version__,
        torch.__version__,
        platform.node(),
        machine(),
        options.model.model_dump(exclude=_NOT_THE_GRAPH),
        data.image.model_dump(),
        data.sequence.kind,
        data.sequence.window,
        len(data.labels),
    ]
    kept = cache.file(about, ".json")
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = float(json.loads(kept.read_text(encoding="utf-8"))["ms"])
        touch(kept)
        return known
    untrained: ModelOptions = options.model.model_copy(update={"weights": "none"})
    with torch.random.fork_rng([]):
        model = Classifier(untrained, data.image, len(data.labels)).eval()
        found = measure(model, make_card(options, data, model))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as unfinished:
            unfinished.write_text(json.dumps({"ms": found}), encoding="utf-8")
    except OSError as error:
        raise cache.error(error) from None
    return found
