"""Vectors: files and lines of numbers → clips and streams → the same answers every way."""

import contextlib
import io
import json
import os
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from served import serving

from seqvision_edge import Model
from seqvision_edge.card import VectorSequence
from seqvision_edge.cli import main
from seqvision_edge.errors import CardError, ModelError, SourceError
from seqvision_edge.frame import Frame
from seqvision_edge.model import ClipPrediction
from seqvision_edge.session import Session
from seqvision_edge.sources.stdin import Input
from seqvision_edge.sources.vectors import VectorFile, VectorPipe
from seqvision_edge.vector_files import read_vectors, refuse_mixed
from seqvision_edge.vector_text import LineReader, read_table

MODEL = Path(__file__).parent.parent / "old_models" / "spec5-vectors.onnx"
VECTORS = VectorSequence(
    kind="vectors", fps=10.0, frames=4, features=3, names=("x", "y", "z"), rate=20.0
)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(MODEL)


def clip(rows: int = 12) -> NDArray[np.float32]:
    values = (np.arange(3 * rows) * 37 % 251).astype(np.float32).reshape(rows, 3)
    values[5, 1] = np.nan
    return values


def table(text: str) -> list[list[float | None]]:
    values = read_table(text, "clip.csv").values
    return [[None if np.isnan(value) else value for value in row] for row in values.tolist()]


# Text -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1,2.5\n3,4\n",
        "1;2,5\n3;4\n",
        "1;2.5\r\n3;4\r\n",
        "1\t2.5\n3\t4",
        "1\t2,5\n3\t4,0\n",
        "  1   2.5 \n 3 4 \n\n",
        "1,0 2,5\n3,0 4,0\n",
        "a,b\n1,2.5\n3,4\n",
        '"a";"b"\n"1";"2,5"\n"3";"4,0"\n',
        "# made by hand\n1,2.5\n3,4\n",
        "1;2.5;\n3;4;\n",
        "frame,a,b\n0,1,2.5\n1,3,4\n2,3,4\n",
        "\ufeffa,b\n1,2.5\n3,4\n".encode().decode("utf-8-sig"),
        "[1, 2.5]\n[3, 4]\n",
        '{"values": [1, 2.5]}\n{"values": [[3], [4]]}\n',
        "1e0,25e-1\n+3,4.\n",
        'a,b\n"1,0","2,5"\n"3",4\n',
    ],
)
def test_a_table_is_read_however_it_is_written(text: str) -> None:
    assert table(text)[:2] == [[1.0, 2.5], [3.0, 4.0]]


def test_a_missing_value_is_nan_however_it_is_written() -> None:
    text = "a,b\n,nan\nNA,1\nnull,NaN\n-,?\n5,\n"
    assert table(text) == [[None, None], [None, 1], [None, None], [None, None], [5, None]]


@pytest.mark.parametrize(
    ("header", "times", "seconds"),
    [
        ("time", "0 0.5 1.5", [0, 0.5, 1.5]),
        ("Timestamp", "100.25 100.75 101.75", [0, 0.5, 1.5]),
        ("t", "0 0.5 0.5", [0, 0.5, 0.5]),
        ("time_ms", "0 500 1500", [0, 0.5, 1.5]),
        ("Time (ms)", "0 500 1500", [0, 0.5, 1.5]),
        ("timestamp_ns", "0 5e8 15e8", [0, 0.5, 1.5]),
        ("time_s", "0 50 150", [0, 50, 150]),
        (
            "time",
            "2026-01-05T10:00:00.250 2026-01-05T10:00:00.750 2026-01-05T10:00:01.750",
            [0, 0.5, 1.5],
        ),
    ],
)
def test_a_column_of_times_places_the_vectors(
    header: str, times: str, seconds: list[float]
) -> None:
    rows = "".join(f"{time},1\n" for time in times.split())
    found = read_table(f"{header},x\n{rows}", "clip.csv")
    assert found.times is not None
    assert found.names == ("x",)
    np.testing.assert_allclose(found.times, seconds)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "clip.csv: empty"),
        ("x,y\n", "clip.csv: only names in it"),
        ("1,2\n3\n", "clip.csv, line 2: 1 numbers, the lines before have 2"),
        ("x,y\n1,2\n3,oops\n", "clip.csv, line 3: 'oops' in column 'y' is not a number"),
        ("x,activity\n1,walk\n", "leave out columns of text"),
        ("x,y\n1_0,2\n", "'1_0' in column 'x'"),
        ("x,y\n١,2\n", "in column 'x' is not a number"),
        ("time,x\n0,1\n1,1\n0.5,1\n", "the time of row 3, 0.5, is before"),
        ("time,x\n0,1\n,1\n", "the time of row 2 is missing"),
        ("timestamp,x\n0,1\n20,1\n40,1\n", "in which unit?"),
        ("time\n0\n1\n", "only times in it"),
        ("[1, 2]\n[3\n", "clip.csv, line 2: not valid JSON"),
        ("[1, true]\n", "'True' in a vector is not a number"),
        ('{"values": [1], "data": [2]}\n', "clip.csv, line 1: an object is"),
        ("[" * 5000 + "\n", "not valid JSON"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        read_table(text, "clip.csv")
    assert message in str(refused.value)


# Files ------------------------------------------------------------------------------------------


def test_arrays_of_all_forms_are_clips(tmp_path: Path) -> None:
    values = clip()
    forms: dict[str, Any] = {
        "a.npy": values.astype(np.float64),
        "b.npy": np.nan_to_num(values).astype(np.int16),
        "c.npy": values.reshape(12, 3, 1),
        "d.npy": values[None],
        "e.npy": np.asfortranarray(values),
        "f.npy": values.astype(">f4"),
    }
    for name, array in forms.items():
        np.save(tmp_path / name, array)
        found = read_vectors(tmp_path / name, 20.0)
        assert found.values.dtype == np.float32
        assert found.values.shape == (12, 3)
        np.testing.assert_array_equal(found.values, np.float32(array).reshape(12, 3))
        np.testing.assert_allclose(found.times, np.arange(12) / 20)
    np.savez(tmp_path / "g.npz", data=values, timestamps=np.arange(12) / 4)
    found = read_vectors(tmp_path / "g.npz", 20.0)
    assert (found.fps, found.timed) == (4.0, True)


def test_a_folder_of_vectors_is_a_clip_in_natural_order(tmp_path: Path) -> None:
    for index, vector in enumerate(clip()):
        np.save(tmp_path / f"{index}.npy", vector)
    np.testing.assert_array_equal(read_vectors(tmp_path, 20.0).values, clip())


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(Path.cwd() / "owned"),)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pickle.npy", "holds Python objects, which are not loaded"),
        ("pickle.npz", "holds Python objects, which are not loaded"),
        ("damaged.npy", "not a NumPy file, or damaged"),
        ("short.npy", "not a NumPy file, or damaged"),
        ("promise.npy", ""),
        ("text.npy", "an array of <U1, not of numbers"),
        ("complex.npy", "an array of complex128"),
        ("fields.npy", "a structured array (x, y)"),
        ("one.npy", "one vector, of shape (3,)"),
        ("empty.npy", "empty: its shape is (0, 3)"),
        ("nan.npy", "no value in it, only nan"),
        ("inf.npy", "an infinite value (vector 2, feature 1)"),
        ("large.npy", "an infinite value (vector 1, feature 1)"),
        ("wide.npy", "5000 features; at most are 4096"),
        ("several.npz", "which of its arrays (a, b) is the clip?"),
        ("times.npz", "2 times for 3 vectors"),
        ("clip.csv", "not a text file"),
        ("clip.mp4", "not a file of vectors"),
        ("missing.npy", "no such file"),
        ("mixed", "4 features, 0.npy has 3"),
        ("rows", "each file is one vector"),
        ("nothing", "no .npy files in it"),
    ],
)
def test_a_file_that_is_no_clip_is_refused_in_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = np.ones((3, 3))
    objects = np.array([Harmful()], dtype=object)
    np.save("pickle.npy", objects, allow_pickle=True)
    np.savez("pickle.npz", data=objects)
    Path("damaged.npy").write_bytes(b"\x93NUMPY\x01\x00nonsense")
    whole = io.BytesIO()
    np.save(whole, good)
    Path("short.npy").write_bytes(whole.getvalue()[:-8])
    Path("promise.npy").write_bytes(whole.getvalue().replace(b"(3, 3), ", b"(3, 9999999999999), "))
    for stem, array in {
        "text": np.array([["a"]]), "complex": good * 1j, "one": good[0], "empty": good[:0],
        "fields": np.zeros(3, [("x", "f4"), ("y", "f4")]), "nan": good * np.nan,
        "inf": np.where(np.eye(3)[::-1] * 0 + (np.arange(9).reshape(3, 3) == 3), np.inf, good),
        "large": np.full((2, 2), 1e300), "wide": np.ones((2, 5000)),
    }.items():  # fmt: skip
        np.save(f"{stem}.npy", array)
    np.savez("several.npz", a=good, b=good)
    np.savez("times.npz", data=good, time=np.arange(2.0))
    Path("clip.csv").write_bytes(b"PAR1\0\0\0\1")
    Path("clip.mp4").write_bytes(b"x")
    folders: dict[str, list[NDArray[np.float64]]]
    folders = {"mixed": [good[0], np.ones(4)], "rows": [good, good], "nothing": []}
    for folder, arrays in folders.items():
        Path(folder).mkdir()
        for index, array in enumerate(arrays):
            np.save(f"{folder}/{index}.npy", array)
    with pytest.raises(SourceError) as refused:
        read_vectors(name, 10.0)
    text = str(refused.value)
    assert message in text
    assert "\n" not in text
    assert name in text
    assert not Path("owned").exists()


def test_parquet_needs_its_package(tmp_path: Path) -> None:
    path = tmp_path / "clip.parquet"
    if find_spec("pyarrow") is None:
        path.write_bytes(b"PAR1")
        with pytest.raises(SourceError, match="needs the package pyarrow: pip install pyarrow"):
            read_vectors(path, 20.0)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"time": [0.0, 0.5, 1.5], "x": [1.0, None, 3.0]}), path)
    found = read_vectors(path, 20.0)
    assert (found.names, found.times.tolist()) == (("x",), [0.0, 0.5, 1.5])
    np.testing.assert_array_equal(found.values[:, 0], [1, np.nan, 3])


def test_clips_of_different_width_are_refused_by_the_names_of_two() -> None:
    with pytest.raises(SourceError, match=r"b\.npy: 4 features, a\.npy has 3$"):
        refuse_mixed([("a.npy", (9, 3)), ("c.npy", (8, 3)), ("b.npy", (9, 4))])
    with pytest.raises(SourceError, match=r"save them transposed"):
        refuse_mixed([("a.npy", (3, 90)), ("b.npy", (3, 80))])


# One model, every way ---------------------------------------------------------------------------


def test_a_file_an_array_and_pushed_vectors_give_the_same(model: Model, tmp_path: Path) -> None:
    values = clip()
    np.save(tmp_path / "clip.npy", values)
    np.savetxt(tmp_path / "clip.csv", values, delimiter=",", header="x,y,z", comments="")
    expected = model.predict(values)
    assert expected.windows[0].end - expected.windows[0].start == pytest.approx(0.4)
    for name in ("clip.npy", "clip.csv"):
        found = model.predict(tmp_path / name)
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    stream = model.stream()
    updates = [stream.push(vector, time=index / 20) for index, vector in enumerate(values)]
    last, _ = model.session.run(values[[4, 6, 8, 10]][None])  # the ticks of 10 a second
    assert updates[-1].window_fill == 1
    probabilities = updates[-1].probabilities.values()
    np.testing.assert_allclose(list(probabilities), last[0], atol=1e-6)


def test_columns_are_arranged_by_their_names(model: Model, tmp_path: Path) -> None:
    values = clip()
    shuffled = np.column_stack((values[:, 2], values[:, 0], np.ones(12), values[:, 1]))
    np.savetxt(tmp_path / "s.csv", shuffled, delimiter=";", header="z;x;other;y", comments="")
    expected = model.predict(values).probabilities
    assert model.predict(tmp_path / "s.csv").probabilities == pytest.approx(expected, abs=1e-6)
    (tmp_path / "w.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SourceError, match=r"no column z \(columns found: x, y\)"):
        model.predict(tmp_path / "w.csv")


def test_a_stream_of_vectors_refuses_what_is_none(model: Model) -> None:
    stream = model.stream()
    for wrong in ([1.0, 2.0], np.zeros((4, 4, 3), np.uint8), ["a", "b", "c"], [[1], [2, 3]]):
        with pytest.raises(ValueError, match="a vector is"):
            stream.push(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="infinite"):
        stream.push(np.array([1, np.inf, 2]))
    assert stream.push([1, 2, 3]).window_fill == 0.25  # type: ignore[arg-type]


def test_missing_and_wild_values_give_finite_answers(model: Model) -> None:
    for value in (np.nan, 3e38, -3e38, 0.0):
        answer = model.predict(np.where(np.eye(4, 3) > 0, value, 1.0).astype(np.float32))
        assert isinstance(answer, ClipPrediction)
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
    with pytest.raises(SourceError, match="only nan"):
        model.predict(np.full((4, 3), np.nan))


def test_a_card_of_vectors_is_its_own_spec() -> None:
    text = Session(MODEL).card.to_json()
    data = json.loads(text)
    assert (data["spec"], data["image"]) == (5, None)
    card = type(Session(MODEL).card)
    assert card.from_json(text, "m").vectors is not None
    sequence = data["sequence"]
    for change in (
        {"spec": 4},
        {"image": {"height": 4}},
        {"sequence": {**sequence, "names": ["x"]}},
        {"sequence": {**sequence, "features": 5000, "names": None}},
    ):
        with pytest.raises(CardError):
            card.from_json(json.dumps({**data, **change}), "m")


# Lines of a pipe --------------------------------------------------------------------------------


def piped(data: bytes, **more: Any) -> VectorPipe:
    """Return a pipe whose writer has ended after these bytes."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    threading.Thread(target=write, daemon=True).start()
    return VectorPipe("-", Input(reading), VECTORS, more.pop("rate", None), **more)


def frames_of(source: VectorPipe | VectorFile) -> list[Frame]:
    return list(source)


def test_lines_of_every_form_give_the_same_vectors() -> None:
    for text in (
        "1,2,3\n4,,6\n",
        "x,y,z\n1,2,3\n4,nan,6\n",
        "z,x,y\n3,1,2\n6,4,\n",
        "[1, 2, 3]\n[4, null, 6]",
        '{"values": [1, 2, 3]}\n\n{"values": [4, null, 6]}\n',
        "1 2 3\n4 nan 6\n",
        "1;2;3\n4;;6\n",
    ):
        found = frames_of(piped(text.encode()))
        assert [frame.time for frame in found] == [0.0, 0.05], text
        np.testing.assert_array_equal(
            np.stack([frame.image for frame in found if frame.image is not None]),
            np.array([[1, 2, 3], [4, np.nan, 6]], np.float32),
        )


def test_raw_floats_are_vectors_and_a_rest_is_told() -> None:
    data = clip(6).astype("<f4").tobytes()
    assert [frame.time for frame in frames_of(piped(data, floats=True, rate=10.0))] == (
        pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])
    )
    cut = piped(data[:-2], floats=True)
    assert len(frames_of(cut)) == 5
    assert cut.incomplete == (
        "read 5 of 6 vectors; the first wrong one: ended in the middle of vector 6"
    )


def test_times_of_lines_place_them_and_a_silence_is_a_gap() -> None:
    iso = "time,x,y,z\n2026-01-05T10:00:00Z,1,2,3\n2026-01-05T10:00:00.100Z,1,2,3\n"
    assert [frame.time for frame in frames_of(piped(iso.encode()))] == pytest.approx([0, 0.1])
    lines = [f'{{"time": {100 + index / 20}, "values": [1,2,3]}}' for index in range(6)]
    lines += [f'{{"t": {110 + index / 20}, "values": [1,2,3]}}' for index in range(2)]
    found = frames_of(piped("\n".join(lines).encode()))
    assert [frame.time for frame in found] == pytest.approx(
        [0, 0.05, 0.1, 0.15, 0.2, 0.25, 10.0, 10.05]
    )
    assert [frame.index for frame in found] == [0, 1, 2, 3, 4, 5, 7, 8]


def test_a_wrong_line_is_lost_and_told_with_its_number() -> None:
    source = piped(b"1,2,3\n4,oops,6\n7,8\n1,2,inf\n7,8,9\n")
    assert [frame.index for frame in frames_of(source)] == [0, 4]
    assert source.incomplete == (
        "read 2 of 5 vectors; the first wrong one: -, line 2: 'oops' (column 2) is not a number"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ended without a vector"),
        ("1,2\n", "line 1: 2 numbers, the model reads 3"),
        ("0.1,1,2,3\n", 'a time needs a first line with names (time,…), or {"time"'),
        ("a,b,c\n1,2,3\n", "no column x, y, z"),
        ("hello\nworld\n", "line 1: no column x, y, z"),
        ("{]\n", "line 1: not valid JSON"),
        ("\x89PNG\r\n", "line 1"),
        ("9" * (1 << 21), "a line of more than 1 MB"),
    ],
)
def test_a_stream_that_begins_wrong_is_refused(text: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        frames_of(piped(text.encode()))
    assert message in str(refused.value)


@pytest.mark.parametrize("seed", range(4))
def test_no_bytes_of_a_line_crash_the_reader(seed: int) -> None:
    """Lines of random letters of numbers, JSON and noise: a vector, nothing, or one message."""
    generator = np.random.default_rng(seed)
    letters = [*"0123456789.,;:+-eE[]{}\"' \tnaif_xyz#%\x00\ufeff١é", "values", "time", "1e999"]
    vectors = 0
    for _ in range(1 if os.environ.get("SEQVISION_FUZZ") is None else 20):
        reader = LineReader(1, None, "-")
        for line in range(400):
            text = "".join(generator.choice(letters, generator.integers(0, 9)))
            with contextlib.suppress(SourceError):
                found = reader.read(text, line)
                assert found is None or found.values.shape == (1,)
                vectors += found is not None
    assert vectors, "some are numbers"


# Programs ---------------------------------------------------------------------------------------


def run_on(monkeypatch: pytest.MonkeyPatch, data: bytes, *arguments: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        monkeypatch.setattr("sys.stdin", pipe)
        return main(["--source", "-", "--model", str(MODEL), *arguments])


def test_edge_run_reads_lines_and_files_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    values = clip(40)
    np.save(tmp_path / "clip.npy", values)
    lines = "\n".join(json.dumps([None if v != v else v for v in row]) for row in values.tolist())
    monkeypatch.chdir(tmp_path)
    floats = values.astype("<f4").tobytes()
    assert main(["clip.npy", "--model", str(MODEL), "--json", "a"]) == 0
    assert run_on(monkeypatch, lines.encode(), "--json", "b") == 0
    assert run_on(monkeypatch, floats, "--stdin-floats", "--json", "c") == 0
    answers = [predictions(tmp_path / name) for name in "abc"]
    assert len(answers[0]) == 20
    assert answers[0] == answers[1] == answers[2]
    assert "20 vectors/s assumed" in capsys.readouterr().err


def predictions(path: Path) -> list[tuple[float, str, float]]:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        (each["time"], each["label"], each["probability"])
        for each in records
        if each["type"] == "prediction"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--camera", "0"], ""),
        (["rtsp://127.0.0.1:1/a"], "reads vectors, not pictures"),
        (["clip.npy", "--save", "x.mp4"], "--save x.mp4"),
        (["clip.npy", "--clips", "x"], "--clips x"),
        (["clip.npy", "--when-moving"], "--when-moving"),
        (["clip.npy", "--web", "127.0.0.1:0"], "--web 127.0.0.1:0"),
        (["clip.npy", "--save-uncertain", "x"], "--save-uncertain x"),
        (["-", "--stdin-size", "4x4"], "raw float32 are --stdin-floats"),
        (["clip.npy", "--region", "door=0,0,1,1"], "region door=0.0,0.0,1.0,1.0: is a part"),
        (["clip.npy", "--image-fps", "arrival"], "only standard input"),
        (["wide.npy"], "wide.npy: 4 features, the model reads 3"),
        (["turned.npy"], "it looks transposed"),
        (["clip.mp4"], "no such file"),
    ],
)
def test_what_needs_pictures_is_refused_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, shape in {"clip": (9, 3), "wide": (9, 4), "turned": (3, 9)}.items():
        np.save(f"{name}.npy", np.ones(shape))
    assert main([*arguments, "--model", str(MODEL)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clip.npy", "turned.npy", "wide.npy",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def served() -> Iterator[Any]:
    with serving(Session(MODEL)) as running:
        yield running


def test_a_server_classifies_clips_and_streams_of_vectors(model: Model, served: Any) -> None:
    values = clip()
    plain = [[None if v != v else v for v in row] for row in values.tolist()]
    with served.client() as client:
        found = client.post(
            "/v1/predict?probabilities=true", json={"instances": [plain, plain[:4]]}
        )
        assert found.status_code == 200, found.text
        given = [each["probabilities"] for each in found.json()["predictions"]]
        for one, expected in zip(
            given, (model.predict(values), model.predict(values[:4])), strict=True
        ):
            assert one == pytest.approx(expected.probabilities, abs=1e-5)
        card = client.get("/v1/model").json()
        assert (card["image"], card["sequence"]["features"]) == (None, 3)
        stream = client.post("/v1/streams").json()["id"]
        for index, row in enumerate(plain[:11]):
            answer = client.post(f"/v1/streams/{stream}/frames?timestamp={index / 20}", json=row)
            assert answer.status_code == 200, answer.text
        last = [r for r in answer.json()["records"] if r["type"] == "prediction"][-1]
        expected, _ = model.session.run(values[[4, 6, 8, 10]][None])
        np.testing.assert_allclose(list(last["probabilities"].values()), expected[0], atol=1e-5)
        timed = client.post(f"/v1/streams/{stream}/frames", json={"time": 60, "values": [1, 2, 3]})
        times = [each["time"] for each in timed.json()["records"] if "time" in each]
        assert times == [60]
        long = client.post(f"/v1/streams/{stream}/frames", content=b" " * (1 << 18))
        assert long.status_code == 413
        wrong = client.post(f"/v1/streams/{stream}/frames", json=[1, 2])
        assert wrong.status_code == 422
        assert "give 3 numbers" in wrong.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ('{"instances": [[[1, 2]]]}', 422, "instances.0.0: 2 numbers, the model reads 3"),
        ('{"instances": [[[1, 2, 3], [1, 2, "3"]]]}', 422, "instances.0.1: '3' in a vector"),
        ('{"instances": [[[1, 2, 3], []]]}', 422, "instances.0.1: a vector is a list"),
        ('{"instances": [[]]}', 422, "instances.0: a clip is a list of vectors"),
        ('{"instances": [[[1, 2, 1e300]]]}', 422, "infinite value"),
        ('{"instances": [[[1, 2, NaN]]]}', 422, "not valid JSON"),
        ('{"instances": []}', 422, "the body must be"),
        ("[]", 422, "the body must be"),
        ('{"instances": [' + ", ".join(["[[1, 2, 3]]"] * 33) + "]}", 413, "instances: 33"),
        ('{"instances": [[' + "[1, 2, 3]," * 900_000 + "[1, 2, 3]]]}", 413, "at most 8 MB"),
    ],
)
def test_a_wrong_body_of_vectors_is_refused(
    served: Any, body: str, status: int, detail: str
) -> None:
    with served.client() as client:
        found = client.post(
            "/v1/predict", content=body, headers={"content-type": "application/json"}
        )
    assert found.status_code == status
    assert detail in found.json()["detail"]


def test_a_server_of_vectors_refuses_pictures(served: Any) -> None:
    with served.client() as client:
        found = client.post("/v1/predict", files={"file": ("a.jpg", b"\xff\xd8\xff", "image/jpeg")})
        assert found.status_code == 415
        assert "reads vectors" in found.json()["detail"]


def test_a_model_of_vectors_has_no_pictures(model: Model) -> None:
    with pytest.raises(SourceError, match="not a file of vectors"):
        model.predict(__file__)
    with pytest.raises(SourceError, match="reads vectors, not pictures"):
        next(iter(model.events("rtsp://127.0.0.1:1/a")))
    with pytest.raises(ValueError, match="the model takes float32"):
        model.session.run(np.zeros((1, 2, 3), np.float64))
    assert "3 features" in repr(model)
    with pytest.raises(ModelError):
        Model(MODEL.with_suffix(".pt"))
