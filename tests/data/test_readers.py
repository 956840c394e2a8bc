"""Lists as people have them: cut to some classes, saved by other editors, broken in one line."""

from collections import Counter
from pathlib import Path

import pytest
from list_files import KINETICS, touch, ucf_lists, write
from numbered_videos import Recipe, encode, numbers

from vidssl.data import (
    missing_files,
    open_dataset,
    read_folder,
    read_frames,
    read_hmdb51,
    read_kinetics,
    read_label_list,
    read_ucf101,
    read_video_list,
)
from vidssl.data.readers.text import json_items, json_object

# --- classes and their numbers ------------------------------------------------------------------

THREE = ("Archery", "BabyCrawling", "YoYo")
NUMBERED = "3 Archery\n11 BabyCrawling\n101 YoYo\n"


def list_of(names, clips, numbers=("3", "11", "101")):
    """Lines for these clips ("g08_c01") of every class, with class numbers if any are given."""
    lines = [
        f"{name}/v_{name}_{clip}.avi {number}".strip()
        for name, number in zip(names, numbers or [""] * len(names))
        for clip in clips
    ]
    return "\n".join(lines) + "\n"


def three_classes(folder, classes=NUMBERED, **changed):
    lists = {
        "train": list_of(THREE, ["g08_c01", "g09_c01"]),
        "test": list_of(THREE, ["g01_c01"], ()),
    }
    return ucf_lists(folder, **(lists | changed), classes=classes)


@pytest.mark.parametrize("classes", [NUMBERED, "101 YoYo\n3 Archery\n11 BabyCrawling\n"])
def test_official_numbers_become_labels_from_0(tmp_path, classes):
    splits = open_dataset("ucf101", tmp_path, annotations=three_classes(tmp_path, classes))
    assert splits.class_names == list(THREE)
    assert splits.num_classes == 3
    assert Counter(r.label for r in splits.train) == {0: 2, 1: 2, 2: 2}
    assert [r.label for r in splits.test] == [0, 1, 2]


def test_lists_cut_to_some_of_the_classes_count_those(tmp_path):
    everything = "".join(f"{i} C{i}\n" for i in (1, 2)) + NUMBERED
    lists = three_classes(tmp_path, everything)
    with pytest.warns(UserWarning, match="has 5 classes, the lists of the split name 3 of them"):
        splits = open_dataset("ucf101", tmp_path, annotations=lists)
    assert splits.class_names == list(THREE)
    with pytest.warns(UserWarning, match="labels count these"):
        assert [r.label for r in read_ucf101(tmp_path, lists, 1, "test")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("classes", "changed", "message"),
    [
        ("0 Archery\n11 BabyCrawling\n101 YoYo", {}, r"classInd\.txt, line 1: number 0 .*from 1"),
        ("3 Archery\n\n3 YoYo\n", {}, r"classInd\.txt, line 3: 3 is there twice, first in line 1"),
        ("3 Archery\n4 Archery\n", {}, r"line 2: 'Archery' is there twice, first in line 1"),
        ("Archery 3\n", {}, r"classInd\.txt, line 1: 'Archery 3' is not '<number> <class>'"),
        (
            NUMBERED,
            {"train": list_of(THREE, ["g08_c01"], ("0", "1", "2"))},
            r"trainlist01\.txt, line 1: class number 0 for 'Archery', which is 3 in classInd",
        ),
        (
            NUMBERED,
            {"train": list_of(THREE, ["g08_c01"]) + "YoYo/v_YoYo_g08_c01.avi 101\n"},
            r"trainlist01\.txt, line 4: video 'YoYo/v_YoYo_g08_c01' .* twice, first in line 3",
        ),
        (
            NUMBERED,
            {"test": list_of(THREE, ["g01_c01"], ()) + "YoYo/v_YoYo_g08_c01.avi\n"},
            r"testlist01\.txt, line 4: video_id .* in training and test .*trainlist01\.txt, line 5",
        ),
        (
            NUMBERED,
            {"test": list_of(THREE[:2], ["g01_c01"], ())},
            "class 'YoYo' has no test video; add videos",
        ),
    ],
)
def test_wrong_numbers_and_leaks_are_refused_by_file_and_line(tmp_path, classes, changed, message):
    lists = three_classes(tmp_path, classes, **changed)
    with pytest.raises(ValueError, match=message):
        open_dataset("ucf101", tmp_path, annotations=lists)


def test_hmdb51_cut_to_some_classes(tmp_path):
    for name in ("wave", "clap", "sit up"):
        text = f"a_{name}_0.avi 1\nb_{name}_0.avi 2\n"
        write(tmp_path / f"{name}_test_split1.txt", text)
    write(tmp_path / "._wave_test_split1.txt", b"\x00\x05\x16\x07Mac OS X")
    splits = open_dataset("hmdb51", tmp_path, annotations=tmp_path)
    assert splits.class_names == ["clap", "sit up", "wave"]
    assert [r.label for r in splits.train] == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "wave",
            "a.avi 1\na.avi 2\n",
            r"wave_test_split1\.txt, line 2: video 'wave/a' .* in line 1",
        ),
        ("wave", "a.avi 1\nb.avi 3\n", r"wave_test_split1\.txt, line 2: 'b\.avi 3' is not"),
        ("", "a.avi 1\n", r"_test_split1\.txt: its name has no class; call it <class>_test_split1"),
    ],
)
def test_hmdb51_refuses_by_file_and_line(tmp_path, name, text, message):
    write(tmp_path / f"{name}_test_split1.txt", text)
    with pytest.raises(ValueError, match=message):
        read_hmdb51(tmp_path, tmp_path)


def test_hmdb51_says_how_many_test_videos_share_a_source(tmp_path):
    write(
        tmp_path / "wave_test_split1.txt", "film_wave_0.avi 1\nfilm_wave_1.avi 2\nx_wave_0.avi 2\n"
    )
    splits = open_dataset("hmdb51", tmp_path, annotations=tmp_path)
    shared = {"test_videos": 2, "shared": 1, "first": ["wave/film_wave_1"]}
    assert splits.caveats == {"shared_groups": shared}


def test_lists_one_folder_deeper_are_named(tmp_path):
    three_classes(tmp_path / "ucfTrainTestlist")
    write(tmp_path / "splits/wave_test_split1.txt", "a.avi 1\n")
    with pytest.raises(FileNotFoundError, match=r"classInd\.txt: no such .*give '.*Testlist'"):
        read_ucf101(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no \*_test_split1\.txt; .*splits does"):
        read_hmdb51(tmp_path, tmp_path)


def test_six_real_classes(shared_data):
    root = Path(shared_data, "ucf101_six")
    splits = open_dataset("ucf101", root / "videos", annotations=root / "lists")
    assert (len(splits.train), len(splits.test), splits.num_classes) == (529, 202, 6)
    assert sorted({r.label for r in splits.train}) == list(range(6))
    assert missing_files([*splits.train, *splits.test]) == []


# --- how editors save text ----------------------------------------------------------------------

MARKED = {
    "plain": str.encode,
    "marked": lambda text: text.encode("utf-8-sig"),
    "windows": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "old mac": lambda text: text.replace("\n", "\r").encode(),
    "utf-16": lambda text: text.encode("utf-16"),
    "blanks": lambda text: text.replace("\n", " \t\n \n").encode(),
}


@pytest.mark.parametrize("saved", MARKED.values(), ids=MARKED)
def test_every_reader_takes_what_editors_save(tmp_path, saved):
    """The same records from each; blank lines are none."""
    train = 'Sit Up (é)/v_Sit Up (é)_g01_c01.avi 7\n"YoYo\\v_YoYo_g01_c02.avi" 9\n'
    write(tmp_path / "classInd.txt", saved("7 Sit Up (é)\n9 YoYo\n"))
    write(tmp_path / "trainlist01.txt", saved(train))
    records = read_ucf101("/r", tmp_path)
    assert [(r.path, r.label) for r in records] == [
        ("/r/Sit Up (é)/v_Sit Up (é)_g01_c01.avi", 0),
        ("/r/YoYo/v_YoYo_g01_c02.avi", 1),
    ]
    write(tmp_path / "sit up_test_split1.txt", saved("[a] é_sit up_1.avi 1\nb#2.avi   2\n"))
    [first] = read_hmdb51("/r", tmp_path)
    assert (first.path, first.group) == ("/r/sit up/[a] é_sit up_1.avi", "[a] é")
    rows = KINETICS + '"air drumming, loud",-a,0,10,train\n yoga , b,1.0 ,11,train\n'
    records = read_kinetics(write(tmp_path / "train.csv", saved(rows)), "/r")
    assert [(r.class_name, r.video_id) for r in records] == [
        ("air drumming, loud", "-a_000000_000010"),
        ("yoga", "b_000001_000011"),
    ]
    records = read_video_list(write(tmp_path / "l.txt", saved('"a b/é.mp4" 30 1\nc\\d 2\n')), "/r")
    assert [(r.path, r.label) for r in records] == [("/r/a b/é.mp4", 1), ("/r/c/d.mp4", 2)]


def test_a_byte_that_is_no_utf_8_is_named_by_file_and_line(tmp_path):
    told = r"line 2: byte 0xe9 is not UTF-8 \('é' in Latin-1\); save the file as UTF-8"
    latin = "\ncafé/v_café_g01_c01.avi 1".encode("latin-1")
    write(tmp_path / "classInd.txt", "1 a\n")
    with pytest.raises(ValueError, match=rf"trainlist01\.txt, {told}"):
        read_ucf101("/r", write(tmp_path / "trainlist01.txt", latin).parent)
    with pytest.raises(ValueError, match=rf"wave_test_split1\.txt, {told}"):
        read_hmdb51("/r", write(tmp_path / "wave_test_split1.txt", latin).parent)
    with pytest.raises(ValueError, match=rf"l\.txt, {told}"):
        read_video_list(write(tmp_path / "l.txt", latin), "/r")
    row = KINETICS.encode() + "café,a,1,11,train\n".encode("latin-1")
    with pytest.raises(ValueError, match=rf"t\.csv, {told}"):
        read_kinetics(write(tmp_path / "t.csv", row), "/r")
    with pytest.raises(ValueError, match=r"\._t\.csv: is not a text file"):
        read_kinetics(write(tmp_path / "._t.csv", b"\x00\x05\x16\x07\x00Mac OS X"), "/r")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("label;youtube_id;time_start;time_end", "separated by semicolons, not by commas"),
        ('"Label";"youtube_id";"time_start";"time_end"', "separated by semicolons"),
        ("label\tyoutube_id\ttime_start\ttime_end", "separated by tabs, not by commas"),
        ("Label,youtube_id,time_start,time_end", "'label' is written 'Label' there"),
        ("sep=;", "'label' is missing in 'sep=;'; the header must name label"),
    ],
)
def test_a_header_that_is_not_read_says_why(tmp_path, header, message):
    file = write(tmp_path / "t.csv", f"{header}\nyoga,a,1,11\n".encode("utf-8-sig"))
    with pytest.raises(ValueError, match=rf"t\.csv: .*{message}"):
        read_kinetics(file, "/r")


@pytest.mark.parametrize("sign", [";", ",", " ; ", ", ", "|"])
def test_lists_whose_parts_are_separated_by_no_blank_are_named(tmp_path, sign):
    told = rf"line 1: {sign.strip()!r} separates".replace("|", r"\|")
    write(tmp_path / "classInd.txt", f"1{sign}YoYo\n")
    write(tmp_path / "trainlist01.txt", "YoYo/v_YoYo_g01_c02.avi 1\n")
    with pytest.raises(ValueError, match=rf"classInd\.txt, {told}"):
        read_ucf101("/r", tmp_path)
    write(tmp_path / "classInd.txt", "1 YoYo\n")
    write(tmp_path / "trainlist01.txt", f"\nYoYo/v_YoYo_g01_c02.avi{sign}1\n")
    with pytest.raises(ValueError, match=rf"trainlist01\.txt, {told.replace('1', '2')}"):
        read_ucf101("/r", tmp_path)
    write(tmp_path / "yo_test_split1.txt", f"b_yo_2.avi{sign}1\n")
    with pytest.raises(ValueError, match=rf"yo_test_split1\.txt, {told}"):
        read_hmdb51("/r", tmp_path)
    with pytest.raises(ValueError, match=rf"l\.txt, {told}"):
        read_video_list(write(tmp_path / "l.txt", f"a/b.mp4{sign}30{sign}1\n"), "/r")


def test_commas_of_a_name_separate_nothing(tmp_path):
    listed = "1, 2; 3/a,1.mp4 30 1\n4,5/b;2 30 0\n"
    records = read_video_list(write(tmp_path / "l.txt", listed), "/r")
    assert [r.path for r in records] == ["/r/1, 2; 3/a,1.mp4", "/r/4,5/b;2.mp4"]


# --- Kinetics -----------------------------------------------------------------------------------

WHOLE = "yoga,a,1,11,train\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            f"{WHOLE}yoga,b,2,1",
            r"t\.csv, line 3: 4 cells where the header has 5, in 'yoga,b,2,1'; is",
        ),
        (f"{WHOLE}\nyoga,b", r"t\.csv, line 4: 2 cells where the header has 5"),
        (f"{WHOLE}yoga,b,2,12,train,x", r"t\.csv, line 3: 6 cells where the header has 5"),
        (f"{WHOLE}yoga,,2,12,train", r"t\.csv, line 3: an empty cell in 'yoga,,2,12,train'"),
        (f'{WHOLE}"yoga,b,2,12,train\n{WHOLE}', r't\.csv, line 3: a quote \("\) opens there'),
        (f"{WHOLE}yoga,b,2,nan,train", r"t\.csv, line 3: times must be seconds, got '2', 'nan'"),
        (f"{WHOLE}yoga,b,2,inf,train", r"t\.csv, line 3: times must be seconds"),
        (f"{WHOLE}yoga,b,12,2,train", r"t\.csv, line 3: the segment from 12 to 2 s is empty"),
        (
            f"{WHOLE}zumba,b,2,12,train\n{WHOLE}",
            r"t\.csv, line 4: video 'a_0.*' .*, first in line 2; remove one",
        ),
        (
            f"{WHOLE}zumba,a,1,11,train\n{WHOLE}{WHOLE}",
            r"line 3: .* line 2 as 'yoga', here as 'zumba' \(2 more lines repeat a video\)",
        ),
    ],
)
def test_kinetics_refuses_by_file_and_line(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_kinetics(write(tmp_path / "t.csv", KINETICS + rows), "/r")


def test_kinetics_takes_empty_cells_behind_the_last_column(tmp_path):
    file = write(tmp_path / "t.csv", f"{KINETICS}yoga,a,1,11,train,,\n,,,,\n")
    assert len(read_kinetics(file, "/r")) == 1


def test_kinetics_test_videos_that_are_trained_on(tmp_path):
    write(tmp_path / "train.csv", KINETICS + WHOLE + "yoga,b,1,11,train\n")
    write(tmp_path / "val.csv", KINETICS + "yoga,c,1,11,val\nyoga,b,1,11,val\n")
    told = r"val\.csv, line 3: video_id 'b_000001_000011' .* \(1 of 2 .*train\.csv, line 3\)"
    with pytest.raises(ValueError, match=told):
        open_dataset("kinetics", tmp_path, annotations=tmp_path)
    write(tmp_path / "val.csv", KINETICS + "yoga,c,1,11,val\nyoga,b,11,21,val\n")
    splits = open_dataset("kinetics", tmp_path, annotations=tmp_path)
    assert splits.caveats["shared_groups"]["first"] == ["b_000011_000021"]


# --- JSON lists ---------------------------------------------------------------------------------


def test_items_of_a_json_list_have_lines(tmp_path):
    file = write(tmp_path / "l.json", '\ufeff[\n{"id": "a"},\r\n\n{"id":\n"é"}, {"id": "c"}\n]\n')
    found = [(line, item["id"]) for line, item in json_items(file, ("id",))]
    assert found == [(2, "a"), (4, "é"), (5, "c")]
    assert list(json_items(write(file, "[]"))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[\n{"id": 1},\n{"id": ', r"l\.json, line 3: Expecting value; is the file cut off there"),
        ('[\n{"id": 1},\n', r"l\.json, line 3: Expecting value; is the file cut off"),
        ('[\n{"id": 1}\n', r"l\.json, line 3: Expecting value; is the file cut off"),
        ('[\n{"id": 1},\n{"name": 1}]', r"l\.json, line 3: 'id' is missing in \{'name': 1\}"),
        ("[1]", r"l\.json, line 1: 'id' is missing in 1"),
        ('{"id": 1}', r"l\.json: is no JSON list"),
        ("", r"l\.json: is no JSON list"),
    ],
)
def test_a_json_list_is_refused_by_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        list(json_items(write(tmp_path / "l.json", text), ("id",)))


def test_a_json_object_is_one(tmp_path):
    assert json_object(write(tmp_path / "o.json", '{"a": "0"}')) == {"a": "0"}
    for text, message in (("[1]", "is no JSON object"), ('{\n"a"', r"o\.json, line 2: Expecting")):
        with pytest.raises(ValueError, match=message):
            json_object(write(tmp_path / "o.json", text))


# --- folders ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.ts", "libx264"), ("a.MTS", "libx264"), ("a.m2ts", "mpeg2video"), ("a.3gp", "libx264"),
     ("a.ogv", "libvpx"), ("a.vob", "mpeg2video")],
)  # fmt: skip
def test_files_of_cameras_discs_and_phones_are_videos(tmp_path, name, codec):
    (tmp_path / "wave").mkdir()
    encode(tmp_path / "wave" / name.lower(), Recipe(name.lower(), codec, length=30))
    (tmp_path / "wave" / name.lower()).rename(tmp_path / "wave" / name)
    [record] = read_folder(tmp_path)
    assert numbers(read_frames(record.path, [0, 17, 29])) == [0, 17, 29]


def test_class_folders_that_vanish_are_told_with_the_reason(tmp_path):
    touch(tmp_path, "wave/a.mp4", "clap/a.GIF", "clap/b.gif", "clap/n.txt", "__MACOSX/x/._a.mp4")
    touch(tmp_path, "wave/._a.mp4", "apple/._b.mp4")
    with pytest.warns(UserWarning, match=r"2 of 3 folders hold no video file") as told:
        records = read_folder(tmp_path)
    assert [r.class_name for r in records] == ["wave"]
    message = str(told[0].message)
    assert "'apple' (empty; endings known: .mp4" in message
    assert "'clap' (2 .gif, 1 .txt; endings known: .mp4 " in message
    with pytest.raises(ValueError, match=r"holds no video file \(2 \.gif, 1 \.txt; endings known"):
        read_folder(tmp_path / "clap")


def grouped(root, groups=("g1", "g2 [x]", "é")):
    return touch(
        root, *(f"{c}/{g}/{i}.mp4" for c in ("clap", "wave") for g in groups for i in "ab")
    )


def test_a_folder_of_each_group(tmp_path):
    records = read_folder(grouped(tmp_path))
    assert records[0].video_id == "clap/g1/a"
    assert {r.group for r in records} == {"g1", "g2 [x]", "é"}
    assert [r.label for r in records] == [0] * 6 + [1] * 6
    splits = open_dataset("folder", tmp_path, test_groups=["é"])
    assert [r.video_id for r in splits.test] == ["clap/é/a", "clap/é/b", "wave/é/a", "wave/é/b"]
    by_name = open_dataset("folder", tmp_path, group_pattern=r"^(\w)\.", test_groups=["a"])
    assert len(by_name.test) == 6


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["train/wave/a.mp4", "test/wave/b.mp4"],
            r"test, train are no classes.* such as .*/train, or",
        ),
        (["train/a.mp4", "val/b.mp4"], r"train, val are no classes; give the folder that holds"),
        (["UCF-101/wave/a.mp4"], r"UCF-101 is the only folder; give .* such as .*/UCF-101"),
        (["wave/a.mp4", "wave/g/b.mp4"], r"wave/a\.mp4 lies in a class folder and wave/g/b\.mp4"),
        (["a/b/c/d.mp4", "b/c.mp4"], r"lies 3 folders deep, expected <class>/<file> or .*<group>"),
        (["wave/a.mp4", "wave/a.avi"], r"'wave/a' is there twice, as a\.avi and a\.mp4"),
    ],
)
def test_other_layouts_get_advice(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        read_folder(touch(tmp_path, *names))


def test_hidden_videos_do_not_make_a_folder_of_stills_one_of_videos(tmp_path):
    splits = open_dataset("folder", touch(tmp_path, "._a.mp4", "a.jpg", "b.jpg"))
    assert [r.video_id for r in splits.train] == ["a", "b"]


def test_stills_lie_in_any_layout(tmp_path):
    splits = open_dataset("folder", touch(tmp_path, "train/n01/a.jpg", "train/b.jpg", "val/c.jpg"))
    assert [r.video_id for r in splits.train] == ["train/b", "train/n01/a", "val/c"]
    assert {r.label for r in splits.train} == {-1}


def test_a_label_list_names_lines(tmp_path):
    splits = open_dataset("ucf101", tmp_path, annotations=three_classes(tmp_path))
    text = "\nArchery/v_Archery_g08_c01 9 0\nYoYo/v_YoYo_g01_c01 9 2\n"
    with pytest.raises(ValueError, match=r"in the test set: 1 \(line 3: YoYo/v_YoYo_g01_c01\)"):
        read_label_list(write(tmp_path / "l.txt", text), splits)
