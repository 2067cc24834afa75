"""`seqvision data` on sets with every kind of trouble, and on one without."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import real_data, square_clip, write_frames, write_squares, write_video
from numpy.typing import NDArray

from seqvision.cli import main
from seqvision.config import (
    AugmentOptions,
    ClipOptions,
    DataOptions,
    SequenceOptions,
    TrainingOptions,
    TrainOptions,
)
from seqvision.data.splits import Split
from seqvision.dataset_report import analyze
from seqvision.dataset_report.findings import Findings
from seqvision.preflight import validate_data
from seqvision.training.data import load_dataset
from seqvision_edge.opencv import cv2


def examine(given: DataOptions) -> Findings:
    return analyze.examine(given, validate_data(given))


def survey(given: DataOptions) -> Findings:
    return analyze.analyze_data_set(given, validate_data(given))


def options(data: Path, folder: Path, **parts: object) -> DataOptions:
    clips = {"cache": folder / "cache", "size": 16, "frames": 6}
    clips |= parts.pop("clips", {})  # type: ignore[call-overload]
    return DataOptions(data=data, clips=ClipOptions(**clips), **parts)  # type: ignore[arg-type]


def names(findings: Findings, indices: tuple[int, ...]) -> list[str]:
    return [findings.clips[index].path.name for index in indices]


@pytest.fixture
def troubled(tmp_path: Path) -> Path:
    """A list with a copy, a copy on the other side, the same frames in other files, and more."""
    root = tmp_path / "aufnahmen ä"
    for number in range(4):
        write_video(root / f"grüßen{number}.mp4", square_clip(1, number, 12))
        write_video(root / f"[still]{number}.mp4", square_clip(0, 50 + number, 12))
    (root / "copy.mp4").write_bytes((root / "grüßen0.mp4").read_bytes())
    (root / "leak.mp4").write_bytes((root / "grüßen1.mp4").read_bytes())
    (root / "renamed.mp4").write_bytes((root / "grüßen2.mp4").read_bytes())
    frames = square_clip(-1, 7)
    write_frames(root / "frames", frames)
    write_bitmaps(root / "bitmaps", frames)
    (root / "text.mp4").write_text("not a video")
    rows = [
        *(f"grüßen{number}.mp4,grüßen,g{number},train" for number in range(3)),
        "grüßen3.mp4,grüßen,g3,val",
        *(f"[still]{number}.mp4,[still],s{number},train" for number in range(3)),
        "[still]3.mp4,[still],s0,val",
        "copy.mp4,grüßen,g0,train",
        "leak.mp4,grüßen,,val",
        "renamed.mp4,[still],,train",
        "frames,grüßen,,train",
        "bitmaps,grüßen,,test",
        "text.mp4,grüßen,,train",
        "missing.mp4,grüßen,,train",
    ]
    listed = root / "clips.csv"
    listed.write_text("\n".join(["path,label,group,split", *rows]), encoding="utf-8")
    return root


def write_bitmaps(folder: Path, clip: NDArray[np.uint8]) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(clip):
        assert cv2.imwrite(str(folder / f"{number}.bmp"), frame[:, :, ::-1])


@pytest.mark.parametrize("decode", [False, True])
def test_copies_leaks_and_broken_files_are_found(
    troubled: Path, tmp_path: Path, decode: bool
) -> None:
    found = examine(options(troubled, tmp_path, decode=decode))
    assert [(names(found, one.clips), one.how) for one in found.same] == [
        (["grüßen0.mp4", "copy.mp4"], "bytes"),
        (["grüßen1.mp4", "leak.mp4"], "bytes"),
        (["grüßen2.mp4", "renamed.mp4"], "bytes"),
        (["frames", "bitmaps"], "frames"),
    ]
    leaks = [names(found, one.clips) for one in found.leaks]
    assert leaks == [["grüßen1.mp4", "leak.mp4"], ["frames", "bitmaps"]]
    assert [names(found, one.clips) for one in found.contradictions] == [
        ["grüßen2.mp4", "renamed.mp4"]
    ]
    assert found.divided_groups == {"s0": {"train": 1, "val": 1}}
    assert len(found.broken) == 2
    for name in ("text.mp4", "missing.mp4"):
        assert sum(name in line for line in found.broken) == 1
    assert found.problems == []


def test_the_report_names_problems_and_the_json_has_all(
    troubled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "survey.json"
    arguments = ["--json", str(out), "--cache", str(tmp_path / "cache"), "--frames", "6"]
    assert main(["data", str(troubled), *arguments]) == 0
    printed = capsys.readouterr().out
    for line in (
        "csv, 2 labels, 13 clips",
        "leak: train grüßen1.mp4 = val leak.mp4 (same bytes)",
        "leak: train frames = test bitmaps (same frames)",
        "leak: group s0 is in train (1 clip) and val (1 clip)",
        "two labels: train grüßen2.mp4 = train renamed.mp4 (same bytes)",
        "same: train grüßen0.mp4 = train copy.mp4 (same bytes)",
        "broken: ",
        "grüßen has 8, [still] has 5",
    ):
        assert line in printed, line
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["labels"]["grüßen"] == {"clips": 8, "train": 5, "val": 2, "test": 1}
    assert [one["leak"] for one in report["duplicates"]] == [False, True, False, True]
    assert report["duplicates"][2]["contradiction"]
    assert report["duplicates"][3]["clips"][1]["split"] == "test"
    assert len(report["unreadable"]) == 2
    assert report["seconds"]["median"] == pytest.approx(1.2)
    assert report["sizes"] == {"32×32": 13}


@pytest.mark.parametrize("decode", [False, True])
def test_the_split_and_the_rate_equal_those_of_a_training(
    squares: Path, tmp_path: Path, decode: bool
) -> None:
    given = options(squares, tmp_path, seed=3, decode=decode)
    found = examine(given)
    training = TrainOptions(data=squares, clips=given.clips, training=TrainingOptions(seed=3))
    data = load_dataset(training)
    assert [clip.path for clip in found.clips] == [clip.path for clip in data.clips]
    assert split_of(found) == data.split
    assert (found.image, found.sequence) == (data.image, data.sequence)
    assert not found.same
    assert not found.broken


def split_of(found: Findings) -> Split:
    indices = {part: [] for part in ("train", "val", "test")}
    for index, part in sorted(found.parts.items()):
        indices[part].append(index)
    return Split(**indices)


def test_what_a_training_would_refuse_follows_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_video(tmp_path / "data" / "wave" / f"{number}.mp4", square_clip(1, number))
    cache = ["--cache", str(tmp_path / "cache")]
    assert main(["data", str(tmp_path / "data"), *cache]) == 2
    out, err = capsys.readouterr()
    assert "1 label, 3 clips" in out
    assert err.splitlines() == [
        "only one label (wave): a classifier needs two or more, "
        "for example a label none for nothing happens"
    ]
    write_video(tmp_path / "data" / "left" / "0.mp4", square_clip(-1, 9))
    assert main(["data", str(tmp_path / "data"), *cache, "--flip"]) == 2
    assert "--flip: a mirror changes the label left" in capsys.readouterr().err


def test_a_truncated_video_is_reported_when_decoded(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a" / "short.avi"
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (32, 32))
    for frame in square_clip(1, 0, 30):
        writer.write(frame)
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for number in range(3):
        write_video(tmp_path / "data" / "a" / f"{number}.mp4", square_clip(1, number))
        write_video(tmp_path / "data" / "b" / f"{number}.mp4", square_clip(-1, 9 + number))
    assert examine(options(tmp_path / "data", tmp_path)).broken == []
    (line,) = examine(options(tmp_path / "data", tmp_path, decode=True)).broken
    assert "short.avi: decoded" in line
    assert "of 30 frames" in line


def test_a_data_set_without_readable_clips_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "0.mp4").write_text("text")
    assert main(["data", str(tmp_path / "data")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "none of the 2 clips can be read" in err


# The contact sheet ------------------------------------------------------------------------------


@pytest.fixture
def drawn(squares: Path, tmp_path: Path) -> Callable[..., NDArray[np.uint8]]:
    """Draw a sheet of the squares, always divided alike, and return it as BGR."""
    listed = tmp_path / "clips.csv"
    rows = [
        f"{path},{path.parent.name},{'val' if number % 4 == 0 else 'train'}"
        for number, path in enumerate(sorted(squares.glob("*/*")))
    ]
    listed.write_text("\n".join(["path,label,split", *rows]))

    def draw(seed: int = 0, **augmentation: object) -> NDArray[np.uint8]:
        path = tmp_path / "sheet.png"
        given = AugmentOptions(**augmentation)
        survey(options(listed, tmp_path, sheet=path, seed=seed, augmentation=given))
        return cv2.imread(str(path))

    return draw


def test_a_sheet_shows_clips_of_every_label_and_below_them_varied_ones(
    drawn: Callable[..., NDArray[np.uint8]],
) -> None:
    varied, plain = drawn(), drawn(augment="none")
    assert varied.shape[1] == plain.shape[1]
    # The pictures of a row are 76 pixels high and 2 apart; three labels lose one row each, and the
    # title the line of 20 pixels that explains it.
    assert varied.shape[0] - plain.shape[0] == 3 * 78 + 20
    dark = (plain.max(axis=2) < 60).mean(axis=1) > 0.2
    assert np.count_nonzero(np.diff(dark.astype(int)) == 1) == 3, "one strip for each label"


def test_the_same_seed_varies_alike_and_another_differently(
    drawn: Callable[..., NDArray[np.uint8]],
) -> None:
    first = drawn(augment="strong")
    assert np.array_equal(first, drawn(augment="strong"))
    other = drawn(augment="strong", seed=1)
    below_title = slice(90, None)
    assert not np.array_equal(first[below_title], other[below_title])


@pytest.mark.parametrize("labels", [2, 30, 70])
def test_a_sheet_is_readable_with_many_labels_of_any_letters(tmp_path: Path, labels: int) -> None:
    for number in range(labels):
        label = f"{'波と手 ' * 20}{number}" if number % 3 == 0 else f"swipe_{number}_[ä]"
        for clip in range(2):
            seed = 10 * number + clip
            write_frames(tmp_path / "data" / label / str(clip), square_clip(1, seed, 3, 16))
    path = tmp_path / "sheet.png"
    survey(options(tmp_path / "data", tmp_path, sheet=path, clips={"val": 0.5}))
    height, width = cv2.imread(str(path)).shape[:2]
    assert width < 2000
    assert height < 3000


def test_a_sheet_of_still_images_shows_the_images(tmp_path: Path) -> None:
    for label in range(2):
        folder = tmp_path / "data" / str(label)
        folder.mkdir(parents=True)
        for number in range(5):
            picture = np.full((20, 30 + number, 3), 40 * number + 60 + label, np.uint8)
            assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    path = tmp_path / "sheet.png"
    given = options(
        tmp_path / "data",
        tmp_path,
        sheet=path,
        clips={"size": "auto", "frames": 16},
        images=SequenceOptions(sequence="columns"),
        augmentation=AugmentOptions(augment="none"),
    )
    found = survey(given)
    assert found.are_stills
    assert found.sequence.window == 34, "as many columns as the widest image has"
    sheet = cv2.imread(str(path))
    shown = {int(value) for value in np.unique(sheet)}
    assert {60, 100, 140, 180, 220, 61, 101, 141, 181, 221} <= shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data",), "DATA or --root is missing"),
        (("train", "--dataset", "mnist"), "DATA or --root is missing"),
        (("evaluate", "model.pt"), "DATA or --root is missing"),
        (("data", "x", "--root", "y"), "give the clips once: x or --root y"),
        (("train", "x", "--root", "y"), "give the clips once"),
        (("evaluate", "model.pt", "x", "--root", "y"), "give the clips once"),
        (
            ("data", "x", "--dataset", "ucf100"),
            "did you mean ucf101?",
        ),
        (("data", "x", "--official-split", "4"), "--official-split"),
        (("data", "missing"), "missing: no such folder or list"),
        (("data", "x", "--sheet", "no/where.png"), "--sheet no/where.png: there is no folder no"),
        (("data", "x", "--sheet", "sheet.jpg"), "must be a .png"),
    ],
)
def test_invalid_arguments_are_one_line(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_root_names_the_clips_and_overrides_the_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqvision.config import data_path

    seen: list[TrainOptions] = []

    for name in ("here", "there", "elsewhere"):
        write_squares(tmp_path / name, 2)
    monkeypatch.chdir(tmp_path)

    def train(given: TrainOptions, *_: object) -> None:
        seen.append(given)
        raise KeyboardInterrupt

    monkeypatch.setattr("seqvision.training.train.train", train)
    config = tmp_path / "options.yaml"
    config.write_text("data: here")
    main(["train", "--config", str(config), "--root", "there"])
    config.write_text("root: here")
    main(["train", "--config", str(config)])
    main(["train", "--config", str(config), "elsewhere"])
    main(["train", "--dataset", "folder", "--root", "there"])
    assert [str(data_path(given)) for given in seen] == ["there", "here", "elsewhere", "there"]
    assert seen[-1].clips.dataset == "folder"


def test_the_real_fights_have_no_leak(tmp_path: Path) -> None:
    found = examine(options(real_data("fight") / "split.csv", tmp_path))
    assert len(found.clips) == 300
    assert {label: counts["clips"] for label, counts in found.labels.items()} == {
        "fight": 150,
        "noFight": 150,
    }
    assert len(found.groups) == 45
    assert not found.leaks
    assert not found.divided_groups
    assert not found.broken
