"""Which memory layout and number format train this encoder fastest, timed on this machine.

Neither can be known from the model: bf16 halves a step where the processor has instructions for it
and doubles it where it has not; a layout that suits one convolution does not suit another.
"""

import contextlib
import copy
import functools
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import torch
from torch import nn

from seqvision.config import TrainingOptions
from seqvision.data.cache import Cache, touch
from seqvision.models.classifier import Classifier
from seqvision_edge.card import ImageSpec
from seqvision_edge.files import atomic_write

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

# What is clearly faster: less may be chance, and another choice is another result.
_CLEARLY = 1.1
_SECONDS = 1.5
_STEP = 0.1
# A training that is over sooner is not worth the timing.
_SHORT = 60.0


@dataclass(frozen=True)
class Arithmetic:
    """A choice of memory format and precision, and what it rests on.

    Attributes:
        layout, precision: as --memory-format and --precision name them; never auto.
        relative: how long a step of each candidate took, 1 for the chosen one; empty if not timed.
    """

    layout: str
    precision: str
    relative: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        others = [
            f"{name} takes {share:.2f} ×"
            for name, share in self.relative.items()
            if name != _name(self.layout, self.precision)
        ]
        chosen = _name(self.layout, self.precision)
        return f"{chosen} ({', '.join(others)} as long)" if others else chosen


def choose_arithmetic(
    options: TrainingOptions,
    model: Classifier,
    image: ImageSpec,
    images: int,
    total: int,
    cache: Cache,
) -> Arithmetic:
    """Return what the options ask for, with `auto` decided.

    Timings are kept in the cache, per machine, encoder and batch: the same training, started again
    on this machine, computes with the same arithmetic.  A training of less than about a minute is
    not timed.

    Args:
        model: on the device that it will train on; it is left as it was.
        images: steps of all clips that one process puts through the encoder at once.
        total: how many it puts through in all epochs.
    """
    layouts = list(LAYOUTS) if options.memory_format == "auto" else [options.memory_format]
    precisions = ["32", "bf16"] if options.precision == "auto" else [options.precision]
    first = Arithmetic(layouts[0], precisions[0])
    convolves = any(isinstance(layer, nn.Conv2d) for layer in model.encoder.modules())
    if not options.autotune or model.frozen or not convolves:
        return first
    candidates = [(layout, precision) for layout in layouts for precision in precisions]
    if len(candidates) == 1:
        return first
    device = next(model.parameters()).device
    made_from = [*_machine(device), repr(model.encoder), image.model_dump(), images, candidates]
    kept = cache.file(made_from, ".json")
    if (known := _read(kept)) is not None:
        return known
    if _projected(model, image, min(4, images), total, candidates[0], device) < _SHORT:
        return first
    chosen = _choose(candidates, _time(model, image, images, candidates, device))
    with contextlib.suppress(OSError):  # then it is timed again
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(kept) as unfinished:
            unfinished.write_text(json.dumps(asdict(chosen)), encoding="utf-8")
    return chosen


def _choose(candidates: list[tuple[str, str]], seconds: list[list[float]]) -> Arithmetic:
    """Take a later candidate only where it is clearly faster than the one before."""

    def ratio(one: int, other: int) -> float:
        # Of each round by itself: a round in which the machine was busy slows both.
        return median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))

    best = 0
    for number in range(1, len(candidates)):
        if ratio(best, number) >= _CLEARLY:
            best = number
    relative = {
        _name(*candidate): round(ratio(number, best), 2)
        for number, candidate in enumerate(candidates)
    }
    return Arithmetic(*candidates[best], relative)


def _projected(
    model: Classifier,
    image: ImageSpec,
    count: int,
    total: int,
    candidate: tuple[str, str],
    device: torch.device,
) -> float:
    """Return about how many seconds the training will take."""
    with _undisturbed(device):
        (step,) = _steps(model, image, count, [candidate], device)
        step()
        return min(_seconds(step, device) for _ in range(3)) * total / count


def _time(
    model: Classifier,
    image: ImageSpec,
    images: int,
    candidates: list[tuple[str, str]],
    device: torch.device,
) -> list[list[float]]:
    """Return seconds of a step for each candidate, in rounds that take them in turn."""
    with _undisturbed(device):
        count = min(4, images)
        steps = _steps(model, image, count, candidates, device)
        while count < images and _seconds(steps[0], device) < _STEP / 2:
            count = min(2 * count, images)
            steps = _steps(model, image, count, candidates, device)
        for step in steps:
            step()  # compiled and planned by the first call
        seconds: list[list[float]] = [[] for _ in candidates]
        began = time.perf_counter()
        while not seconds[0] or time.perf_counter() - began < _SECONDS:
            for step, taken in zip(steps, seconds, strict=True):
                taken.append(_seconds(step, device))
    return seconds


def _steps(
    model: Classifier,
    image: ImageSpec,
    count: int,
    candidates: list[tuple[str, str]],
    device: torch.device,
) -> list[Callable[[], None]]:
    shape = (1, count, image.height, image.width, image.channels)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)

    def step(trial: Classifier, dtype: torch.dtype | None) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            loss = trial.encode(frames).float().square().mean()
        trial.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)

    steps: list[Callable[[], None]] = []
    for layout, precision in candidates:
        trial = copy.deepcopy(model).train()
        trial.arrange(LAYOUTS[layout])
        dtype = {"bf16": torch.bfloat16, "16": torch.float16}.get(precision)
        steps.append(functools.partial(step, trial, dtype))
    return steps


def _seconds(step: Callable[[], None], device: torch.device) -> float:
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


@contextlib.contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Leave the random state as it was."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def processor() -> str:
    """Return the processor's own name, where the system reports it."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _machine(device: torch.device) -> list[str | int]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    return ["arithmetic", str(torch.__version__), name, torch.get_num_threads()]


def _read(path: Path) -> Arithmetic | None:
    try:
        known = Arithmetic(**json.loads(path.read_text(encoding="utf-8")))
        touch(path)
    except (OSError, ValueError, TypeError):
        return None
    return known


def _name(layout: str, precision: str) -> str:
    return f"{layout} {precision if precision == 'bf16' else f'fp{precision}'}"
