"""Files are whole or absent, and their rights are those that they should have."""

import os
import stat
import threading
from pathlib import Path

import pytest

from seqvision_edge.files import replacing

posix = pytest.mark.skipif(os.name == "nt", reason="rights of files are POSIX's")


def write(path: Path, text: str = "new") -> int:
    """Replace a file; return its rights."""
    with replacing(path) as unfinished:
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
def test_nobody_else_may_read_what_will_replace_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "key.txt"
    path.touch(0o600)
    with replacing(path) as unfinished:
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
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"
