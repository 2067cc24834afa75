"""YAML files with things wrong in them, for every option that takes one: read, or one short line.

A share runs always; `SEQVISION_FUZZ=all` runs every seed.
"""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seqvision.config import AugmentOptions, TrainOptions, from_yaml
from seqvision.config.resume import NAME as SELF_TRAINING
from seqvision.config.resume import load_self_training_options
from seqvision.data.augment.augmenter import make_augmenter
from seqvision.tuning.search_space import read_space
from seqvision_edge.errors import SeqvisionError
from seqvision_edge.sources.parse import read_listing

ALL = os.environ.get("SEQVISION_FUZZ") == "all"
SEEDS, SHARE = 20_000, 40
# CPU seconds for one file; a file of its size takes milliseconds.
LONGEST = 2.0

SOUND = {
    "options": "data: frames/\nmodel:\n  encoder: small_cnn\n  head: gru\n  hidden: 64\n"
    "training:\n  epochs: 20\n  lr: 0.003\nclips:\n  fps: 8\n  size: 64\n",
    "space": "encoder: [small_cnn, mobilenet_v2]\nlr: {low: 0.0001, high: 0.01, log: true}\n"
    "hidden: {low: 16, high: 256}\nhead: [gru, lstm]\n",
    "augment": "clip:\n- Affine:\n    rotate: [-10, 10]\n    scale: [0.9, 1.1]\n- Sometimes:\n"
    "    p: 0.3\n    then_list:\n    - AdditiveGaussianNoise: {scale: [0, 10]}\n"
    "frame: []\ntime:\n  speed: [0.8, 1.25]\n  drop: 0.05\n",
    "sources": "door: rtsp://camera.local/1\nfile: clip.mp4\nhall: {camera: 0}\n",
    "self_training": "model: model.pt\nlabelled: frames/\nunlabelled: more/\nrounds: 3\n",
}
TOKENS = (
    "&a ", "*a", "<<: *a\n", "<<: {}\n", "!!python/object:os.system ", "!!bool ", "!!timestamp ",
    "!!binary ", "!own ", "? ", "---\n", "...\n", "%TAG ! tag:x,2000:\n", "\t", "\x00", "\x07",
    "\x1b[2J", "\u202e", "\ufeff", "[" * 300, "{a: " * 200, "- " * 300, "]", "}", ": ", "|\n",
    ">-\n", "'", '"', "\\", "#", "9" * 5000, "1e999", "-.inf", ".nan", "0x" + "f" * 400, "1_0",
    "2026-11-30", "null", "true", "~", "é" * 200, "\U0001f469\u200d\U0001f4bb", "..", "/", "~/",
    "a: " + "b" * 20_000, "${HOME}", "env:PATH", "\n", "\r", " " * 300, "- - - ", "[[]]", "{}",
    "encoder", "lr",
)  # fmt: skip


def damaged(seed: int) -> tuple[str, bytes]:
    """Return which option a file is for, and its content."""
    generator = random.Random(seed)
    kind = generator.choice(sorted(SOUND))
    text = SOUND[generator.choice(sorted(SOUND))] if generator.random() < 0.1 else SOUND[kind]
    for _ in range(generator.randint(1, 6)):
        at, way = generator.randint(0, len(text)), generator.random()
        end = min(len(text), at + generator.randint(0, 12))
        if way < 0.5:
            text = text[:at] + generator.choice(TOKENS) + text[at:]
        elif way < 0.75:
            text = text[:at] + generator.choice(TOKENS) + text[end:]
        elif way < 0.9:
            text = text[:at] + text[end:]
        else:
            lines = text.splitlines(keepends=True)
            generator.shuffle(lines)
            text = "".join(lines)
    content = text.encode("utf-8", "surrogatepass")
    if generator.random() < 0.1:
        at = generator.randint(0, len(content))
        content = content[:at] + generator.randbytes(3) + content[at:]
    return kind, content


def read(kind: str, path: Path) -> None:
    """Read a file as the command does that takes it."""
    if kind == "options":
        from_yaml(path)
    elif kind == "space":
        read_space(path, TrainOptions(), ())
    elif kind == "augment":
        make_augmenter(AugmentOptions(augment=str(path)), ["left", "none", "right"])
    elif kind == "sources":
        read_listing(path, {"HOME": "/home/anna"})
    else:
        path.rename(path.with_name(SELF_TRAINING))
        load_self_training_options(path.parent)


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(2))
def test_a_damaged_yaml_file_is_read_or_is_one_line(
    part: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    step = 2 * (1 if ALL else SHARE)
    refused = 0
    seeds = range(part * (step // 2), SEEDS, step)
    for seed in seeds:
        kind, content = damaged(seed)
        path = tmp_path / "file.yaml"
        path.write_bytes(content)
        began = time.process_time()
        try:
            read(kind, path)
        except SeqvisionError as error:
            refused += 1
            text = str(error)
            assert "\n" not in text.strip(), f"seed {seed}: {text!r}"
            assert len(text) < 600, f"seed {seed}: {text!r}"
        except Exception as error:
            raise AssertionError(f"seed {seed}, {kind}: {error!r}; {content[:300]!r}") from error
        assert time.process_time() - began < LONGEST, f"seed {seed}"
    record_property("tried", ("damaged YAML files", len(seeds)))
    assert refused > len(seeds) / 4, "most of them are wrong"


def test_valid_files_are_read(tmp_path: Path) -> None:
    for kind in SOUND:
        path = tmp_path / f"{kind}.yaml"
        path.write_text(SOUND[kind])
        read(kind, path)
