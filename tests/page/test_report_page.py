"""`report.html` of a training and of an evaluation, at phone and desktop sizes, in a browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
from browser import Browser
from conftest import square_clip, write_frames

pytest.importorskip("torch")

from seqvision.cli import main

pytestmark = pytest.mark.slow
Look = Callable[..., Browser]

LABELS = (
    "Pretending or failing to wipe [something] off of [something] that is far away from here",
    "SwipeRightWithTwoFingersAndThenHoldItThereForSomeSecondsUntilItIsSeen",
    "turning_the_camera_upwards_while_filming_something_that_moves_to_the_left",
    "手を振る手を振る手を振る手を振る",
    *(f"swipe_left_{number}" for number in range(12)),
)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The pages of a training on many labels with long names, and of its evaluation."""
    folder = tmp_path_factory.mktemp("report")
    for location, label in enumerate(LABELS):
        for number in range(4):
            clip = square_clip(location % 3 - 1, 100 * location + number, 6, 16)
            write_frames(folder / "clips" / label / str(number), clip)
    clips, model, evaluated = folder / "clips", folder / "model.pt", folder / "evaluated.html"
    small = ["--size", "16", "--frames", "6", "--fps", "10", "--workers", "0", "--epochs", "1",
             "--encoder", "flatten", "--pool", "attention"]  # fmt: skip
    locations = ["--output", model, "--runs", folder / "runs", "--cache", folder / "cache"]
    assert main(["train", str(clips), *small, *map(str, locations)]) == 0
    assert main(["evaluate", str(model), str(clips), "--report", str(evaluated)]) == 0
    (run,) = (folder / "runs").iterdir()
    return run / "report.html", evaluated


@pytest.mark.parametrize("size", [(360, 740), (400, 800), (1280, 860)], ids=["360", "400", "desk"])
def test_a_report_never_scrolls_sideways_but_its_tables_do(
    look: Look, reports: tuple[Path, Path], size: tuple[int, int]
) -> None:
    for report in reports:
        page = look(report.as_uri(), [], size=size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        outside = (
            "[...document.querySelectorAll('main *')].filter((each) => !each.closest('.scroll') && "
            "each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML)"
        )
        assert page.evaluate(outside) == []
        wide = (
            "[...document.querySelectorAll('.scroll')]"
            ".filter((each) => each.scrollWidth > each.clientWidth)"
        )
        if size[0] > 500:
            continue
        assert page.evaluate(f"{wide}.length") > 0, "the confusion matrix of so many labels is wide"
        assert page.evaluate(f"{wide}.every((each) => each.tabIndex === 0)"), "by the keyboard too"
        # The label of a row stays in sight.
        kept = f"""(() => {{ const box = {wide}[0]; box.scrollLeft = 1e4;
            const row = box.querySelector('tbody th').getBoundingClientRect();
            return [box.scrollLeft, row.left - box.getBoundingClientRect().left]; }})()"""
        scrolled, left = page.evaluate(kept)
        assert scrolled > 0
        assert left >= 0
        sizes = (
            "[...document.querySelectorAll('main :is(td, th, p, small)')]"
            ".filter((each) => each.checkVisibility())"
            ".map((each) => parseFloat(getComputedStyle(each).fontSize))"
        )
        assert min(page.evaluate(sizes)) >= 10
        for scheme in ("light", "dark"):
            page.do("scheme", scheme=scheme)
            assert page.faults() == []
