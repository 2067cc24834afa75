"""Lists of clips as spreadsheets, scripts and other machines write them."""

import json
import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from seqvision.config import AugmentOptions
from seqvision.data.clips import Clip, Cut, alike_notes, find_background
from seqvision.data.datasets import DataSet, find_data_set
from seqvision.data.label_swaps import check_swaps
from seqvision.errors import DataError


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with a few files under names of all kinds."""
    names = ("wave/a.mp4", "wave/b c.mp4", "clap/grüße.mov", "clap/x/0.jpg", "one.avi", "1.mkv")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def read(folder: Path, content: str | bytes, name: str = "list.csv") -> DataSet:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return find_data_set(path)


def rows(found: DataSet, folder: Path) -> list[tuple[str, str]]:
    return [(clip.path.relative_to(folder).as_posix(), clip.label) for clip in found.clips]


def refusal(folder: Path, content: str | bytes, name: str = "list.csv") -> str:
    with pytest.raises(DataError) as error:
        read(folder, content, name)
    assert "\n" not in str(error.value)
    assert name in str(error.value)
    return str(error.value)


EXPECTED = [("wave/a.mp4", "Wave"), ("clap/grüße.mov", "Händel")]
PLAIN = "path,label\nwave/a.mp4,Wave\nclap/grüße.mov,Händel\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace(",", " , "),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n") + "\n  \n",
        PLAIN.replace("\n", ",,,\n"),
        PLAIN.replace(",", ";").replace("\n", ";;\n") + ";;;\n",
        "sep=;\n" + PLAIN.replace(",", ";"),
        "# made by hand, in May\n" + PLAIN + "# the end\n",
        "#path,label\n" + PLAIN.partition("\n")[2],
        PLAIN.replace("path,label", "Path,Label"),
        PLAIN.replace("path,label", '"PATH" , "LABEL"'),
        '"path","label"\n"wave/a.mp4","Wave"\n"clap/grüße.mov","Händel"\n',
        PLAIN.replace("/", "\\"),
        PLAIN.replace("wave/", "./wave/"),
        PLAIN.replace("a.mp4", "a").replace("grüße.mov", "grüße"),
        PLAIN.replace("a.mp4", "A.MP4"),
        unicodedata.normalize("NFD", PLAIN),
        "label,path\nWave,wave/a.mp4\nHändel,clap/grüße.mov\n",
        PLAIN.partition("\n")[2],
        PLAIN.partition("\n")[2].replace(",", ";"),
        PLAIN.partition("\n")[2].replace(",", " "),
        "Wave\twave/a.mp4\nHändel\tclap/grüße.mov\n",
    ],
)
def test_a_list_in_any_dialect_is_the_same_list(clips: Path, content: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"):
        if encoding == "cp1252":
            content = unicodedata.normalize("NFC", content)
        found = read(clips, content.encode(encoding))
        assert rows(found, clips) == EXPECTED, encoding
        windows = [note for note in found.notes if "read as Windows-1252" in note]
        assert bool(windows) == (encoding == "cp1252")


@pytest.mark.parametrize("name", ["list.tsv", "list.txt", "LIST.CSV", "list.lst"])
def test_a_list_may_have_other_suffixes(clips: Path, name: str) -> None:
    assert rows(read(clips, PLAIN.replace(",", "\t"), name), clips) == EXPECTED


@pytest.mark.parametrize(
    "head",
    [
        "file,class", "filename,category", "file_name,action", "File Name,Label Name",
        "video,target", "video_path,class_name", "clip,gesture", "filepath,activity",
        "Datei,Klasse", "id,label", "name,label", "img_path,Labels",
    ],
)  # fmt: skip
def test_columns_may_have_usual_other_names_with_a_note(clips: Path, head: str) -> None:
    found = read(clips, PLAIN.replace("path,label", head))
    assert rows(found, clips) == EXPECTED
    assert f"{head.partition(',')[0]!r} as path" in found.notes[0]


def test_an_unused_column_is_reported_once(clips: Path) -> None:
    found = read(clips, "path,label,notes,mood\nwave/a.mp4,w,good,1\none.avi,c,,2\n")
    assert found.notes == (f"{clips / 'list.csv'}: columns 'notes', 'mood' are not used",)
    found = read(clips, "path,label,duration\nwave/a.mp4,w,4.5\none.avi,c,3\n")
    assert [clip.cut for clip in found.clips] == [None, None], "a length alone cuts nothing"
    assert found.notes == (f"{clips / 'list.csv'}: column 'duration' is not used",)


def test_json_and_json_lines_are_lists_too(clips: Path) -> None:
    entries = [{"file": "wave/a.mp4", "label": "Wave", "fps": None, "person": "ann"},
               {"file": "clap/grüße.mov", "label": "Händel", "start": 1.5}]  # fmt: skip
    for content, name in (
        (json.dumps(entries), "list.json"),
        (json.dumps({"version": 1, "clips": entries}), "list.json"),
        ("\n".join(map(json.dumps, entries)), "list.jsonl"),
    ):
        found = read(clips, content, name)
        assert rows(found, clips) == EXPECTED
        assert [clip.group for clip in found.clips] == ["ann", "clap/grüße.mov"]
        assert found.clips[1].cut == Cut(1.5)
    assert "line 1: not JSON" in refusal(clips, "{'path': 1}", "list.json")
    assert "entry 1: not an object" in refusal(clips, '["a.mp4"]', "list.json")


def test_numbers_are_labels_and_names_may_have_spaces(clips: Path) -> None:
    found = read(clips, "path,label,split\nwave/b c.mp4,0,Train\n1.mkv,1,testing\n")
    assert rows(found, clips) == [("wave/b c.mp4", "0"), ("1.mkv", "1")]
    assert [clip.split for clip in found.clips] == ["train", "test"]


def test_list_paths_may_start_one_folder_above(clips: Path) -> None:
    (clips / "annotations").mkdir()
    found = read(clips, PLAIN, "annotations/train.csv")
    assert rows(found, clips) == EXPECTED
    assert "2 paths start at" in found.notes[0]


# Refused by the cause -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Pfadname,Label\na,b\n", "has no column path (columns found: Label, Pfadname)"),
        ("path,comment\none.avi,b\n", "has no column label (columns found: path, comment)"),
        ("path;fps\none.avi;3\n", "has no column label (columns found: path, fps)"),
        ("path,label\n/home/ann/data/wave/a.mp4,w\n", "line 2: no such file: /home/ann/data/wave/"
         "a.mp4 (an absolute path of another machine; wave/a.mp4 is here: write that"),
        ("path,label\nC:\\Users\\ann\\wave\\a.mp4,w\n", "an absolute path of another machine; "
         "wave/a.mp4 is here"),
        ("path,label\n/mnt/x/1.mp4,w\n/mnt/x/2.mp4,c\n", "line 2: none of its 2 clips is there: "
         "/mnt/x/1.mp4 (an absolute path of another machine; write paths from"),
        ("path,label\ndata/wave/a.mp4,w\n", "wave/a.mp4 is here: write that"),
        ("path,label\nhttps://x.org/a.mp4,w\n", "a URL: download the clips first"),
        ("path,label\nnope.mp4,w\n", "line 2: no such file: nope.mp4 (paths start at"),
        ("path,label\none.avi,w,x\n", "line 2: 3 cells under 2 columns"),
        ("path,label\none.avi\n", "line 2: path or label is empty"),
        ('path,label\n"one.avi,w\n', "line 2: not a row of a CSV"),
        ("path,label,split\none.avi,w,yes\n", "line 2: split is 'yes'"),
        ("path,label,fps\none.avi,w,0\n", "line 2: fps is '0'"),
        ("one.avi,wave,0,5\n", "line 1: no header, and 4 columns"),
        (b"PK\x03\x04 a workbook", "a spreadsheet or archive, not text; save it as CSV"),
        (b"\xd0\xcf\x11\xe0 a workbook", "an old Excel workbook"),
        (b"path,label\na\x00b,c\n", "zero bytes in it"),
        (b"\xff\xfep\x00a\x00t", "list.csv: "),
        ("", "has no column path (columns found: none)"),
    ],
)  # fmt: skip
def test_an_unreadable_list_is_refused_with_its_cause(
    clips: Path, content: str | bytes, message: str
) -> None:
    assert message in refusal(clips, content)


def test_a_name_that_matches_two_files_is_refused(clips: Path) -> None:
    (clips / "one.mp4").write_bytes(b"x")
    assert "line 2: 'one' could be one.avi or one.mp4" in refusal(clips, "path,label\none,w\n")


def test_clips_that_are_missing_are_counted_with_their_row_and_cause(clips: Path) -> None:
    found = read(clips, "path,label\none.avi,w\n/a/x.mp4,c\n/a/y.mp4,c\n")
    assert len(found.clips) == 3, "they are named again when they are opened"
    assert found.notes == (
        f"{clips / 'list.csv'}, line 3: no such file: /a/x.mp4 (an absolute path of another "
        f"machine; write paths from {clips}); 1 more are missing",
    )


# Parts of videos ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "row", "cut"),
    [
        ("start,end", "1.5,3", Cut(1.5, 3.0)),
        ("time_start,time_end", "1.5,3", Cut(1.5, 3.0)),
        ("start_time,end_time", "0:01.5,00:00:03", Cut(1.5, 3.0)),
        ("Start,End", "00:01:01.250,01:00:00", Cut(61.25, 3600.0)),
        ("t0,t1", "1,2", Cut(1.0, 2.0)),
        ("begin,finish", "1,2", Cut(1.0, 2.0)),
        ("onset,offset", "1,2", Cut(1.0, 2.0)),
        ("from,to", "1,2", Cut(1.0, 2.0)),
        ("begin_s,end_s", "1,2", Cut(1.0, 2.0)),
        ("Start (s),End (s)", "1,2", Cut(1.0, 2.0)),
        ("start [sec],stop [sec]", "1 s,2s", Cut(1.0, 2.0)),
        ("t_start,t_end", "1m2s,1m3.5s", Cut(62.0, 63.5)),
        ("start_ms,end_ms", "1500,3000", Cut(1.5, 3.0)),
        ("start_timestamp,stop_timestamp", "00:00:01.50,00:00:03.00", Cut(1.5, 3.0)),
        ("start,duration", "1.5,2", Cut(1.5, 3.5)),
        ("start,length", "1.5,2", Cut(1.5, 3.5)),
        ("start,", "1.5,", Cut(1.5)),
        (",end", ",3", Cut(0.0, 3.0)),
        ("start,end", ",", None),
        ("start_frame,end_frame", "10,19", Cut(10, 20, in_frames=True)),
        ("frame_start,frame_end", "10.0,19.0", Cut(10, 20, in_frames=True)),
        ("startFrame,endFrame", "0,0", Cut(0, 1, in_frames=True)),
        ("first_frame,last_frame", "3,", Cut(3, None, in_frames=True)),
        ("start_frame,end_frame,start,end", "1,2,5,6", Cut(5.0, 6.0)),
    ],
)  # fmt: skip
def test_columns_of_times_cut_the_video(clips: Path, head: str, row: str, cut: Cut | None) -> None:
    found = read(clips, f"path,label,{head}\none.avi,wave,{row}\n")
    assert [clip.cut for clip in found.clips] == [cut]
    noted = any("clips are the parts of videos from" in note for note in found.notes)
    assert noted == any(name.strip() for name in head.split(","))


def test_a_semicolon_list_has_decimal_commas(clips: Path) -> None:
    found = read(clips, "path;label;start;end\none.avi;wave;1,5;0:03,25\n")
    assert found.clips[0].cut == Cut(1.5, 3.25)


@pytest.mark.parametrize(
    ("head", "row", "message"),
    [
        ("start,end", "3,1", "line 2: from 3 to 1 is no part of a video"),
        ("start,end", "3,3", "line 2: from 3 to 3 is no part"),
        ("start,end", "-1,3", "line 2: start is '-1', must be seconds from 0"),
        ("start,end", "soon,3", "line 2: start is 'soon'"),
        ("start,end", "1:75,3", "line 2: start is '1:75'"),
        ("start,end", "nan,3", "line 2: start is 'nan'"),
        ("start,end", "0:0:1:12,3", "line 2: start is '0:0:1:12'"),
        ("start_frame,end_frame", "1.5,3", "line 2: start_frame is '1.5', must be the number"),
        ("start_frame,end_frame", "5,4", "line 2: from 5 to 4 is no part"),
        ("start,duration", "5,0", "line 2: from 5 to 0 is no part"),
    ],
)
def test_an_invalid_part_is_refused_with_its_row(
    clips: Path, head: str, row: str, message: str
) -> None:
    assert message in refusal(clips, f"path,label,{head}\none.avi,wave,{row}\n")


def test_the_parts_of_a_video_are_one_group_unless_groups_are_named(clips: Path) -> None:
    content = "path,label,start,end\none.avi,w,0,1\none.avi,c,1,2\nwave/a.mp4,w,,\n"
    assert [clip.group for clip in read(clips, content).clips] == ["one.avi", "one.avi", None]
    content = "path,label,start,end,group\none.avi,w,0,1,ann\n1.mkv,c,1,2,ann\n"
    assert [clip.group for clip in read(clips, content).clips] == ["ann", "ann"]


# Labels -------------------------------------------------------------------------------------------


def test_a_label_in_two_forms_of_unicode_is_one_label(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        folder = tmp_path / "clips" / form / unicodedata.normalize(form, "Grüße")
        folder.mkdir(parents=True)
        (folder / f"{form}.mp4").write_bytes(b"x")
    listed = "path,label\n" + "\n".join(
        f"clips/{form}/{unicodedata.normalize(form, 'Grüße')}/{form}.mp4,"
        f"{unicodedata.normalize(form, 'Grüße')}"
        for form in ("NFC", "NFD")
    )
    found = read(tmp_path, listed)
    assert Counter(clip.label for clip in found.clips) == {"Grüße": 2}
    (label,) = {clip.label for clip in find_data_set(tmp_path / "clips" / "NFD").clips} - {"NFC"}
    assert label == unicodedata.normalize("NFC", "Grüße")
    decomposed = unicodedata.normalize("NFD", label)
    assert find_background([label], decomposed) == label
    check_swaps(AugmentOptions(flip=True, swap=(f"{decomposed}:wave",)), [label, "wave"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("Wave", "wave"), "labels 'Wave' and 'wave' differ only in case: are they one?"),
        (("thumb_up", "thumb up", "thumb-up"), "differ only in spaces, _ or -"),
        (("wave", "wave "), "differ only in spaces, _ or -"),
        (("swipe left", "SwipeLeft"), "differ only in case and spaces, _ or -"),
        (("wave", "\uff57ave"), "differ only in the form of their letters"),
        (("wave", "wa\u200bve"), "differ only in the form of their letters"),
        (("STRASSE", "straße"), "differ only in case"),
        (("wave", "wave2"), None),
        (("1.0", "10"), None),
        (("1_0", "10"), None),
        (("left", "right"), None),
    ],
)
def test_labels_that_differ_only_in_spelling_are_noted(
    labels: tuple[str, ...], message: str | None
) -> None:
    notes = alike_notes(labels)
    assert len(notes) == (message is not None)
    assert message is None or message in notes[0]


def test_similar_labels_of_a_data_set_are_reported(clips: Path) -> None:
    found = read(clips, "path,label\none.avi,Wave\n1.mkv,wave\n")
    assert found.notes == ("labels 'Wave' and 'wave' differ only in case: are they one?",)
    assert isinstance(found.clips[0], Clip)
