"""Damaged and hostile pictures and videos are frames or one line, never a fault of this process.

A share runs always; `SEQVISION_FUZZ=all` runs every seed.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile_files import peak_megabytes
from media_mutations import mutated, pictures, videos

from seqvision_edge.errors import SourceError
from seqvision_edge.sources.decoder_process import Decoders
from seqvision_edge.sources.image_files import decode_image

ALL = os.environ.get("SEQVISION_FUZZ") == "all"
PARTS = 2
# Far more than any of these files takes.
LONGEST = 60.0
MEMORY = 256 << 20
PROGRAM = Path(__file__).with_name("hostile_files.py")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no resource limits here")


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(1 << 20, MEMORY)
    yield made
    made.close()


class Deadline:
    """Ends a test by the name of the file that takes too long."""

    def __init__(self, name: str) -> None:
        self._name, self._until = name, time.monotonic() + LONGEST

    def __call__(self) -> None:
        assert time.monotonic() < self._until, f"{self._name} never ends"


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(
    ("kind", "count", "share"), [("videos", 20_000, 40), ("pictures", 40_000, 40)]
)
def test_no_damaged_file_harms_the_process_that_reads_it(
    kind: str,
    count: int,
    share: int,
    part: int,
    decoders: Decoders,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    step = PARTS if ALL else PARTS * share
    before = peak_megabytes()
    outcomes: Counter[str] = Counter()
    for seed in range(part, count, step):
        content = mutated(kind, seed)
        outcomes[_read(decoders, kind, content, f"{kind} {seed}", tmp_path / "file")] += 1
    assert outcomes["read"] > 0
    assert outcomes["refused"] > 0
    # A crash would be a refusal too; none is known, and a fault of ours would hide behind it.
    assert not outcomes["two lines"] + outcomes["crash"]
    # A frame is a view of memory that is there already.
    assert peak_megabytes() - before < 200
    record_property("tried", (f"damaged {kind}", outcomes.total()))


def _read(decoders: Decoders, kind: str, content: bytes, name: str, path: Path) -> str:
    check = Deadline(name)
    try:
        if kind == "videos":
            path.write_bytes(content)
            with decoders.video(path, None, check, LONGEST) as source:
                frames = sum(1 for _ in source or ())
        else:
            with decoders.pictures([content], None, check, LONGEST) as source:
                frames = sum(1 for _ in source or ())
    except SourceError as error:
        refused = str(error)
        return "two lines" if "\n" in refused else "crash" if "crashes" in refused else "refused"
    assert frames > 0, name
    return "read"


def test_the_sound_files_are_read(decoders: Decoders, tmp_path: Path) -> None:
    assert len(videos()) > 8
    assert len(pictures()) > 12
    for number, content in enumerate(videos()):
        name = f"video {number}"
        assert _read(decoders, "videos", content, name, tmp_path / "file") == "read", name
    for content in pictures():
        assert decode_image(np.frombuffer(content, np.uint8)) is not None


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", ["videos", "pictures"])
def test_damaged_files_are_no_fault_of_a_command(kind: str, tmp_path: Path) -> None:
    """As commands read them: in their own process; libpng and libjpeg warn of damage by a line."""
    suffix = {"videos": "mp4", "pictures": "png"}[kind]
    paths = []
    for seed in range(4000 if ALL else 60):
        paths.append(tmp_path / f"{seed}.{suffix}")
        paths[-1].write_bytes(mutated(kind, seed))
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert ran.returncode == 0, ran.stdout.splitlines()[-1:]
    assert "Traceback" not in ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(lines) == 2 * len(paths)
    assert all("\n" not in outcome for _, outcome, _ in lines)
    assert max(megabytes for _, _, megabytes in lines) < 400
