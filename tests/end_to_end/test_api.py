"""The Python API from clips to events, silent, typed and in a notebook."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from conftest import square_clip, write_frames
from export_models import prove_here

import seqvision as sv
from seqvision_edge import Model

ROOT = Path(__file__).parents[2]
SMALL = {"size": 16, "encoder": "flatten", "workers": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("api")


@pytest.fixture(scope="module")
def run(squares: Path, folder: Path) -> sv.Run:
    return sv.train(
        squares, epochs=3, output=folder / "model.pt", runs=folder / "runs",
        cache=folder / "cache", **SMALL,
    )  # fmt: skip


def test_the_api_goes_from_clips_to_events_silently(
    squares: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_here(monkeypatch)
    cache = folder / "cache"
    seen: list[tuple[str, float, float | None]] = []
    run = sv.train(
        squares, epochs=2, output=folder / "own.pt", runs=folder / "own", cache=cache,
        progress=lambda what, done, total: seen.append((what, done, total)), **SMALL,
    )  # fmt: skip
    assert run.model == folder / "own.pt"
    assert run.model.is_file()
    assert run.report == run.folder / "report.html"
    assert run.report.is_file()
    assert set(run.metrics) == {"val"}
    assert 1 <= run.epoch <= 2
    assert not run.stopped
    assert any(re.match(r"epoch 2/2", what) for what, _, _ in seen)
    assert all(total is None or 0 <= done <= total for _, done, total in seen)

    metrics = sv.evaluate(run.model, squares, cache=cache)
    assert metrics.clips == 24
    path = sv.export(run.model)
    assert path == folder / "own.onnx"
    assert sv.verify(path, against=run.model)["worst"]["difference"] < 1e-4
    clips = sorted((squares / "left").iterdir())
    found, by_torch = sv.predict(path, clips), sv.predict(run.model, clips)
    assert [each.path for each in found] == list(map(str, clips))
    assert len(found) == len(clips)
    for each, other in zip(found, by_torch, strict=True):
        assert each.label == other.label == max(each.probabilities, key=each.probabilities.get)
        assert each.probability == pytest.approx(other.probability, abs=1e-5)
    assert sv.predict(path, clips[0])[0] == found[0]
    assert Model(path).predict(clips[0]).label == found[0].label
    assert sv.calibrate(path, squares, cache=cache) == path
    assert capfd.readouterr() == ("", "")


def test_a_finished_run_resumes_for_more_epochs(run: sv.Run, squares: Path) -> None:
    again = sv.train(resume=run.folder)
    assert again.folder == run.folder
    assert again.metrics["val"].clips == run.metrics["val"].clips


def test_lines_go_to_the_logger(
    run: sv.Run, squares: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="seqvision"):
        sv.evaluate(run.model, squares, cache=folder / "cache", output=folder / "figures.json")
    assert f"{folder / 'figures.json'} written" in caplog.messages
    warnings = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert any("were used to train this model" in each for each in warnings), warnings


def test_a_damaged_clip_is_reported_and_the_others_predicted(run: sv.Run, tmp_path: Path) -> None:
    good = write_frames(tmp_path / "good", square_clip(1, 1))
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    found = sv.predict(run.model, [good, tmp_path / "bad.mp4"])
    assert len(found) == 1
    assert len(found.damaged) == 1
    assert "bad.mp4" in found.damaged[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epoch": 3}, TypeError, r"unexpected keyword argument 'epoch'; did you mean .*epochs"),
        ({"epochs": 0}, sv.SeqvisionError, r"train\(\): --epochs 0: must be at least 1"),
        ({"encoder": "mobilenetv2"}, sv.SeqvisionError, r"did you mean mobilenet_v2"),
        ({}, sv.SeqvisionError, r"nowhere"),
    ],
)
def test_a_mistake_raises_one_typed_error(
    options: dict[str, object], error: type[Exception], message: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(error, match=message):
        sv.train(tmp_path / "nowhere", **options)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_results_are_readable_as_text_and_in_a_notebook(run: sv.Run, squares: Path) -> None:
    assert re.fullmatch(
        r"Run\('.*model\.pt', epoch \d, val accuracy \d+\.\d%, folder='.*'\)", repr(run)
    )
    html = run._repr_html_()
    assert "<th>F1</th>" in html
    assert "data:image/png;base64," in html
    clip = sorted((squares / "left").iterdir())[0]
    assert "<td>" in sv.predict(run.model, clip)._repr_html_()


def test_dir_lists_only_public_names() -> None:
    assert set(dir(sv)) == set(sv.__all__)
    for name in sv.__all__:
        assert getattr(sv, name).__doc__ or name == "__version__"


def test_a_user_s_program_passes_mypy_strict(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import seqvision as sv\n"
        "from seqvision_edge import Model\n\n\n"
        "def main() -> None:\n"
        '    run = sv.train("frames/", epochs=20, encoder="mobilenet_v2", progress=True)\n'
        '    path = sv.export(run.model, precision="auto", calibrate="frames/")\n'
        '    print(run.metrics["val"].accuracy, sv.evaluate(run.model, "test/").f1)\n'
        '    print([each.label for each in sv.predict(path, ["a.mp4"])])\n'
        "    model = Model(path)\n"
        '    for event in model.events("rtsp://camera.local/stream"):\n'
        "        print(event.label, event.start)\n"
        "    label: str | None = model.stream().push(__import__('numpy').zeros(1)).label\n"
        "    reveal_type(path)\n"
    )
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    # The project's own settings, which are strict, so that what `make lint` has read is read once.
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    del settings["packages"], settings["overrides"]
    settings["mypy_path"] = [str(ROOT / each) for each in settings["mypy_path"]] + [str(ROOT)]
    config = tmp_path / "mypy.ini"
    lines = [f"{k} = {','.join(v) if isinstance(v, list) else v}" for k, v in settings.items()]
    config.write_text("\n".join(["[mypy]", *lines, "[mypy-imgaug.*]"]))
    command = [sys.executable, "-m", "mypy", "--config-file", str(config),
               "--cache-dir", str(ROOT / ".mypy_cache"), str(program)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert "error" not in done.stdout.replace("0 errors", ""), done.stdout
    assert 'Revealed type is "pathlib.Path"' in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(ROOT / "samples" / "quick_start.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    environment = {"SEQVISION_SAMPLES": str(ROOT / "samples")}
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        client = nbclient.NotebookClient(notebook, timeout=300, resources=resources)
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("text/html" in output.get("data", {}) for output in outputs)
    streams = "".join(
        output["text"] for output in outputs
        if output["output_type"] == "stream" and output["name"] == "stdout"
    )  # fmt: skip
    assert "swipe" in streams
    assert json.dumps(outputs).count("Traceback") == 0
