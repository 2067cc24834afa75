"""Files are complete or absent, with the right permissions."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seqvision_edge.files import alone_in, atomic_write, output_error, sweep

in_unicode = pytest.mark.skipif(
    sys.getfilesystemencoding() != "utf-8", reason="file names here have ASCII letters only"
)
posix = pytest.mark.skipif(os.name == "nt", reason="rights of files are POSIX's")


def write(path: Path, text: str = "new") -> int:
    """Replace a file; return its rights."""
    with atomic_write(path) as unfinished:
        unfinished.write_text(text)
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_a_new_file_has_the_rights_of_any_new_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    assert write(tmp_path / "a.txt") == stat.S_IMODE(other.stat().st_mode)


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_replaced_file_keeps_its_rights(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    assert write(path) == mode
    assert path.read_text() == "new"


@posix
def test_the_temporary_of_a_private_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    path.touch(0o600)
    with atomic_write(path) as unfinished:
        assert not stat.S_IMODE(unfinished.stat().st_mode) & 0o077


@posix
def test_files_of_other_threads_keep_their_rights_meanwhile(tmp_path: Path) -> None:
    """To read the process's umask is to change it, for all threads."""
    ends = threading.Event()
    found: set[int] = set()

    def make() -> None:
        for number in range(100_000):
            if ends.is_set():
                return
            path = tmp_path / f"other{number}"
            path.touch()
            found.add(stat.S_IMODE(path.stat().st_mode))
            path.unlink()

    first = tmp_path / "first"
    first.touch()
    thread = threading.Thread(target=make)
    thread.start()
    for _ in range(400):
        write(tmp_path / "a.txt")
    ends.set()
    thread.join()
    assert found == {stat.S_IMODE(first.stat().st_mode)}


@in_unicode
def test_a_name_of_the_longest_kind_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / f"{'漢' * 80}.json"  # 240 bytes and a suffix; file systems take 255
    write(path, "one")
    write(path, "two")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "two"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


HOLDS = """
import os, sys, time
from pathlib import Path
from seqvision_edge.files import atomic_write, temporary_folder
folder = Path(sys.argv[1])
with atomic_write(folder / sys.argv[2]) as unfinished, temporary_folder(folder) as inner:
    unfinished.write_text("half")
    (inner / "large.bin").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
AGAIN = """
import sys
from pathlib import Path
from seqvision_edge.files import atomic_write, sweep, output_error
with atomic_write(Path(sys.argv[1]) / "b.txt") as unfinished:
    unfinished.write_text("whole")
"""


def holding(folder: Path, name: str) -> "subprocess.Popen[str]":
    """Start a process that is writing a file, with a temporary folder in the same folder."""
    command = [sys.executable, "-c", HOLDS, str(folder), name]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@posix
@in_unicode
def test_the_next_process_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    others = [
        ".a.txt", ".a.0123abcd.txt", "a.unfinished.txt",
        "seqvision-mine", ".seqvision-mine", "seqvision-01234567", "seqvision-01234567.unfinished",
    ]  # fmt: skip
    for name in others[:3]:
        (tmp_path / name).touch()
    for name in others[3:]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").touch()
    with holding(tmp_path, "a.txt") as living, holding(tmp_path, "漢" * 80 + ".pt") as killed:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.iterdir())) == len(others) + 4
        subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path)], check=True)
        left = {path.name for path in tmp_path.iterdir()} - {*others, "b.txt"}
        assert len(left) == 2, "what the living process writes stays"
        assert any(name.startswith(".a.") and name.endswith(".unfinished.txt") for name in left)
        living.kill()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*others, "b.txt"}


ALONE = """
import sys, time
from pathlib import Path
from seqvision_edge.files import alone_in
with alone_in(Path(sys.argv[1])) as held:
    print(held, flush=True)
    time.sleep(600)
"""


@posix
@pytest.mark.parametrize("name", ["seqvision-hard", ".seqvision-0123abcd", "runs"])
def test_the_folder_of_a_killed_process_is_free_and_unchanged(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(b"mine")
    command = [sys.executable, "-c", ALONE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with alone_in(folder) as held:
            assert not held
        process.kill()
    sweep(tmp_path, depth=3)
    assert (folder / "clip.mp4").read_bytes() == b"mine"
    with alone_in(folder) as held:
        assert held
    assert [path.name for path in folder.iterdir()] == ["clip.mp4"], "no mark stays"


def test_a_folder_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone_in(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@posix
def test_nothing_is_written_over_a_device_or_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/null")):
        assert output_error(path) == "that is a device or a pipe; name a file"
        with pytest.raises(OSError, match="that is a device or a pipe; name a file"):
            write(path)
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "name",
    ["a" * 255, pytest.param("漢" * 85, marks=in_unicode), "a" * 251 + ".csv", "a." + "b" * 253],
)
def test_a_name_of_255_bytes_is_one(tmp_path: Path, name: str) -> None:
    assert output_error(tmp_path / name) is None
    write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_longer_name_is_one_line(tmp_path: Path) -> None:
    assert output_error(tmp_path / ("a" * 256)) == "cannot be written (File name too long)"
