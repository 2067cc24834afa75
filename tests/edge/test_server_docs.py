"""The examples of docs/server.md work."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from colour_model import model_bytes, write_video
from served import jpeg, serving

from seqvision_edge.session import Session

PAGE = Path(__file__).parents[2] / "docs" / "server.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_curl_line_of_the_page_is_answered(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", [("none", 1.0), ("red", 1.0)])
    for number in (1, 2, 3):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg("red"))
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = "".join(block for block in blocks if "curl" in block)
    model = tmp_path / "model.onnx"
    model.write_bytes(model_bytes())
    with serving(Session(model, "cpu"), file=model) as running:
        script = lines.replace("curl ", "curl -sS --fail-with-body ")
        script = script.replace("127.0.0.1:8000", running.address)
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('"predictions"') == 4
    assert done.stdout.count('"type":"waiting"') == 2
    assert '"events"' in done.stdout
    assert (tmp_path / "served.onnx").read_bytes() == model.read_bytes()
