"""The page of a run, read as a browser reads it."""

import base64
import csv
import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import write_squares
from trainings import train

from seqvision.cli import main
from seqvision.config import ModelOptions, TrainOptions
from seqvision.report.html import Markup, element, plain
from seqvision.training.model_io import load_model, load_used_clips, save_model, write_card
from seqvision.training.train import Trained

from .conftest import train_small, write_list

VOID = {"meta", "br", "img"}


class Page(HTMLParser):
    """The elements and the text of a page; every element must be closed where it should be."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [section["id"] for section in self.named("section")]


@pytest.fixture(scope="module")
def page(attentive: Trained) -> Page:
    return Page(attentive.run / "report.html")


def test_a_training_writes_a_report_with_every_section_and_prints_its_path(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = train_small(listed, tmp_path, 1, pool="attention")
    assert f"report: {trained.run / 'report.html'}\n" in capsys.readouterr().err
    assert Page(trained.run / "report.html").sections == [
        "remarks", "figures", "certainty", "curves", "confusion", "labels", "groups",
        "calibration", "mistakes", "attention", "data", "making",
    ]  # fmt: skip


def test_the_page_loads_nothing_external(page: Page) -> None:
    style = re.search(r"<style>(.*)</style>", page.source, re.DOTALL)
    assert style is not None
    for forbidden in ("url(", "@import", "@font-face"):
        assert forbidden not in style[1]
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            if name in ("src", "href", "xlink:href", "srcset", "poster", "background"):
                assert str(value).startswith("data:image/jpeg;base64,")
    policy = next(meta for meta in page.named("meta") if meta.get("http-equiv"))
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert str(policy["content"]).startswith("default-src 'none'")
    assert "prefers-color-scheme: dark" in style[1]
    assert "@media print" in style[1]


def test_the_report_has_the_metrics_of_the_run_with_intervals(
    page: Page, attentive: Trained
) -> None:
    metrics = json.loads((attentive.run / "metrics.json").read_text())
    for part in ("val", "test"):
        assert f"{metrics[part]['accuracy']:.1%} (" in page.text
        assert f"{metrics[part]['loss']:.3f} (" in page.text
        for figures in metrics[part]["labels"].values():
            assert f"{figures['recall']:.3f} (" in page.text
    for method in ("Wilson 1927", "Efron 1979", "Guo et al. 2017", "15 bins", "ECE 0."):
        assert method in page.text
    assert "cid" in page.text
    assert "dan" in page.text


def test_filmstrips_show_the_frames_that_the_model_saw(page: Page) -> None:
    pictures = page.named("img")
    assert 6 <= len(pictures) <= 2 * (6 + 4) + 16
    for picture in pictures:
        data = base64.b64decode(str(picture["src"]).partition(",")[2])
        strip = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        height, width = strip.shape[:2]
        assert height == 16
        assert width in (16 * 5, 16 * 6), "five or six frames of 16 pixels"
        assert strip.max() > 100, "with the bright square in it"
    assert re.search(r"(left|right|none) answered (as|so)", page.text)
    assert re.search(r"(cid|dan)/(left|right|none)\d", page.text), "and where the clip is"


def test_attention_bars_are_the_pooling_weights(page: Page, attentive: Trained) -> None:
    model, _ = load_model(attentive.model)
    frames = torch.randint(0, 255, (3, 6, 16, 16, 3), dtype=torch.uint8)
    with torch.inference_mode():
        weights = model.attention(frames)
        assert weights is not None
        assert torch.allclose(weights.sum(1), torch.ones(3))
        steps, _ = model.head._read(model.step_memory(model.encode(frames)), None)
        answer = model.head.classify((steps * weights[:, :, None]).sum(1))
        assert torch.allclose(answer, model(frames), atol=1e-6)
    drawn = [svg for svg in page.named("svg") if svg.get("class") == "weights"]
    assert len(drawn) == 6, "two clips of each label"
    assert {str(svg["viewbox"]) for svg in drawn} <= {"0 0 5 1", "0 0 6 1"}


def test_without_attention_or_groups_their_sections_are_missing(
    plain: Trained, tmp_path: Path
) -> None:
    assert "attention" not in Page(plain.run / "report.html").sections
    squares = write_squares(tmp_path / "frames", 4)
    assert "groups" not in Page(train_small(squares, tmp_path).run / "report.html").sections
    model, _ = load_model(plain.model)
    assert model.attention(torch.zeros(1, 3, 16, 16, 3, dtype=torch.uint8)) is None


def test_still_images_are_shown_whole_with_a_weight_for_each_step(stills: Trained) -> None:
    page = Page(stills.run / "report.html")
    shown = [figure for figure in page.named("figure") if figure["class"] == "strip still"]
    assert shown
    assert len(shown) == len(page.named("figure"))
    data = base64.b64decode(str(page.named("img")[0]["src"]).partition(",")[2])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (16, 16, 3)
    drawn = {svg["viewbox"] for svg in page.named("svg") if svg.get("class") == "weights"}
    assert drawn == {"0 0 8 1"}
    assert "rows, at most 8 steps" in page.text


def test_names_with_markup_are_shown_as_text(tmp_path: Path) -> None:
    label, group = '<script>alert("1")</script>[/b]', "</table><img src=x onerror=alert(2)>"
    names = {"left": label, "cid": group, "right": "a&amp;b' onload='x"}
    listed = write_list(tmp_path / "data", names)
    odd = tmp_path / "data" / 'dan"><b>x\u202e'
    (tmp_path / "data" / "dan").rename(odd)
    with listed.open(newline="") as file:
        rows = [[cell.replace("dan/", f"{odd.name}/") for cell in row] for row in csv.reader(file)]
    with listed.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)

    page = Page(train_small(listed, tmp_path, 1, pool="attention").run / "report.html")
    assert not page.named("script")
    assert all(str(picture["src"]).startswith("data:") for picture in page.named("img"))
    assert not any(name.startswith("on") for _, given in page.elements for name in given)
    for name in names.values():
        assert name in page.text
    assert 'dan"><b>x\\u202e/' in page.text, "and letters that turn the line are shown as codes"


def test_children_and_attributes_are_escaped_unless_they_are_markup() -> None:
    assert element("b", "<i>", title='"&') == '<b title="&#34;&amp;">&lt;i&gt;</b>'
    assert element("p", Markup("<i>x</i>"), class_=None) == "<p><i>x</i></p>"
    assert plain("a\x00\n\udcff") == "a\\x00\\n\\udcff"
    joined = Markup("<i>") + "<b>"
    assert element("p", joined) == "<p><i>&lt;b&gt;</p>", "what is joined to markup is escaped"


def remarks_in(output: str) -> list[str]:
    """Return the notes and warnings of a terminal, warnings first, each once."""
    lines = [line for line in output.splitlines() if line.startswith(("note: ", "warning: "))]
    return sorted(dict.fromkeys(lines), key=lambda line: line.startswith("note: "))


def remarks_of(path: Path) -> list[str]:
    """Return the items of the section of warnings and notes of a page."""
    _, _, section = path.read_text().partition('<section id="remarks">')
    items = re.findall(r"<li[^>]*>(.*?)</li>", section.partition("</section>")[0])
    return [unescape(re.sub(r"</?strong>", "", item)) for item in items]


def test_the_page_has_the_warnings_and_notes_of_the_terminal(
    listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(listed.parent, tmp_path / "data"))
    (data / "ann" / "left1.mp4").write_text("text")
    (data / "bob" / "none0" / "3.png").write_text("text")
    (data / "gone.csv").write_text((data / "list.csv").read_text().replace(",none,", ",Wave,"))
    common = ["--encoder", "flatten", "--hidden", "16", "--size", "16", "--epochs", "1",
              "--workers", "0", "--cache", str(tmp_path / "cache")]  # fmt: skip
    command = ["train", str(data / "gone.csv"), *common, "--runs", str(tmp_path / "runs"),
               "--output", str(tmp_path / "model.pt"), "--val", "0.1", "--lr", "1e-9"]  # fmt: skip
    assert main(command) == 0
    remarks = remarks_in(capsys.readouterr().err)
    (run,) = (tmp_path / "runs").iterdir()
    assert remarks_of(run / "report.html") == remarks
    text = "\n".join(remarks)
    for part in ("warning: accuracy on the 9 test clips",
                 "warning: of 4 groups only one validates (cid) and one tests (dan)",
                 "1 of 36 clips is left out", "1 of 35 clips is damaged and read in part",
                 "clips of a label: so few", "no background label"):  # fmt: skip
        assert part in text, part

    target = tmp_path / "page.html"
    command = ["evaluate", str(tmp_path / "model.pt"), str(data / "gone.csv"), "--report",
               str(target), "--cache", str(tmp_path / "cache")]  # fmt: skip
    assert main(command) == 0
    remarks = remarks_in(capsys.readouterr().err)
    assert remarks_of(target) == remarks
    assert "warning: 17 of 35 clips were used to train this model" in "\n".join(remarks)


def test_evaluate_reports_training_clips_even_if_moved(
    attentive: Trained, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def warnings(model: Path, data: Path, *more: str) -> str:
        capsys.readouterr()
        assert main(["evaluate", str(model), str(data), "--cache", str(tmp_path / "c"), *more]) == 0
        return capsys.readouterr().err

    copy = Path(shutil.copytree(listed.parent, tmp_path / "elsewhere"))
    (copy / "ann").rename(copy / "anna")
    moved = (copy / "list.csv").read_text().replace("ann/", "anna/").replace(",train", ",test")
    (copy / "list.csv").write_text(moved)
    flatter = "these figures flatter it"
    assert f"18 of 27 clips were used to train this model: {flatter}" in warnings(
        attentive.model, copy / "list.csv", "--split", "test"
    )
    assert (
        f"18 of 36 clips were used to train this model, 9 to choose its epoch: {flatter}"
        in warnings(attentive.model, listed)
    )
    assert "9 of 9 clips were used to choose its epoch" in warnings(
        attentive.model, listed, "--split", "val"
    )
    assert flatter not in warnings(attentive.model, listed, "--split", "test")

    model, card = load_model(attentive.model)
    options = ModelOptions.model_validate(card.origin.options["model"])
    for name in ("old.pt", "old.safetensors"):
        save_model(tmp_path / name, model, options, card)  # as before the clips were kept
        assert flatter not in warnings(tmp_path / name, listed), (
            "it does not say, so no claim is made"
        )
    used = load_used_clips(attentive.model)
    save_model(tmp_path / "new.safetensors", model, options, card, used)
    write_card(tmp_path / "new.safetensors", card, tmp_path / "calibrated.safetensors")
    assert load_used_clips(tmp_path / "calibrated.safetensors") == used


def test_unreadable_clips_are_in_the_report(listed: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(listed.parent, tmp_path / "data"))
    (data / "ann" / "left1.mp4").write_text("text")
    (data / "bob" / "none0" / "3.png").write_text("text")
    page = Page(train_small(data / "list.csv", tmp_path, 1).run / "report.html")
    assert "Left out, because they cannot be read (1)" in page.text
    assert "ann/left1.mp4: not a video" in page.text
    assert "bob/none0: decoded 7 of 8 images" in page.text


def test_evaluate_writes_a_report_of_other_clips(
    attentive: Trained, listed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(attentive.model), str(listed), "--cache", str(tmp_path / "cache")]
    target = tmp_path / "page.html"
    assert main([*command, "--split", "test", "--report", str(target)]) == 0
    page = Page(target)
    assert "curves" not in page.sections
    assert {"figures", "groups", "attention", "data"} <= set(page.sections)
    assert attentive.test is not None
    assert f"{attentive.test.accuracy:.1%} (" in page.text
    assert "cid/" not in page.text

    capsys.readouterr()
    assert main([*command, "--report", str(tmp_path / "missing" / "page.html")]) == 2
    err = capsys.readouterr().err
    assert "page.html: there is no folder" in err
    assert err.count("\n") == 1


def test_the_report_has_the_metrics_before_the_temperature(
    attentive: Trained, listed: Path, tmp_path: Path
) -> None:
    model, card = load_model(attentive.model)
    decision = card.decision.model_copy(update={"temperature": 2.0})
    options = ModelOptions.model_validate(card.origin.options["model"])
    path = tmp_path / "warm.pt"
    warm = card.model_copy(update={"decision": decision})
    save_model(path, model, options, warm)
    target = tmp_path / "page.html"
    assert main(["evaluate", str(path), str(listed), "--split", "val", "--report", str(target),
                 "--cache", str(tmp_path / "cache")]) == 0  # fmt: skip
    text = Page(target).text
    found = re.search(r"Before the temperature of 2: ECE ([\d.]+), loss ([\d.]+)", text)
    assert found is not None
    assert float(found[2]) == pytest.approx(attentive.val.loss, abs=5e-4)
    assert "its temperature is 1" in Page(attentive.run / "report.html").text


def test_the_predictions_of_every_clip_are_saved(attentive: Trained, listed: Path) -> None:
    head, *rows = csv.reader((attentive.run / "predictions.csv").open(newline=""))
    assert head == ["path", "group", "split", "label", "prediction", "probability",
                    "left", "none", "right"]  # fmt: skip
    assert len(rows) == 18
    for path, group, split, label, answer, probability, *each in rows:
        assert Path(path).exists()
        assert Path(path).is_absolute()
        assert (group, split) in (("cid", "val"), ("dan", "test"))
        assert label in Path(path).name
        assert max(each) == probability == each[head[6:].index(answer)]
        assert sum(map(float, each)) == pytest.approx(1, abs=1e-5)
    right = [row[3] == row[4] for row in rows if row[2] == "val"]
    assert sum(right) / len(right) == attentive.val.accuracy
    facts = json.loads((attentive.run / "run.json").read_text())
    assert facts["epochs"] == 2
    assert facts["seconds"] > 0
    assert facts["parameters"] == sum(
        p.numel() for p in load_model(attentive.model)[0].parameters()
    )


def test_a_resumed_run_adds_its_time(listed: Path, tmp_path: Path) -> None:
    first = train_small(listed, tmp_path, 1)
    facts = json.loads((first.run / "run.json").read_text())
    again = train(TrainOptions(data=listed, resume=first.run, output=tmp_path / "again.pt"))
    more = json.loads((again.run / "run.json").read_text())
    assert more["seconds"] > facts["seconds"]
    assert more["epochs"] == 1, "there was nothing left to do"
