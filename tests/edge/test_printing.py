"""Untrusted names and texts never control the terminal."""

import ast
import json
import logging
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from colour_model import card_data, model_bytes, write_video
from hostile_text import EVIL, HOSTILE, harmless
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from seqvision_edge import cli
from seqvision_edge.command_line import print_message, print_text
from seqvision_edge.safe_console import SafeConsole
from seqvision_edge.sanitize import json_line, printable
from seqvision_edge.server import cli as serve_cli
from seqvision_edge.server.app import Served
from seqvision_edge.server.http_server import PatientLines, Server
from seqvision_edge.session import Session

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("text", HOSTILE)
def test_control_and_invisible_characters_are_escaped(text: str) -> None:
    shown = printable(text)
    assert harmless(shown), ascii(shown)
    assert shown != text
    assert printable(shown) == shown
    print_text(text, stream := StringIO())
    assert harmless(stream.getvalue()), ascii(stream.getvalue())


@pytest.mark.parametrize(
    "text",
    [
        "swipe left", "größe", "日本語\u3000空白", "한국어", "मुद्रा", "क्\u200dष", "می\u200cخواهم",
        "\U0001f44d\U0001f3fd", "\U0001f469\u200d\U0001f4bb", "\u2764\ufe0f", "1\ufe0f\u20e3",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308",
        "\U0001f1e9\U0001f1ea", "a\u00a0b", "Việt Nam", "x²", "[bold]", ":heart:",
    ],
)  # fmt: skip
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_no_text_reaches_a_terminal_with_control_characters(text: str) -> None:
    assert harmless(printable(text))


def test_a_console_shows_hostile_texts_in_every_part_of_a_table() -> None:
    console = SafeConsole(file=StringIO(), force_terminal=True, width=400)
    for text in HOSTILE:
        table = Table(title=escape(text))
        table.add_column(escape(text))
        table.add_row(Text(text))
        console.print(table)
        console.print(Text(text, "bold"))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    # What is left of escapes are rich's own colours.
    assert harmless(printed.replace("\x1b[", "").replace("\x1b", "?" if "\x1b]" in printed else ""))


def test_json_lines_are_harmless_and_mean_the_same() -> None:
    for text in HOSTILE:
        line = json_line({text: text})
        assert harmless(line)
        assert json.loads(line) == {text: text}
    assert json_line("größe 👍") == '"größe 👍"'


def test_messages_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    for text in HOSTILE:
        print_message(text)
        assert harmless(capsys.readouterr().err)


def test_lines_of_a_server_s_log_are_harmless(capfd: pytest.CaptureFixture[str]) -> None:
    Server(Served(Session(model_bytes(), "cpu")))
    log = logging.getLogger("seqvision_edge.test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])  # as in a program without logging
        try:
            raise ValueError(EVIL)
        except ValueError:
            log.exception("failed: %s", EVIL)
        assert isinstance(logging.lastResort, PatientLines)
        logging.lastResort.wait(60)
    printed = capfd.readouterr().err
    assert "ValueError" in printed
    assert harmless(printed), ascii(printed)


def test_all_output_goes_through_the_filter() -> None:
    """Two functions print; consoles are made in one class."""
    allowed = {"edge/seqvision_edge/command_line.py", "edge/seqvision_edge/files.py"}
    # These print JSON for the process that started them, or what this code has made itself.
    allowed |= {
        "export/seqvision_export/verify/__main__.py",
        "export/seqvision_export/bench/startup.py",
    }
    allowed |= {"seqvision/cli.py"}
    found = []
    for package in ("edge/seqvision_edge", "seqvision", "export/seqvision_export"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                called = node.func if isinstance(node, ast.Call) else None
                word = called.id if isinstance(called, ast.Name) else ""
                if word == "Console" or (word == "print" and name not in allowed):
                    found.append(f"{name}:{node.lineno}: {word}")  # type: ignore[attr-defined]
    assert not found


def run(main: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["program", *arguments])
        try:
            code = main(arguments) if main is not None else 0
        except SystemExit as ended:
            code = ended.code
    out, err = capsys.readouterr()
    return code or 0, out + err


def hostile_cards(text: str) -> dict[str, dict[str, Any]]:
    """Return cards with a text in each field that a model file can set."""
    whole = card_data()
    state = {"kind": "window", "tensors": [{"name": text, "axes": ["batch", text, 3]}]}
    origin = {**whole["origin"], "version": text, "created": text, "notes": [text]}
    origin |= {"options": {text: text}, "data": {text: text}, "metrics": {text: text}}
    return {
        "state": {**whole, "state": state},
        "axis": {**whole, "state": {"kind": "window", "tensors": [
            {"name": "past", "axes": ["batch", text, 3]}]}},
        "unknown key": {**whole, text: 1},
        "unknown inner key": {**whole, "image": {**whole["image"], text: 1}},
        "unknown value": {**whole, "image": {**whole["image"], "fit": text}},
        "spec": {**whole, "spec": text},
        "kind": {**whole, "sequence": {**whole["sequence"], "kind": text}},
        "label": {**whole, "labels": [*whole["labels"][:3], text]},
        "background": {**whole, "decision": {**whole["decision"], "background": text}},
        "origin": {**whole, "origin": origin},
    }  # fmt: skip


def hostile_model(card: dict[str, Any]) -> bytes:
    """Return the colour model with any JSON as its card."""
    import onnx

    from seqvision_edge.card import METADATA_KEY

    model = onnx.load_from_string(model_bytes())
    for prop in model.metadata_props:
        if prop.key == METADATA_KEY:
            prop.value = json.dumps(card)
    for value in (*model.graph.input, *model.graph.output):
        if value.name.startswith("past"):
            value.type.tensor_type.shape.dim[1].dim_param = "kept"
    return bytes(model.SerializeToString())


def test_no_field_of_a_card_reaches_the_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnx", reason="onnx builds the models of these tests")
    video = write_video(tmp_path / "v.mp4", [("red", 0.5)])
    for case, card in hostile_cards(EVIL).items():
        path = tmp_path / "model.onnx"
        path.write_bytes(hostile_model(card))
        code, messages = run(cli.main, [str(video), "--model", str(path)], capsys)
        assert harmless(messages), (case, ascii(messages))
        if case not in ("origin", "axis"):
            assert (code, messages.count("\n")) == (2, 1), (case, messages)
            code, messages = run(serve_cli.main, [str(path), "--port", "0"], capsys)
            assert (code, harmless(messages), messages.count("\n")) == (2, True, 1), (
                case,
                ascii(messages),
            )


def test_no_name_or_option_reaches_the_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = EVIL.replace("/", "")
    model = tmp_path / f"{name}.onnx"
    model.write_bytes(model_bytes())
    video = write_video(tmp_path / "v.mp4", [("red", 1.0), ("none", 0.5)])
    odd = tmp_path / f"{name}.mp4"
    odd.write_bytes(video.read_bytes())
    broken = tmp_path / f"{name}.avi"
    broken.write_bytes(b"RIFF" + bytes(range(99)))
    for arguments in (
        [str(odd), "--model", str(model)],
        [str(broken), "--model", str(model)],
        [str(video), str(odd), "--model", str(model)],
        [str(tmp_path / EVIL.replace("/", "")), "--model", str(model)],
        [str(video), "--model", str(tmp_path / name)],
        [str(video), "--model", str(model), "--device", EVIL],
        [str(video), "--model", str(model), "--min-confidence", EVIL],
        [str(video), "--model", str(model), "--json", str(tmp_path / name / name)],
        [str(video), "--model", str(model), "--mqtt", f"mqtt://{EVIL}"],
        [str(video), "--model", str(model), "--webhook", f"http://{EVIL}/"],
        [f"rtsp://u:p@{EVIL}/x", "--model", str(model)],
        [str(video), f"--{EVIL}", "--model", str(model)],
    ):
        _, messages = run(cli.main, arguments, capsys)
        assert messages
        assert harmless(messages), (arguments, ascii(messages))
    for arguments in ([str(tmp_path / name)], [str(model), "--host", EVIL], [f"--{EVIL}"]):
        code, messages = run(serve_cli.main, arguments, capsys)
        assert (code, harmless(messages)) == (2, True), ascii(messages)
