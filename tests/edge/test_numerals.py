"""Number-like text is refused in options, cells, addresses and request bodies."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException

from seqvision_edge.cli import RunOptions
from seqvision_edge.command_line import parse
from seqvision_edge.errors import SeqvisionError, SinkError, SourceError
from seqvision_edge.event_metrics import read_truth
from seqvision_edge.number_parsing import parse_number, parse_whole_number
from seqvision_edge.server.json_arrays import read_instances
from seqvision_edge.server.limits import Limits
from seqvision_edge.sinks.factory import listen_address

ODD = ["1_0", "1_000.5", "1e1_0", "١٠", "１０", "+1_0"]


@pytest.mark.parametrize(
    "text", [*ODD, "nan", "inf", "-Infinity", "1e999", "0x10", "", "true", "1.2.3"]
)
def test_no_number(text: str) -> None:
    assert parse_number(text) is None
    assert parse_whole_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("10", 10), (" 1.5 ", 1.5), ("-.5", -0.5), ("1e-3", 0.001), ("+7.", 7)]
)
def test_a_number(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("flag", ["--top", "--threads", "--image-fps", "--on-threshold", "--early"])
def test_no_option_takes_it(flag: str, text: str) -> None:
    with pytest.raises(SeqvisionError, match=f"{flag} .*number"):
        parse(RunOptions, "edge-run", ["--camera", "0", flag, text])


def test_options_of_a_file_take_no_truth_value_for_a_number() -> None:
    with pytest.raises(ValueError, match="must be a number, not true or false"):
        RunOptions.model_validate({"threads": True})
    assert RunOptions.model_validate({"threads": "2", "image_fps": "arrival"}).threads == 2


@pytest.mark.parametrize("port", [*ODD, "-1", "+80", " 80", "65536", "8" * 5000])
def test_no_port(port: str) -> None:
    with pytest.raises(SinkError, match="give ADDRESS:PORT"):
        listen_address("--metrics", f"127.0.0.1:{port}", 9100)


@pytest.mark.parametrize(
    "pixel", ["true", "false", "1.0", '"1"', "null", "256", "-1", "1_0", "1e1"]
)
def test_no_pixel(pixel: str) -> None:
    body = f'{{"instances": [[[1, {pixel}], [2, 3]]]}}'.encode()
    with pytest.raises(HTTPException) as refused:
        read_instances(body, Limits())
    assert refused.value.status_code == 422
    good = read_instances(body.replace(pixel.encode(), b"7"), Limits())
    assert np.array_equal(good[0].ravel(), [1, 7, 2, 3])


@pytest.mark.parametrize("start", [True, "1", "1_0", None, float("nan"), [1]])
def test_no_time_of_a_true_event(tmp_path: Path, start: Any) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"events": [{"label": "a", "start": start, "end": 2}]}))
    with pytest.raises(SourceError, match="start"):
        read_truth(path)
    path.write_text(json.dumps({"events": [{"label": "a", "start": 1, "end": 2.5}]}))
    assert read_truth(path)[0].end == 2.5


def test_a_deeply_nested_truth_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text("[" * 100_000)
    with pytest.raises(SourceError, match="not valid JSON"):
        read_truth(path)
